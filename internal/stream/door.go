package stream

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/fault"
	"docstream/internal/proof"
	"docstream/schemas"
)

// Claim is what a record of a documents lane says of its writer.
func Claim(r *kgo.Record) proof.Record {
	return proof.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, At: r.Timestamp, Signature: Header(r, schemas.HeaderSignature), Value: r.Value}
}

// door looks at a record of a lane that is open to others before a stage does. One that does not prove its tenant is set aside and leaves
// no fact. One that does, but is no submission or says what its writer may not say, is set aside as well, and the fold is told of a job of
// the proved tenant that failed with the code (P3, P8).
func (l *laneRunner[I]) door(ctx context.Context, r *kgo.Record) (refused bool, out []*kgo.Record, err error) {
	who, err := l.h.proof.Prove(ctx, Claim(r))
	if ctx.Err() != nil {
		return true, nil, ctx.Err()
	}
	if err != nil {
		out, err = l.dead(ctx, r, nil, fault.Of(err), 0)
		return true, out, err
	}
	e, err := l.h.decode(ctx, r)
	if ctx.Err() != nil {
		return true, nil, ctx.Err()
	}
	var said *schemas.DocumentSubmitted
	var f *fault.Error
	if err != nil {
		f = fault.Document(schemas.RecordUndecodable, "%s", schemas.Codes[schemas.RecordUndecodable].Meaning).Because(err)
	} else if said, f = who.Admit(e); f == nil {
		return false, nil, nil
	}
	if out, err = l.dead(ctx, r, nil, f, 0); err != nil {
		return true, nil, err
	}
	facts, err := l.refusal(ctx, r, who.Stub(Claim(r), string(r.Key), said), f)
	return true, append(out, facts...), err
}

// refusal is what the fold is told; nothing where no tenant was proved.
func (l *laneRunner[I]) refusal(ctx context.Context, r *kgo.Record, stub *schemas.DocumentSubmitted, f *fault.Error) ([]*kgo.Record, error) {
	if stub == nil {
		return nil, nil
	}
	wire, err := l.h.codec.Encode(stub)
	if err != nil {
		return nil, err
	}
	head := func(kind string) schemas.Head {
		h := stub.Head
		h.At, h.EventID = time.Now().UTC(), schemas.EventIDFor(h.JobID, h.Run, schemas.Door, 0, kind, 0)
		return h
	}
	var out []*kgo.Record
	for _, fact := range []schemas.Event{
		&schemas.DeadLettered{Head: head("DeadLettered"), Stage: l.spec.Name, Class: f.Kind.String(), Code: string(f.Code), Message: f.Message,
			FromPage: 1, Topic: r.Topic, Partition: int(r.Partition), Offset: r.Offset, Submission: wire},
		&schemas.DocumentRefused{Head: head("DocumentRefused"), Submission: wire, Stage: schemas.Door, Code: string(f.Code), Message: f.Message},
	} {
		rec, err := l.writer.Record(ctx, fact, Header(r, schemas.HeaderRequestID))
		if err != nil {
			return nil, err
		}
		out = append(out, rec)
	}
	return out, nil
}
