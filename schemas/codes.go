package schemas

import "net/http"

// Status is where a job stands.
type Status = string

// The closed table of statuses. A job that left pending never returns to it; a terminal status is never left within a run.
const (
	Pending    Status = "pending"    // accepted, nobody has opened it yet
	Processing Status = "processing" // opened; pages are being read
	Completed  Status = "completed"  // every page has its result
	Partial    Status = "partial"    // some pages failed; the result names them
	Failed     Status = "failed"     // no result; the job names the code
	Cancelled  Status = "cancelled"  // stopped on request; no result is served
	Expired    Status = "expired"    // its deadline passed first
)

// Terminal reports whether no fact changes a run of this status any more.
func Terminal(s Status) bool {
	switch s {
	case Completed, Partial, Failed, Cancelled, Expired:
		return true
	}
	return false
}

// Statuses lists the table in the order a job can pass through it.
var Statuses = []Status{Pending, Processing, Completed, Partial, Failed, Cancelled, Expired}

// Door is the stage that facts name when a submission was refused before any stage saw it: its writer had a tenant but may not say what it
// says. Such a fact is of a job that nobody has heard of; of a known job it changes nothing, so that a record that cannot be read, whose
// key is all that names a job, never ends another's work.
const Door = "door"

// Code is the stable name of an error, the same in the API, the events, the metrics and the dead letters.
type Code string

// Info is what the table says of a code.
type Info struct {
	HTTP      int    // status of an answer that carries it
	Retryable bool   // the same request, or the same document, may succeed later
	Meaning   string // one sentence, printed in the docs
}

