-- Which replay a run belongs to: what a replay changed is one join of its runs with those before them.

-- +goose NO TRANSACTION
-- +goose Up
ALTER TABLE job_changes ADD COLUMN IF NOT EXISTS replay_id String COMMENT 'Replay that asked for the run; empty where it was something else';

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
    total_seconds  Nullable(Float64)       COMMENT 'From accepted to ended',
    replay_id      String                  COMMENT 'Replay that asked for the run; empty where it was something else'
)
AS SELECT
    tenant, job_id, run, version, status, stage, pages_expected, pages_done, pages_failed, media_type, size_bytes, class, priority,
    error_code, pipeline, words, cpu_micros, submitted_at, opened_at, ended_at, at AS changed_at,
    dateDiff('microsecond', submitted_at, opened_at) / 1e6 AS wait_seconds,
    dateDiff('microsecond', submitted_at, ended_at) / 1e6 AS total_seconds, replay_id
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
    total_seconds  Nullable(Float64)       COMMENT 'From accepted to ended',
    replay_id      String                  COMMENT 'Replay that asked for the run; empty where it was something else'
)
AS SELECT * FROM runs ORDER BY run DESC LIMIT 1 BY tenant, job_id
COMMENT 'Every job once, as its newest run stands';
