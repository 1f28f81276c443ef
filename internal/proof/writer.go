package proof

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"docstream/internal/fault"
	"docstream/internal/topology"
	"docstream/schemas"
)

// Writer is who wrote a record, and what it may say there.
type Writer struct {
	tenant string // of the producer key
	any    bool   // may name any tenant
	house  bool
	lane   topology.Lane
	at     time.Time
	most   int64
}

// House reports whether the record came in through a door of the house, which holds what comes in to every rule before it signs.
func (w Writer) House() bool { return w.house }

// What a submission's own words may take.
const (
	maxMetadataKeys  = 50
	maxMetadataBytes = 8 << 10
	maxText          = 1024 // of a key, a name, a version
)

// skew is how far a producer's clock may be ahead of the log's.
const skew = 10 * time.Minute

// The values that options may have.
var (
	formats  = []string{"markdown", "json", "html", "csv", "text"}
	ocrModes = []string{"", "auto", "force", "off"}
)

// Admit returns the submission of an event, or why the writer may not say it. The judgement is the same whenever and wherever it is made.
func (w Writer) Admit(e schemas.Event) (*schemas.DocumentSubmitted, *fault.Error) {
	s, ok := e.(*schemas.DocumentSubmitted)
	if !ok {
		kind := "nothing"
		if e != nil {
			kind = e.Kind()
		}
		return nil, undecodable(fmt.Errorf("the record is a %s", kind))
	}
	if !w.any && s.Tenant != w.tenant {
		return s, coded(schemas.TenantForged, fmt.Errorf("the key is tenant %s's", w.tenant))
	}
	if s.Run != 0 || s.FromPage > 1 || !schemas.ValidTenant(s.Tenant) || !schemas.ValidJobID(s.JobID) {
		return s, invalid("It needs a tenant, a job id, run 0 and page 1.")
	}
	if w.house {
		return s, nil
	}
	return s, w.foreign(s)
}

// foreign holds a submission that no door of ours has looked at to what the doors hold theirs to.
func (w Writer) foreign(s *schemas.DocumentSubmitted) *fault.Error {
	switch {
	case s.Class != w.lane.Class || s.Priority != w.lane.Priority:
		return invalid("Class and priority are not those of the lane it lies in.")
	case s.SubmittedAt.IsZero() || s.SubmittedAt.After(w.at.Add(skew)):
		return invalid("The time it was submitted is missing or lies ahead.")
	case s.Source.Key == "" || s.Source.Size < 1:
		return invalid("The source needs a key and its size in bytes.")
	case s.Source.Size > w.most:
		return fault.Document(schemas.FileTooLarge, "The document has %d bytes; upstream systems may submit %d.", s.Source.Size, w.most)
	case long(s.Source.Bucket, s.Source.Key, s.Source.Version, s.Source.ETag, s.Source.SHA256, s.Source.MediaType, s.Source.Filename, s.APIKeyID):
		return invalid("A text is longer than 1024 bytes or not UTF-8.")
	case s.BaseJob != "" || s.FromStage != "":
		return invalid("Which job's pages are kept is not the writer's to say.")
	case s.RequestID != "" && !schemas.ValidRequestID(s.RequestID):
		return invalid("The request id is not of the form [A-Za-z0-9_.:-]{1,80}.")
	case !slices.Contains(ocrModes, s.Options.OCR):
		return option("The option ocr is auto, force or off.")
	case slices.ContainsFunc(s.Options.OutputFormats, func(f string) bool { return !slices.Contains(formats, f) }):
		return option("The output formats are " + strings.Join(formats, ", ") + ".")
	}
	if _, err := schemas.ParseRanges(s.Options.Pages); err != nil {
		return option("The page selection is not of the form 1-3,7.")
	}
	bytes := 0
	for k, v := range s.Metadata {
		if bytes += len(k) + len(v); k == "" || !utf8.ValidString(k) || !utf8.ValidString(v) {
			return option("Metadata needs names, and is UTF-8.")
		}
	}
	if len(s.Metadata) > maxMetadataKeys || bytes > maxMetadataBytes {
		return option("The metadata has more than 50 keys or 8192 bytes.")
	}
	return nil
}

func long(texts ...string) bool {
	return slices.ContainsFunc(texts, func(s string) bool { return len(s) > maxText || !utf8.ValidString(s) })
}

// Stub is the submission that stands for one which was not admitted, so that its producer can follow what became of it; nil where nobody
// proved a tenant to tell. It holds nothing of the record but its ids: the job's is the submission's own, else the record's key, else one
// derived from where the record lies. See [schemas.Door] why it cannot touch a job that is known.
func (w Writer) Stub(r Record, key string, s *schemas.DocumentSubmitted) *schemas.DocumentSubmitted {
	tenant := w.tenant
	if w.house || w.any && s == nil {
		return nil
	}
	if w.any {
		tenant = s.Tenant
	}
	if !schemas.ValidTenant(tenant) || s != nil && s.Tenant != tenant {
		return nil
	}
	job := key
	if s != nil {
		job = s.JobID
	}
	if !schemas.ValidJobID(job) {
		job = schemas.JobIDFor("refused", tenant, r.Topic, fmt.Sprint(r.Partition), fmt.Sprint(r.Offset))
	}
	return &schemas.DocumentSubmitted{FromPage: 1, Class: w.lane.Class, Priority: w.lane.Priority, Options: schemas.Options{OCR: "auto"},
		Head: schemas.Head{Tenant: tenant, JobID: job, At: r.At, SubmittedAt: r.At, EventID: schemas.EventIDFor(job, 0, schemas.Door, 0, "DocumentSubmitted", 0)}}
}

func coded(code schemas.Code, why error) *fault.Error {
	return fault.Document(code, "%s", schemas.Codes[code].Meaning).Because(why)
}

func undecodable(why error) *fault.Error { return coded(schemas.RecordUndecodable, why) }

func invalid(message string) *fault.Error {
	return fault.Document(schemas.SubmissionInvalid, "%s", message)
}

func option(message string) *fault.Error { return fault.Document(schemas.InvalidOption, "%s", message) }