// The closed table of error codes.
const (
	InvalidRequest       Code = "INVALID_REQUEST"
	InvalidOption        Code = "INVALID_OPTION"
	OptionNotAvailable   Code = "OPTION_NOT_AVAILABLE"
	MissingFile          Code = "MISSING_FILE"
	EmptyFile            Code = "EMPTY_FILE"
	FileTooLarge         Code = "FILE_TOO_LARGE"
	UnsupportedMediaType Code = "UNSUPPORTED_MEDIA_TYPE"
	MediaTypeMismatch    Code = "MEDIA_TYPE_MISMATCH"
	UploadInterrupted    Code = "UPLOAD_INTERRUPTED"
	IdempotencyKeyReused Code = "IDEMPOTENCY_KEY_REUSED"
	IdempotencyInFlight  Code = "IDEMPOTENCY_IN_FLIGHT"
	UploadNotFound       Code = "UPLOAD_NOT_FOUND"
	UploadExpired        Code = "UPLOAD_EXPIRED"
	UploadIncomplete     Code = "UPLOAD_INCOMPLETE"
	UploadMismatch       Code = "UPLOAD_MISMATCH"
	UploadUsed           Code = "UPLOAD_USED"
	BatchNotFound        Code = "BATCH_NOT_FOUND"
	BatchInvalid         Code = "BATCH_INVALID"
	BatchTooLarge        Code = "BATCH_TOO_LARGE"
	Unauthenticated      Code = "UNAUTHENTICATED"
	Forbidden            Code = "FORBIDDEN"
	JobNotFound          Code = "JOB_NOT_FOUND"
	RouteNotFound        Code = "ROUTE_NOT_FOUND"
	MethodNotAllowed     Code = "METHOD_NOT_ALLOWED"
	ResultNotReady       Code = "RESULT_NOT_READY"
	ResultNotAvailable   Code = "RESULT_NOT_AVAILABLE"
	ResultExpired        Code = "RESULT_EXPIRED"
	FormatNotComposed    Code = "FORMAT_NOT_COMPOSED"
	TableNotFound        Code = "TABLE_NOT_FOUND"
	PageNotFound         Code = "PAGE_NOT_FOUND"
	FigureNotFound       Code = "FIGURE_NOT_FOUND"
	RangeNotSatisfiable  Code = "RANGE_NOT_SATISFIABLE"
	InvalidSelection     Code = "INVALID_SELECTION"
	ReplayNotFound       Code = "REPLAY_NOT_FOUND"
	ReplayEnded          Code = "REPLAY_ENDED"
	DeadLetterNotFound   Code = "DEAD_LETTER_NOT_FOUND"
	JobEnded             Code = "JOB_ENDED"
	DeadlineExceeded     Code = "DEADLINE_EXCEEDED"
	JobDeleted           Code = "JOB_DELETED"
	JobNotEnded          Code = "JOB_NOT_ENDED"
	RateLimited          Code = "RATE_LIMITED"
	QuotaExceeded        Code = "QUOTA_EXCEEDED"
	TooManyJobs          Code = "TOO_MANY_JOBS"
	KeyNotFound          Code = "KEY_NOT_FOUND"
	EndpointNotFound     Code = "ENDPOINT_NOT_FOUND"
	DeliveryNotFound     Code = "DELIVERY_NOT_FOUND"
	AddressForbidden     Code = "ADDRESS_FORBIDDEN"
	ServiceUnavailable   Code = "SERVICE_UNAVAILABLE"
	Internal             Code = "INTERNAL"

	DocumentEncrypted    Code = "DOCUMENT_ENCRYPTED"
	DocumentCorrupt      Code = "DOCUMENT_CORRUPT"
	DocumentEmpty        Code = "DOCUMENT_EMPTY"
	DocumentTooManyPages Code = "DOCUMENT_TOO_MANY_PAGES"
	DocumentUnsupported  Code = "DOCUMENT_UNSUPPORTED"
	DocumentTooLarge     Code = "DOCUMENT_TOO_LARGE"
	DocumentTooDense     Code = "DOCUMENT_TOO_DENSE"
	DocumentTooDeep      Code = "DOCUMENT_TOO_DEEP"
	DocumentEntities     Code = "DOCUMENT_ENTITIES"
	ConverterMissing     Code = "CONVERTER_MISSING"
	PagesOutOfRange      Code = "PAGES_OUT_OF_RANGE"
	SourceMissing        Code = "SOURCE_MISSING"
	SourceChanged        Code = "SOURCE_CHANGED"
	SourceForbidden      Code = "SOURCE_FORBIDDEN"

	URLBlocked     Code = "URL_BLOCKED"
	URLUnreachable Code = "URL_UNREACHABLE"
	URLRefused     Code = "URL_REFUSED"
	URLTooLarge    Code = "URL_TOO_LARGE"
	URLTimeout     Code = "URL_TIMEOUT"

	PageCorrupt       Code = "PAGE_CORRUPT"
	PageTooLarge      Code = "PAGE_TOO_LARGE"
	RenderFailed      Code = "RENDER_FAILED"
	LayoutFailed      Code = "LAYOUT_FAILED"
	OCRFailed         Code = "OCR_FAILED"
	ComposeFailed     Code = "COMPOSE_FAILED"
	PrepareFailed     Code = "PREPARE_FAILED"
	EngineCrashed     Code = "ENGINE_CRASHED"
	EngineTimeout     Code = "ENGINE_TIMEOUT"
	EngineOutOfMemory Code = "ENGINE_OUT_OF_MEMORY"
	EngineUnavailable Code = "ENGINE_UNAVAILABLE"

	DeadLetterNotRedrivable Code = "DEAD_LETTER_NOT_REDRIVABLE"

	RecordUndecodable Code = "RECORD_UNDECODABLE"
	SignatureInvalid  Code = "SIGNATURE_INVALID"
	TenantForged      Code = "TENANT_FORGED"
	SubmissionInvalid Code = "SUBMISSION_INVALID"
	StageFailed       Code = "STAGE_FAILED"
)

