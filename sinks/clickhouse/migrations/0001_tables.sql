-- Tables keep what the stream said, one row an event identity. Do not query them: the views of 0002 are the public names, and exact.
-- A partition is the month of submission, which is the same for every record of a run, so that merges find all versions of a row.

-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS job_changes (
    event_id       String                  COMMENT 'Hash of job, run and version',
    tenant         LowCardinality(String)  COMMENT 'Owner of the job',
    job_id         String                  COMMENT 'Job',
    run            UInt32                  COMMENT 'Run of the job, from 0',
    version        UInt64                  COMMENT 'Version of the state; the greatest wins',
    status         LowCardinality(String)  COMMENT 'Status after the change',
    stage          LowCardinality(String)  COMMENT 'Stage after the change',
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
    at             DateTime64(6, 'UTC')    COMMENT 'When it changed'
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(submitted_at)
ORDER BY (tenant, job_id, run)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'JobChanged: the newest version of every run';

CREATE TABLE IF NOT EXISTS page_results (
    event_id      String                  COMMENT 'Hash of job, run, stage, page and kind',
    tenant        LowCardinality(String)  COMMENT 'Owner of the job',
    job_id        String                  COMMENT 'Job',
    run           UInt32                  COMMENT 'Run of the job, from 0',
    page          UInt32                  COMMENT 'Page, from 1',
    rank          UInt8                   COMMENT '1 failed, 2 finished; the greatest wins',
    how           LowCardinality(String)  COMMENT 'text or ocr; empty where it failed',
    lines         UInt32                  COMMENT 'Lines of text',
    words         UInt32                  COMMENT 'Words of text',
    confidence    Float64                 COMMENT 'Mean confidence, 0 to 1',
    failed_stage  LowCardinality(String)  COMMENT 'Stage that gave up',
    error_code    LowCardinality(String)  COMMENT 'Error code of a failed page',
    error_message String                  COMMENT 'Plain sentence of a failed page',
    result_key    String                  COMMENT 'Object that holds the page result',
    result_offset UInt64                  COMMENT 'First byte of it',
    result_length UInt64                  COMMENT 'Bytes of it; 0: to the end',
    cpu_micros    UInt64                  COMMENT 'Processor time of all stages, microseconds',
    wall_micros   UInt64                  COMMENT 'Elapsed time in all stages, microseconds',
    submitted_at  DateTime64(6, 'UTC')    COMMENT 'When the job was accepted',
    at            DateTime64(6, 'UTC')    COMMENT 'When the page was closed'
)
ENGINE = ReplacingMergeTree(rank)
PARTITION BY toYYYYMM(submitted_at)
ORDER BY (tenant, job_id, run, page)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'PageFinished and PageFailed: one row a page and run, finished beats failed';

CREATE TABLE IF NOT EXISTS usage_records (
    event_id     String                  COMMENT 'Hash of job, run, stage and page',
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
    at           DateTime64(6, 'UTC')    COMMENT 'When it was recorded'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(submitted_at)
ORDER BY (tenant, job_id, run, stage, page)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'UsageRecorded: one row a job, run, stage and page';

CREATE TABLE IF NOT EXISTS dead_letter_facts (
    event_id         String                  COMMENT 'Hash of job, run, stage, page and attempt',
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
    at               DateTime64(6, 'UTC')    COMMENT 'When it was set aside'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(submitted_at)
ORDER BY (tenant, stage, source_topic, source_partition, source_offset, event_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'DeadLettered: one row a record set aside';
