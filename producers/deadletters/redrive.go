package deadletters

import (
	"context"
	"fmt"
	"slices"
	"time"

	"docstream/internal/fault"
	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/schemas"
)

// Redrivable says why a letter cannot be redriven; nil where it can. job is the newest that is known of the letter's job, nil: nothing.
func Redrivable(l Letter, job *schemas.JobSnapshot) error {
	no := func(format string, a ...any) error {
		return fault.Document(schemas.DeadLetterNotRedrivable, format, a...)
	}
	switch {
	case l.State != Open:
		return no("The dead letter was %s already.", l.State)
	case l.JobID == "" || job == nil || job.JobID != l.JobID || job.Tenant != l.Tenant || job.Source.Key == "":
		return no("The dead letter belongs to no job that could run again.")
	case !job.DeletedAt.IsZero():
		return no("The job was deleted.")
	case job.Run > l.Run:
		return no("Run %d of the job came after the dead letter.", job.Run)
	case !schemas.Terminal(job.Status):
		return no("The job is %s; it can run again when it has ended.", job.Status)
	}
	return nil
}

// Request is the fact that asks for another run of a letter's job: the same document with the same options, which keeps the pages that have a
// result. All letters of one run ask for the same run: it is opened once.
func (b Box) Request(l Letter, job *schemas.JobSnapshot, now time.Time) (*schemas.RunRequested, error) {
	if err := Redrivable(l, job); err != nil {
		return nil, err
	}
	h := job.Head
	h.At = now.UTC().Truncate(time.Microsecond)
	h.EventID = schemas.EventIDFor(h.JobID, h.Run+1, "redrive", 0, "DocumentSubmitted", 0)
	sub := &schemas.DocumentSubmitted{Head: h, RequestID: job.RequestID, APIKeyID: job.APIKeyID, FromPage: 1, Class: job.Class, Priority: job.Priority,
		Source: job.Source, Options: job.Options, Metadata: job.Metadata, BaseRun: job.Run, Kept: ranges(job.Finished), KeptPipeline: job.Pipeline}
	wire, err := b.Codec.Encode(sub)
	if err != nil {
		return nil, fmt.Errorf("the submission of %s: %w", h.JobID, err)
	}
	r := &schemas.RunRequested{Head: h, Submission: wire, AfterRun: job.Run}
	r.EventID = schemas.EventIDFor(h.JobID, h.Run, "redrive", 0, r.Kind(), 0)
	return r, nil
}

// OfRun returns the letters of one run.
func OfRun(letters []Letter, run int) []Letter {
	return slices.DeleteFunc(slices.Clone(letters), func(l Letter) bool { return l.Run != run })
}

// Jobs reads the newest state of the jobs that letters belong to, by the keys of the plan.
func (b Box) Jobs(ctx context.Context, letters []Letter) (map[string]*schemas.JobSnapshot, error) {
	out := map[string]*schemas.JobSnapshot{}
	for _, l := range letters {
		out[topology.JobKey(l.Tenant, l.JobID)] = nil
	}
	err := stream.Scan{Conn: b.Conn, Plan: b.Plan, Codec: b.Codec, Yield: func(r schemas.Record) error {
		s, ok := r.Event.(*schemas.JobSnapshot)
		if !ok {
			return nil
		}
		if _, wanted := out[topology.JobKey(s.Tenant, s.JobID)]; wanted {
			out[topology.JobKey(s.Tenant, s.JobID)] = s
		}
		return nil
	}}.Read(ctx, topology.Jobs.Spec.Name)
	if err != nil {
		return nil, fault.World(schemas.ServiceUnavailable, "The event log does not answer; try again.").Because(err)
	}
	return out, nil
}

// ranges writes a bitmap as ranges; one of more parts than a selection may have keeps the first ones.
func ranges(b schemas.Bitmap) string {
	parts := b.Ranges()
	return parts[:min(len(parts), maxParts)].String()
}

// maxParts is how many parts a selection may have.
const maxParts = 1000
