package verify

import (
	"context"
	"fmt"

	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/schemas"
)

// Log reads what the log says into the evidence: to the ends its topics have now.
func (e *Evidence) Log(ctx context.Context, conn stream.Connection, plan topology.Config, codec *schemas.Codec, key schemas.SigningKey) error {
	e.Submitted, e.States, e.Closed = map[Job]*schemas.DocumentSubmitted{}, map[Job]*schemas.JobSnapshot{}, map[Run]map[int]bool{}
	e.Archived = map[Job]bool{}
	e.Letters, e.Told, e.Days = map[string]int{}, map[string]int{}, map[Day]*schemas.UsageSummed{}
	read := func(topic string, yield func(schemas.Record)) error {
		return stream.Scan{Conn: conn, Plan: plan, Codec: codec, Yield: func(r schemas.Record) error { yield(r); return nil }}.Read(ctx, topic)
	}
	for _, lane := range topology.Documents.All() {
		err := read(lane.Topic, func(r schemas.Record) {
			s, ok := r.Event.(*schemas.DocumentSubmitted)
			if ok && key.Verify(r.Header(schemas.HeaderSignature), plan.Name(lane.Topic), r.Value) {
				e.Submitted[Job{s.Tenant, s.JobID}] = s
			}
		})
		if err != nil {
			return err
		}
	}
	told := map[string]bool{}
	for topic, yield := range map[string]func(schemas.Record){
		topology.Facts.Spec.Name:     func(r schemas.Record) { e.fact(r.Event, told) },
		topology.Jobs.Spec.Name:      func(r schemas.Record) { e.state(r.Event) },
		topology.JobEvents.Spec.Name: func(r schemas.Record) { e.changed(r.Event) },
		topology.Usage.Spec.Name: func(r schemas.Record) {
			if u, ok := r.Event.(*schemas.UsageRecorded); ok {
				e.Usage = append(e.Usage, u)
			}
		},
		topology.UsageDays.Spec.Name: func(r schemas.Record) {
			if s, ok := r.Event.(*schemas.UsageSummed); ok {
				e.Days[Day{s.Tenant, s.Day}] = s
			}
		},
	} {
		if err := read(topic, yield); err != nil {
			return err
		}
	}
	for _, stage := range topology.Readers {
		if err := read(topology.DeadLetters(stage), func(r schemas.Record) { e.letter(stage, r) }); err != nil {
			return err
		}
	}
	return nil
}

func (e *Evidence) state(event schemas.Event) {
	if s, ok := event.(*schemas.JobSnapshot); ok {
		e.States[Job{s.Tenant, s.JobID}] = s
	}
}

func (e *Evidence) changed(event schemas.Event) {
	if c, ok := event.(*schemas.JobChanged); ok {
		e.Changes = append(e.Changes, c)
	}
}

func (e *Evidence) fact(event schemas.Event, told map[string]bool) {
	closed := func(h *schemas.Head, page int, finished bool) {
		r := of(h)
		if e.Closed[r] == nil {
			e.Closed[r] = map[int]bool{}
		}
		e.Closed[r][page] = e.Closed[r][page] || finished
	}
	switch f := event.(type) {
	case *schemas.JobArchived:
		e.Archived[Job{f.Tenant, f.JobID}] = true
	case *schemas.PageFinished:
		closed(&f.Head, f.Page, true)
	case *schemas.PageFailed:
		closed(&f.Head, f.Page, false)
	case *schemas.DeadLettered:
		where := fmt.Sprint(f.Topic, f.Partition, f.Offset)
		if !told[where] {
			e.Told[f.Stage]++
		}
		told[where] = true
	}
}

// stages are the readers whose dead letters the fold is told of.
var stages = map[string]bool{topology.Prepare.Name: true, topology.Fetch.Name: true, topology.Layout.Name: true, topology.OCR.Name: true, topology.Compose.Name: true}

func (e *Evidence) letter(stage string, r schemas.Record) {
	if r.Header(schemas.HeaderDeadState) != "" {
		return // what became of a letter
	}
	if r.Header(schemas.HeaderDeadCode) == "" || r.Header(schemas.HeaderDeadTopic) == "" || r.Header(schemas.HeaderDeadOffset) == "" {
		e.Bare = append(e.Bare, fmt.Sprintf("%s/%d@%d", r.Topic, r.Partition, r.Offset))
	}
	code := r.Header(schemas.HeaderDeadCode)
	if stages[stage] && code != string(schemas.SignatureInvalid) && code != string(schemas.RecordUndecodable) {
		e.Letters[stage]++
	}
}
