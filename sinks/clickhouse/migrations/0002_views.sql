-- The public names. A column here is never renamed or removed, and a row is there once, whatever was delivered twice and whether or not the
-- engine has merged already.

-- +goose NO TRANSACTION
-- +goose Up
CREATE OR REPLACE VIEW runs (
    tenant         LowCardinality(String)  COMMENT 'Owner of the job',
    job_id         String                  COMMENT 'Job',
    run            UInt32                  COMMENT 'Run of the job, from 0',
    version        UInt64                  COMMENT 'Version of the state',
    status         LowCardinality(String)  COMMENT 'pending, processing, completed, partial, failed, cancelled or expired',
    stage          LowCardinality(String)  COMMENT 'Stage the run is in',
    pages_expected UInt32                  COMMENT 'Pages to be done; 0 while unknown',
    pages_done     UInt32                  COMMENT 'Pages finished',
    pages_failed   UInt32                  COMMENT 'Pages failed',
    media_type     LowCardinality(String)  COMMENT 'Media type of the document',
    size_bytes     UInt64                  COMMENT 'Size of the document',
    class          LowCardinality(String)  COMMENT 'Hardware class: cpu or gpu',
    priority       LowCardinality(String)  COMMENT 'Lane: high, normal or low',
    error_code     LowCardinality(String)  COMMENT 'Error code of a failed run',
    pipeline       String                  COMMENT 'Pipeline version',
    words          UInt64                  COMMENT 'Words of the finished pages',
    cpu_micros     UInt64                  COMMENT 'Processor time of the engine, microseconds',
    submitted_at   DateTime64(6, 'UTC')    COMMENT 'When the job was accepted',
    opened_at      Nullable(DateTime64(6, 'UTC')) COMMENT 'When it was opened',
    ended_at       Nullable(DateTime64(6, 'UTC')) COMMENT 'When it reached its terminal status',
    changed_at     DateTime64(6, 'UTC')    COMMENT 'When it last changed',
    wait_seconds   Nullable(Float64)       COMMENT 'From accepted to opened',
    total_seconds  Nullable(Float64)       COMMENT 'From accepted to ended'
)
AS SELECT
    tenant, job_id, run, version, status, stage, pages_expected, pages_done, pages_failed, media_type, size_bytes, class, priority,
    error_code, pipeline, words, cpu_micros, submitted_at, opened_at, ended_at, at AS changed_at,
    dateDiff('microsecond', submitted_at, opened_at) / 1e6 AS wait_seconds,
    dateDiff('microsecond', submitted_at, ended_at) / 1e6 AS total_seconds
FROM job_changes FINAL
COMMENT 'Every run of every job, once';

CREATE OR REPLACE VIEW jobs (
    tenant         LowCardinality(String)  COMMENT 'Owner of the job',
    job_id         String                  COMMENT 'Job',
    run            UInt32                  COMMENT 'Newest run, from 0',
    version        UInt64                  COMMENT 'Version of the state',
    status         LowCardinality(String)  COMMENT 'pending, processing, completed, partial, failed, cancelled or expired',
    stage          LowCardinality(String)  COMMENT 'Stage the job is in',
    pages_expected UInt32                  COMMENT 'Pages to be done; 0 while unknown',
    pages_done     UInt32                  COMMENT 'Pages finished',
    pages_failed   UInt32                  COMMENT 'Pages failed',
    media_type     LowCardinality(String)  COMMENT 'Media type of the document',
    size_bytes     UInt64                  COMMENT 'Size of the document',
    class          LowCardinality(String)  COMMENT 'Hardware class: cpu or gpu',
    priority       LowCardinality(String)  COMMENT 'Lane: high, normal or low',
    error_code     LowCardinality(String)  COMMENT 'Error code of a failed job',
    pipeline       String                  COMMENT 'Pipeline version',
    words          UInt64                  COMMENT 'Words of the finished pages',
    cpu_micros     UInt64                  COMMENT 'Processor time of the engine, microseconds',
    submitted_at   DateTime64(6, 'UTC')    COMMENT 'When the job was accepted',
    opened_at      Nullable(DateTime64(6, 'UTC')) COMMENT 'When it was opened',
    ended_at       Nullable(DateTime64(6, 'UTC')) COMMENT 'When it reached its terminal status',
    changed_at     DateTime64(6, 'UTC')    COMMENT 'When it last changed',
    wait_seconds   Nullable(Float64)       COMMENT 'From accepted to opened',
    total_seconds  Nullable(Float64)       COMMENT 'From accepted to ended'
)
AS SELECT * FROM runs ORDER BY run DESC LIMIT 1 BY tenant, job_id
COMMENT 'Every job once, as its newest run stands';

