package deadletters

import (
	"context"
	"slices"
	"time"

	"docstream/internal/fault"
	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/producers"
	"docstream/producers/ended"
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
	case l.JobID == "" || job == nil || job.JobID != l.JobID || job.Tenant != l.Tenant || job.Source.Key == "" && job.Source.URL == "":
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
	return producers.Again(b.Codec.Encode, job, "redrive", now, func(sub *schemas.DocumentSubmitted) { producers.Keep(sub, job) })
}

// OfRun returns the letters of one run.
func OfRun(letters []Letter, run int) []Letter {
	return slices.DeleteFunc(slices.Clone(letters), func(l Letter) bool { return l.Run != run })
}

// Jobs reads the newest state of the jobs that letters belong to, by the keys of the plan. One that the log has let go of ended as the object
// store says.
func (b Box) Jobs(ctx context.Context, letters []Letter, objects ended.Objects) (map[string]*schemas.JobSnapshot, error) {
	out := map[string]*schemas.JobSnapshot{}
	for _, l := range letters {
		out[topology.JobKey(l.Tenant, l.JobID)] = nil
	}
	err := stream.Scan{Conn: b.Conn, Plan: b.Plan, Codec: b.Codec, Yield: func(r schemas.Record) error {
		s, ok := r.Event.(*schemas.JobSnapshot)
		if !ok { // a tombstone, or nothing that can be read
			if _, wanted := out[string(r.Key)]; wanted && len(r.Value) == 0 {
				out[string(r.Key)] = nil
			}
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
	for _, l := range letters {
		key := topology.JobKey(l.Tenant, l.JobID)
		if out[key] != nil || l.JobID == "" {
			continue
		}
		if out[key], err = ended.Job(ctx, objects, l.Tenant, l.JobID); err != nil {
			return nil, err
		}
	}
	return out, nil
}
