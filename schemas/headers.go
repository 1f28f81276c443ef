package schemas

// The Kafka headers of every record: CloudEvents in binary mode, the W3C trace context, and ours.
const (
	HeaderID          = "ce_id"          // event id
	HeaderType        = "ce_type"        // docstream.<kind>
	HeaderSource      = "ce_source"      // /docstream/<stage or gateway>
	HeaderSpecVersion = "ce_specversion" // 1.0
	HeaderTime        = "ce_time"        // RFC 3339, microseconds
	HeaderSubject     = "ce_subject"     // job id

	HeaderTraceParent = "traceparent"
	HeaderTenant      = "docstream-tenant"
	HeaderRequestID   = "docstream-request-id"
	HeaderAttempt     = "docstream-attempt"   // attempts made before this one
	HeaderOrigin      = "docstream-origin"    // in a delay topic: the topic the record goes back to, without the prefix
	HeaderSignature   = "docstream-signature" // key id, colon, base64 HMAC-SHA-256 over topic, zero byte, value
	HeaderCounted     = "docstream-counted"   // of a state that adds up: the offset of the last record it counts, @, the id of its topic

	// Added to a dead letter, beside all original headers.
	HeaderDeadStage     = "docstream-dead-stage"
	HeaderDeadClass     = "docstream-dead-class" // permanent or unknown
	HeaderDeadCode      = "docstream-dead-code"
	HeaderDeadReason    = "docstream-dead-reason" // for the operator; may hold internal text
	HeaderDeadTopic     = "docstream-dead-topic"
	HeaderDeadPartition = "docstream-dead-partition"
	HeaderDeadOffset    = "docstream-dead-offset"

	// Of the record that says what became of a dead letter.
	HeaderDeadLetter = "docstream-dead-letter" // its id
	HeaderDeadState  = "docstream-dead-state"  // redriven or discarded
	HeaderDeadBy     = "docstream-dead-by"     // who did it
)
