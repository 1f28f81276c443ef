package telemetry

// Metric is one name the house exports. Names are decided once and printed in the docs.
type Metric struct {
	Name    string
	Kind    string   // counter, gauge or histogram
	Labels  []string // in the order of the code
	Meaning string   // one sentence, with the unit where the name has none
}

// Metrics lists every docstream_ metric of every role, in the order the docs print them. A test compares it with the tree.
var Metrics = []Metric{
	{"docstream_build_info", "gauge", []string{"role", "version", "revision", "go"}, "Always 1; its labels name the role and the build."},

	{"docstream_lane_records_total", "counter", []string{"stage", "lane", "outcome"}, "Records by outcome: done, filtered or dead."},
	{"docstream_lane_wait_seconds", "histogram", []string{"stage", "lane"}, "Age of a record when its work began."},
	{"docstream_lane_backlog_records", "gauge", []string{"stage", "lane"}, "Records of a lane nobody has finished."},
	{"docstream_lane_backlog_seconds", "gauge", []string{"stage", "lane"}, "Estimated work in a lane's backlog at the recent pace of one slot."},
	{"docstream_lane_overdue_records", "gauge", []string{"stage", "lane"}, "Records of a lane nobody has finished that are older than half of what the topic keeps."},
	{"docstream_stage_work_seconds", "histogram", []string{"stage", "lane"}, "Time a stage spent on one record."},
	{"docstream_transactions_total", "counter", []string{"stage", "lane", "outcome"}, "Transactions by outcome: committed or aborted."},
	{"docstream_transaction_seconds", "histogram", []string{"stage"}, "Time from begin to end of a transaction."},
	{"docstream_dead_letters_total", "counter", []string{"stage", "code"}, "Records set aside, by error code."},
	{"docstream_retries_total", "counter", []string{"stage", "class"}, "Further attempts, by whose fault the last one failed."},
	{"docstream_fold_restore_seconds", "histogram", []string{"stage"}, "Time to restore the state of one partition."},
	{"docstream_fold_keys", "gauge", []string{"stage"}, "Keys the fold holds in memory."},

	{"docstream_engine_calls_total", "counter", []string{"method", "outcome"}, "Calls into the engine by method and outcome: ok, cancelled, or the error code."},
	{"docstream_engine_call_seconds", "histogram", []string{"method"}, "Elapsed time of a call into the engine."},
	{"docstream_engine_restarts_total", "counter", []string{"reason"}, "Engine children that ended or could not be started, by reason."},
	{"docstream_engine_cpu_seconds_total", "counter", nil, "Processor time of the engine's children during calls."},
	{"docstream_engine_rss_bytes", "gauge", []string{"slot"}, "Resident memory of the engine child of a slot, when last seen."},
	{"docstream_engine_busy_slots", "gauge", nil, "Engine slots that are leased."},
	{"docstream_engine_device_batch_rows", "histogram", []string{"model"}, "Rows that went through a model of the shared device together."},
	{"docstream_engine_device_wait_seconds", "histogram", []string{"model"}, "Time from a call to the shared device to its first batch."},
	{"docstream_engine_device_busy_seconds_total", "counter", nil, "Time in which the shared device computed; its rate is the busy share."},
	{"docstream_engine_device_slots", "gauge", nil, "Slots that the shared device serves now."},

	{"docstream_http_requests_total", "counter", []string{"route", "method", "status"}, "Requests answered."},
	{"docstream_http_request_seconds", "histogram", []string{"route", "method"}, "Time from the head of a request to the end of its answer."},
	{"docstream_uploads_bytes_total", "counter", nil, "Bytes of files received, refused ones included."},
	{"docstream_uploads_active", "gauge", nil, "Uploads in flight."},
	{"docstream_cold_lookups_total", "counter", []string{"outcome"}, "Look-ups of jobs that the view does not hold, by outcome: found in the object store, missing there, remembered from before, or failed."},
	{"docstream_cold_lookup_seconds", "histogram", nil, "Time to look a job up in the object store."},
	{"docstream_cache_submissions_total", "counter", []string{"outcome"}, "Submissions by whether the pages of an earlier job of the same document are kept: hit, miss, or off where that was not wanted."},
	{"docstream_batches_open", "gauge", nil, "Batches that have not ended, by the gateway that feeds them; 0 at the others."},
	{"docstream_batch_items_total", "counter", []string{"outcome"}, "Items of batches by outcome: refused, or how their job ended. Another gateway that takes over may count some again."},
	{"docstream_tokens_total", "counter", []string{"outcome"}, "Bearer tokens of OpenID Connect issuers by outcome: good, or why they were refused."},
	{"docstream_issuer_fetches_total", "counter", []string{"outcome"}, "Fetches of the keys of OpenID Connect issuers by outcome: ok or failed."},
	{"docstream_view_ready", "gauge", nil, "1 while the gateway's view can answer."},
	{"docstream_view_jobs", "gauge", nil, "Jobs the gateway's view holds."},
	{"docstream_view_records_total", "counter", []string{"topic"}, "Records the gateway's view has read."},
	{"docstream_view_ignored_total", "counter", []string{"topic", "reason"}, "Records the view passed over: unsigned, unreadable or not what the topic is for."},
	{"docstream_view_wait_seconds", "histogram", nil, "Time a look-up waited until the view was as new as the request."},

	{"docstream_replay_jobs_total", "counter", []string{"outcome"}, "Jobs a replay came to, by outcome: asked, source_expired or skipped."},

	{"docstream_objects_requests_total", "counter", []string{"op", "outcome"}, "Requests to the object store, retries of one request not counted."},
	{"docstream_objects_seconds", "histogram", []string{"op"}, "Time of a request to the object store, to the first byte of the answer."},

	{"docstream_connector_messages_total", "counter", nil, "Messages of a connector whose outcome is durable."},
	{"docstream_connector_records_total", "counter", []string{"outcome"}, "Records of notifications by outcome: submitted, scanned, dead, or why they were filtered on purpose."},
	{"docstream_connector_retries_total", "counter", nil, "Further attempts at a batch because log or store did not answer."},
	{"docstream_connector_batch_seconds", "histogram", nil, "Time from the receipt of a batch until all of it was durable."},

	{"docstream_sink_rows_total", "counter", []string{"sink", "table"}, "Rows written into a table, redelivered ones counted again."},
	{"docstream_sink_batches_total", "counter", []string{"sink", "outcome"}, "Batches given to a sink, by how writing them ended."},
	{"docstream_sink_write_seconds", "histogram", []string{"sink"}, "Time to write one batch into all its tables."},
	{"docstream_log_lost_records_total", "counter", []string{"stage", "lane"}, "Offsets that retention removed before a sink that keeps the log had read them."},

	{"docstream_view_replicas", "gauge", nil, "Gateways that live, this one included."},
	{"docstream_view_lookups_total", "counter", nil, "Times the gateway's view asked the brokers for the ends of the log, each for everybody who waited."},
	{"docstream_view_disk_bytes", "gauge", nil, "Disk the store of the gateway's view takes."},
	{"docstream_webhook_attempts_total", "counter", []string{"outcome"}, "Attempts to send a webhook, by what came of them."},
	{"docstream_webhook_attempt_seconds", "histogram", nil, "Time of an attempt to send a webhook."},
	{"docstream_webhooks_waiting", "gauge", nil, "Webhooks this worker holds that are due or will be."},
	{"docstream_webhook_receivers", "gauge", nil, "Receivers for which webhooks wait."},
	{"docstream_jobs_archived_total", "counter", []string{"outcome"}, "Ends of runs by what became of their job.json: written, or found where it was written before."},
	{"docstream_jobs_archive_lag_seconds", "histogram", nil, "Time from the end of a run, or from its deletion, to its job.json being durable."},
	{"docstream_archive_files_total", "counter", []string{"topic", "outcome"}, "Files of the archive by outcome: written, or found where another worker had written that part of the log."},
	{"docstream_archive_bytes_total", "counter", []string{"topic"}, "Bytes written into the archive, compressed."},
	{"docstream_archive_held_bytes", "gauge", nil, "Memory that holds records whose file is not stored yet."},
	{"docstream_archive_age_seconds", "gauge", nil, "How long the longest waiting record has been held for its file."},
	{"docstream_retention_objects_total", "counter", []string{"prefix"}, "Objects that a sweep removed because they were kept long enough, by prefix."},
	{"docstream_retention_sweeps_total", "counter", []string{"outcome"}, "Sweeps of the bucket by outcome: done, failed, or left to the worker that began first."},
}