// Codes is the closed table; a test holds that every constant above is in it.
var Codes = map[Code]Info{
	InvalidRequest:       {http.StatusBadRequest, false, "The request could not be understood."},
	InvalidOption:        {http.StatusBadRequest, false, "An option has a value outside its documented set."},
	OptionNotAvailable:   {http.StatusBadRequest, false, "The option exists but this deployment does not offer it yet."},
	MissingFile:          {http.StatusBadRequest, false, "The multipart body has no field named file."},
	EmptyFile:            {http.StatusBadRequest, false, "The file has no bytes."},
	FileTooLarge:         {http.StatusRequestEntityTooLarge, false, "The file is larger than the limit."},
	UnsupportedMediaType: {http.StatusUnsupportedMediaType, false, "The bytes are of a type Docstream does not read."},
	MediaTypeMismatch:    {http.StatusUnsupportedMediaType, false, "The declared type and the bytes disagree."},
	UploadInterrupted:    {http.StatusBadRequest, true, "The upload ended before the file did."},
	IdempotencyKeyReused: {http.StatusUnprocessableEntity, false, "The Idempotency-Key was used for another request."},
	IdempotencyInFlight:  {http.StatusConflict, true, "A request with the same Idempotency-Key is still being answered."},
	UploadNotFound:       {http.StatusNotFound, false, "No such upload exists for this tenant."},
	UploadExpired:        {http.StatusGone, false, "The upload was not completed in time."},
	UploadIncomplete:     {http.StatusConflict, true, "The bytes of the upload have not all arrived yet."},
	UploadMismatch:       {http.StatusUnprocessableEntity, false, "The bytes that were uploaded are not those that were announced."},
	UploadUsed:           {http.StatusConflict, false, "The upload was submitted before, with other options."},
	BatchNotFound:        {http.StatusNotFound, false, "No such batch exists for this tenant."},
	BatchInvalid:         {http.StatusBadRequest, false, "The batch is not written as a batch is."},
	BatchTooLarge:        {http.StatusRequestEntityTooLarge, false, "The batch has more items, or more bytes, than a batch may have."},
	Unauthenticated:      {http.StatusUnauthorized, false, "The API key is missing, unknown, expired or revoked."},
	Forbidden:            {http.StatusForbidden, false, "The API key may not do this."},
	JobNotFound:          {http.StatusNotFound, false, "No such job exists for this tenant."},
	RouteNotFound:        {http.StatusNotFound, false, "No such address exists."},
	MethodNotAllowed:     {http.StatusMethodNotAllowed, false, "The address does not take this method."},
	ResultNotReady:       {http.StatusAccepted, true, "The job is still being worked on."},
	ResultNotAvailable:   {http.StatusConflict, false, "The job ended without a result."},
	ResultExpired:        {http.StatusGone, false, "The result is no longer kept."},
	TableNotFound:        {http.StatusNotFound, false, "The result has no such table."},
	PageNotFound:         {http.StatusNotFound, false, "The job was not asked for such a page."},
	FigureNotFound:       {http.StatusNotFound, false, "The page has no such figure with a picture."},
	RangeNotSatisfiable:  {http.StatusRequestedRangeNotSatisfiable, false, "The range lies behind the end."},
	FormatNotComposed:    {http.StatusNotAcceptable, false, "The job was not asked to compose this format."},
	InvalidSelection:     {http.StatusBadRequest, false, "The selection of a replay names nothing, or a criterion has a value outside its documented set."},
	DeadLetterNotFound:   {http.StatusNotFound, false, "No such dead letter exists for this tenant."},
	JobEnded:             {http.StatusConflict, false, "The job has ended already."},
	DeadlineExceeded:     {http.StatusConflict, true, "The deadline of the job passed before the job had ended."},
	JobNotEnded:          {http.StatusConflict, true, "The job has not ended yet."},
	JobDeleted:           {http.StatusGone, false, "The job was deleted."},
	ReplayNotFound:       {http.StatusNotFound, false, "No such replay exists for this tenant."},
	ReplayEnded:          {http.StatusConflict, false, "The replay has ended already."},
	RateLimited:          {http.StatusTooManyRequests, true, "The tenant sent more requests than its plan allows; send again after Retry-After."},
	QuotaExceeded:        {http.StatusTooManyRequests, true, "The tenant has used the pages its plan allows for the day or the month."},
	TooManyJobs:          {http.StatusTooManyRequests, true, "As many jobs of the tenant are under way as its plan allows."},
	KeyNotFound:          {http.StatusNotFound, false, "No such API key exists for this tenant."},
	EndpointNotFound:     {http.StatusNotFound, false, "No such webhook endpoint exists for this tenant."},
	DeliveryNotFound:     {http.StatusNotFound, false, "No such webhook delivery is known for this tenant."},
	AddressForbidden:     {http.StatusBadRequest, false, "The address is not one that may be asked."},
	ServiceUnavailable:   {http.StatusServiceUnavailable, true, "A part the answer depends on cannot be reached now."},
	Internal:             {http.StatusInternalServerError, true, "Something went wrong that should not have."},

	DocumentEncrypted:    {http.StatusUnprocessableEntity, false, "The document needs a password."},
	DocumentCorrupt:      {http.StatusUnprocessableEntity, false, "The document is damaged and cannot be opened."},
	DocumentEmpty:        {http.StatusUnprocessableEntity, false, "The document has no pages."},
	DocumentTooManyPages: {http.StatusUnprocessableEntity, false, "The document has more pages than the limit."},
	DocumentUnsupported:  {http.StatusUnprocessableEntity, false, "The document is of a kind Docstream does not read."},
	DocumentTooLarge:     {http.StatusUnprocessableEntity, false, "The document unpacks to more than the limit."},
	DocumentTooDense:     {http.StatusUnprocessableEntity, false, "The document unpacks to far more than its size can account for."},
	DocumentTooDeep:      {http.StatusUnprocessableEntity, false, "The document is nested deeper than the limit."},
	DocumentEntities:     {http.StatusUnprocessableEntity, false, "The document declares entities of its own, which are not expanded."},
	ConverterMissing:     {http.StatusUnprocessableEntity, false, "This deployment has no LibreOffice to convert documents of old Office formats with."},
	PagesOutOfRange:      {http.StatusUnprocessableEntity, false, "The selection names no page of the document."},
	SourceMissing:        {http.StatusUnprocessableEntity, false, "The source object is gone."},
	SourceChanged:        {http.StatusUnprocessableEntity, false, "The source object is not the one that was submitted."},
	SourceForbidden:      {http.StatusUnprocessableEntity, false, "The source does not lie where sources of this tenant may lie."},

	URLBlocked:     {http.StatusUnprocessableEntity, false, "The address is not one that documents may be fetched from."},
	URLUnreachable: {http.StatusUnprocessableEntity, true, "The address did not answer."},
	URLRefused:     {http.StatusUnprocessableEntity, true, "The address does not give the document."},
	URLTooLarge:    {http.StatusUnprocessableEntity, false, "The address gives more bytes than the limit."},
	URLTimeout:     {http.StatusUnprocessableEntity, true, "The address did not give the document in time."},

	PageCorrupt:       {http.StatusUnprocessableEntity, false, "The page is damaged and cannot be read."},
	PageTooLarge:      {http.StatusUnprocessableEntity, false, "The page has more pixels than the limit."},
	RenderFailed:      {http.StatusUnprocessableEntity, true, "The page could not be turned into an image."},
	LayoutFailed:      {http.StatusUnprocessableEntity, true, "The layout of the page could not be found."},
	OCRFailed:         {http.StatusUnprocessableEntity, true, "The text of the page could not be recognised."},
	ComposeFailed:     {http.StatusUnprocessableEntity, true, "The outputs could not be written."},
	PrepareFailed:     {http.StatusUnprocessableEntity, true, "The document could not be split into pages."},
	EngineCrashed:     {http.StatusUnprocessableEntity, true, "The engine crashed on this page or document."},
	EngineTimeout:     {http.StatusUnprocessableEntity, true, "The page or document took longer than its deadline."},
	EngineOutOfMemory: {http.StatusUnprocessableEntity, true, "The page or document needs more memory than the limit."},
	EngineUnavailable: {http.StatusServiceUnavailable, true, "The engine cannot be started."},

	DeadLetterNotRedrivable: {http.StatusConflict, false, "The dead letter cannot be redriven: it is closed, belongs to no job, or its job runs or ran again."},

	RecordUndecodable: {http.StatusUnprocessableEntity, false, "The record is not an event Docstream can read."},
	SignatureInvalid:  {http.StatusForbidden, false, "The record does not prove its tenant."},
	TenantForged:      {http.StatusForbidden, false, "The record names another tenant than its key is of."},
	SubmissionInvalid: {http.StatusUnprocessableEntity, false, "The submission says what it may not say, or lies in the wrong lane."},
	StageFailed:       {http.StatusUnprocessableEntity, true, "The stage failed for a reason nobody foresaw."},
}
