package producers

import (
	"fmt"
	"time"

	"docstream/schemas"
)

// Encode returns an event in its wire format.
type Encode func(schemas.Event) ([]byte, error)

// Encode returns an event in its wire format.
func (p *Producer) Encode(e schemas.Event) ([]byte, error) { return p.writer.Encode(e) }

// Again is the fact that asks for another run of a job that has ended: the same document with the same options, as change has it then. by
// names who asks. The fold opens the run only where it is still the next; so whoever asks twice asks for one run.
func Again(encode Encode, job *schemas.JobSnapshot, by string, now time.Time, change func(*schemas.DocumentSubmitted)) (*schemas.RunRequested, error) {
	h := job.Head
	h.At = now.UTC().Truncate(time.Microsecond)
	h.EventID = schemas.EventIDFor(h.JobID, h.Run+1, by, 0, "DocumentSubmitted", 0)
	sub := &schemas.DocumentSubmitted{Head: h, RequestID: job.RequestID, APIKeyID: job.APIKeyID, FromPage: 1, Class: job.Class, Priority: job.Priority,
		Source: job.Source, Options: job.Options, Metadata: job.Metadata, WebhookURL: job.WebhookURL}
	change(sub)
	wire, err := encode(sub)
	if err != nil {
		return nil, fmt.Errorf("the submission of %s: %w", h.JobID, err)
	}
	r := &schemas.RunRequested{Head: h, Submission: wire, AfterRun: job.Run, Version: job.Version, Runs: schemas.Lineage(job)}
	r.EventID = schemas.EventIDFor(h.JobID, h.Run, by, 0, r.Kind(), 0)
	return r, nil
}

// Keep lets a submission take over the pages that a run has finished. Under another pipeline version they are read again all the same.
func Keep(sub *schemas.DocumentSubmitted, job *schemas.JobSnapshot) {
	parts := schemas.Bitmap(job.Finished).Ranges()
	sub.BaseRun, sub.Kept, sub.KeptPipeline = job.Run, parts[:min(len(parts), maxParts)].String(), job.Pipeline
}

// maxParts is how many parts a selection may have.
const maxParts = 1000