CREATE OR REPLACE VIEW pages (
    tenant        LowCardinality(String)  COMMENT 'Owner of the job',
    job_id        String                  COMMENT 'Job',
    run           UInt32                  COMMENT 'Run of the job, from 0',
    page          UInt32                  COMMENT 'Page, from 1',
    status        LowCardinality(String)  COMMENT 'finished or failed',
    how           LowCardinality(String)  COMMENT 'text: from the text layer; ocr: recognised; empty where it failed',
    lines         UInt32                  COMMENT 'Lines of text',
    words         UInt32                  COMMENT 'Words of text',
    confidence    Float64                 COMMENT 'Mean confidence, 0 to 1; 1 for a text layer',
    failed_stage  LowCardinality(String)  COMMENT 'Stage that gave up',
    error_code    LowCardinality(String)  COMMENT 'Error code of a failed page',
    error_message String                  COMMENT 'Plain sentence of a failed page',
    result_key    String                  COMMENT 'Object that holds the page result',
    result_offset UInt64                  COMMENT 'First byte of it',
    result_length UInt64                  COMMENT 'Bytes of it; 0: to the end',
    cpu_micros    UInt64                  COMMENT 'Processor time of all stages, microseconds',
    wall_micros   UInt64                  COMMENT 'Elapsed time in all stages, microseconds',
    submitted_at  DateTime64(6, 'UTC')    COMMENT 'When the job was accepted',
    closed_at     DateTime64(6, 'UTC')    COMMENT 'When the page was closed'
)
AS SELECT
    tenant, job_id, run, page, if(rank = 2, 'finished', 'failed') AS status, how, lines, words, confidence, failed_stage, error_code,
    error_message, result_key, result_offset, result_length, cpu_micros, wall_micros, submitted_at, at AS closed_at
FROM page_results FINAL
COMMENT 'Every closed page of every run, once';

CREATE OR REPLACE VIEW usage (
    tenant       LowCardinality(String)  COMMENT 'Owner of the job',
    api_key_id   LowCardinality(String)  COMMENT 'API key that submitted',
    job_id       String                  COMMENT 'Job',
    run          UInt32                  COMMENT 'Run of the job, from 0',
    stage        LowCardinality(String)  COMMENT 'Stage that did the work',
    page         UInt32                  COMMENT 'Page, from 1; 0: the document',
    device       LowCardinality(String)  COMMENT 'cpu or cuda',
    units        UInt32                  COMMENT 'Pages to charge for: 1 or 0',
    cpu_micros   UInt64                  COMMENT 'Processor time, microseconds',
    wall_micros  UInt64                  COMMENT 'Elapsed time, microseconds',
    submitted_at DateTime64(6, 'UTC')    COMMENT 'When the job was accepted',
    recorded_at  DateTime64(6, 'UTC')    COMMENT 'When it was recorded',
    event_id     String                  COMMENT 'Identity of the record'
)
AS SELECT
    tenant, api_key_id, job_id, run, stage, page, device, units, cpu_micros, wall_micros, submitted_at, at AS recorded_at, event_id
FROM usage_records FINAL
COMMENT 'What to charge for: one row a job, run, stage and page';

CREATE OR REPLACE VIEW stages (
    tenant       LowCardinality(String)  COMMENT 'Owner of the job',
    job_id       String                  COMMENT 'Job',
    run          UInt32                  COMMENT 'Run of the job, from 0',
    page         UInt32                  COMMENT 'Page, from 1; 0: the document',
    stage        LowCardinality(String)  COMMENT 'Stage that did the work',
    device       LowCardinality(String)  COMMENT 'cpu or cuda',
    cpu_seconds  Float64                 COMMENT 'Processor time',
    wall_seconds Float64                 COMMENT 'Elapsed time',
    submitted_at DateTime64(6, 'UTC')    COMMENT 'When the job was accepted',
    recorded_at  DateTime64(6, 'UTC')    COMMENT 'When the page was closed'
)
AS SELECT
    tenant, job_id, run, page, stage, device, cpu_micros / 1e6 AS cpu_seconds, wall_micros / 1e6 AS wall_seconds,
    submitted_at, at AS recorded_at
FROM usage_records FINAL
COMMENT 'How long each stage took for each page, once';

CREATE OR REPLACE VIEW dead_letters (
    tenant           LowCardinality(String)  COMMENT 'Owner of the job; empty where the record was unreadable',
    job_id           String                  COMMENT 'Job; empty where the record was unreadable',
    run              UInt32                  COMMENT 'Run of the job, from 0',
    page             UInt32                  COMMENT 'Page, from 1; 0: the document',
    from_page        UInt32                  COMMENT 'First page a dead continuation asked for',
    stage            LowCardinality(String)  COMMENT 'Stage that gave up',
    class            LowCardinality(String)  COMMENT 'Whose fault: permanent or unknown',
    error_code       LowCardinality(String)  COMMENT 'Error code',
    error_message    String                  COMMENT 'Plain sentence',
    attempts         UInt32                  COMMENT 'Attempts made',
    source_topic     LowCardinality(String)  COMMENT 'Topic of the original record',
    source_partition Int32                   COMMENT 'Partition of the original record',
    source_offset    Int64                   COMMENT 'Offset of the original record',
    submitted_at     DateTime64(6, 'UTC')    COMMENT 'When the job was accepted',
    dead_at          DateTime64(6, 'UTC')    COMMENT 'When it was set aside',
    event_id         String                  COMMENT 'Identity of the fact'
)
AS SELECT
    tenant, job_id, run, page, from_page, stage, class, error_code, error_message, attempts, source_topic, source_partition,
    source_offset, submitted_at, at AS dead_at, event_id
FROM dead_letter_facts FINAL
COMMENT 'Every record set aside, once';
