package stream_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/proof"
	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/schemas"
)

// foreign is an upstream system: a broker, a producer key of acme and its records.
type foreign struct {
	*world
	key   schemas.SigningKey
	event *schemas.ProducerKeyChanged
}

const foreignLane = "documents.cpu.normal"

// believing starts a harness whose workers follow the settings and returns an upstream system with a key of acme.
func believing(t *testing.T, cfg proof.Config, work stream.Work[*schemas.DocumentSubmitted]) *foreign {
	w := newWorld(t)
	token, e, err := proof.NewKey(w.key, "acme", "upstream")
	if err != nil {
		t.Fatal(err)
	}
	k, _ := proof.Split(token)
	v := proof.New(cfg, w.key, w.plan, slog.New(slog.DiscardHandler))
	s, err := stream.OpenSettings(w.conn, w.plan, w.codec, slog.New(slog.DiscardHandler), v.Take)
	if err != nil {
		t.Fatal(err)
	}
	v.Fresh(s.Fresh)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		s.Close()
	})
	h := w.harness(nil)
	h.Believe(v)
	stream.AddStage(h, topology.Prepare, "cpu", work)
	w.start(h)
	return &foreign{w, k, e}
}

func (f *foreign) submission(n int) *schemas.DocumentSubmitted {
	now := time.Now()
	return &schemas.DocumentSubmitted{Head: schemas.Head{Tenant: "acme", JobID: job(n), At: now, SubmittedAt: now}, FromPage: 1, Class: "cpu", Priority: "normal",
		Source: schemas.Source{Key: "sources/acme/x", Size: 3}}
}

// write appends a value under the key of the job, signed with k where it has an id.
func (f *foreign) write(k schemas.SigningKey, n int, value []byte) {
	f.t.Helper()
	r := &kgo.Record{Topic: f.plan.Name(foreignLane), Key: []byte(job(n)), Value: value}
	if k.ID != "" {
		r.Headers = []kgo.RecordHeader{{Key: schemas.HeaderSignature, Value: []byte(k.Sign(r.Topic, value))}}
	}
	if err := f.cl.ProduceSync(f.t.Context(), r).FirstErr(); err != nil {
		f.t.Fatal(err)
	}
}

func (f *foreign) wire(e schemas.Event) []byte {
	f.t.Helper()
	b, err := f.codec.Encode(e)
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

func TestARecordIsWorkedOnlyWhereItsProducerProvesItsTenant(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  func(*proof.Config)
		make func(f *foreign) (schemas.SigningKey, []byte)
		code string // of the dead letter; empty where the stage sees the record
		fact bool   // whether the fold is told
	}{
		{"a producer's own tenant", nil, func(f *foreign) (schemas.SigningKey, []byte) { return f.key, f.wire(f.submission(1)) }, "", false},
		{"unsigned, in a trusted lane", func(c *proof.Config) { c.Trusted = []string{foreignLane} },
			func(f *foreign) (schemas.SigningKey, []byte) { return schemas.SigningKey{}, f.wire(f.submission(1)) }, "", false},
		{"unsigned", nil, func(f *foreign) (schemas.SigningKey, []byte) { return schemas.SigningKey{}, f.wire(f.submission(1)) }, "SIGNATURE_INVALID", false},
		{"a key nobody made", nil, func(f *foreign) (schemas.SigningKey, []byte) {
			return schemas.SigningKey{ID: "0123456789abcdef", Secret: []byte("x")}, f.wire(f.submission(1))
		}, "SIGNATURE_INVALID", false},
		{"a forged tenant", nil, func(f *foreign) (schemas.SigningKey, []byte) {
			s := f.submission(1)
			s.Tenant = "rival"
			return f.key, f.wire(s)
		}, "TENANT_FORGED", false},
		{"plain JSON", nil, func(f *foreign) (schemas.SigningKey, []byte) { return f.key, []byte(`{"job":1}`) }, "RECORD_UNDECODABLE", true},
		{"an unknown schema", nil, func(f *foreign) (schemas.SigningKey, []byte) { return f.key, []byte{0, 0, 9, 99, 99, 1, 2} }, "RECORD_UNDECODABLE", true},
		{"another event", nil, func(f *foreign) (schemas.SigningKey, []byte) { return f.key, f.wire(prepared(1, 1)) }, "RECORD_UNDECODABLE", true},
		{"the wrong lane", nil, func(f *foreign) (schemas.SigningKey, []byte) {
			s := f.submission(1)
			s.Priority = "high"
			return f.key, f.wire(s)
		}, "SUBMISSION_INVALID", true},
		{"too large", nil, func(f *foreign) (schemas.SigningKey, []byte) {
			s := f.submission(1)
			s.Source.Size = 1 << 40
			return f.key, f.wire(s)
		}, "FILE_TOO_LARGE", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := proof.DefaultConfig()
			if c.cfg != nil {
				c.cfg(&cfg)
			}
			seen := make(chan string, 10)
			f := believing(t, cfg, func(_ context.Context, e *schemas.DocumentSubmitted, _ schemas.Delivery) ([]schemas.Event, error) {
				seen <- e.Tenant + "/" + e.JobID
				return nil, nil
			})
			f.publish(f.event)
			k, value := c.make(f)
			f.write(k, 1, value)
			f.write(f.key, 2, f.wire(f.submission(2))) // the lane goes on
			want := "acme/" + job(2)
			if c.code == "" {
				want = "acme/" + job(1)
			}
			for got := ""; got != want; {
				select {
				case got = <-seen:
					if c.code != "" && got == "acme/"+job(1) {
						t.Fatal("the stage saw the record")
					}
				case <-time.After(30 * time.Second):
					t.Fatal("the lane stands still")
				}
			}
			if c.code == "" {
				return
			}
			dead := f.read("dlq.prepare", 1)[0]
			if got := stream.Header(dead, schemas.HeaderDeadCode); got != c.code || !bytes.Equal(dead.Value, value) {
				t.Errorf("code %q, want %q; its bytes %q", got, c.code, dead.Value)
			}
			f.publish(&schemas.CancelRequested{Head: schemas.Head{Tenant: "acme", JobID: job(3)}}) // after which nothing of the record comes any more
			first := f.decode(f.read("facts", 1)[0])
			if !c.fact {
				if first.Kind() != "CancelRequested" {
					t.Errorf("it left the fact %s", first.Kind())
				}
				return
			}
			for _, r := range f.read("facts", 3) {
				e, h := f.decode(r), f.decode(r).Envelope()
				if refused, ok := e.(*schemas.DocumentRefused); ok && (refused.Code != c.code || h.JobID != job(1) || h.Tenant != "acme" || refused.Stage != schemas.Door) {
					t.Errorf("the fold is told %+v", refused)
				}
			}
		})
	}
}

func TestRotationReachesARunningWorker(t *testing.T) {
	seen := make(chan string, 100)
	f := believing(t, proof.DefaultConfig(), func(_ context.Context, e *schemas.DocumentSubmitted, _ schemas.Delivery) ([]schemas.Event, error) {
		seen <- e.JobID
		return nil, nil
	})
	await := func(n int) {
		t.Helper()
		select {
		case got := <-seen:
			if got != job(n) {
				t.Fatalf("the stage saw %s, want job %d", got, n)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("job %d did not come", n)
		}
	}
	f.publish(f.event)
	f.write(f.key, 1, f.wire(f.submission(1))) // at once: the key may be younger than what the worker has read
	await(1)

	ends, err := stream.LaneEnds(t.Context(), f.conn, f.plan)
	if err != nil {
		t.Fatal(err)
	}
	retired := proof.Retire(f.event, ends)
	f.publish(retired)
	token, next, _ := proof.NewKey(f.world.key, "acme", "next")
	k, _ := proof.Split(token)
	f.publish(next)
	f.write(k, 2, f.wire(f.submission(2))) // an unknown key makes the worker read the settings to their end
	await(2)
	f.write(f.key, 3, f.wire(f.submission(3)))
	if dead := f.read("dlq.prepare", 1)[0]; string(dead.Key) != job(3) {
		t.Errorf("the dead letter is %s", dead.Key)
	}
	f.publish(proof.Revoke(next))
	for deadline := time.Now().Add(30 * time.Second); ; { // within seconds, not at once
		f.write(k, 4, f.wire(f.submission(4)))
		select {
		case <-seen:
			if time.Now().After(deadline) {
				t.Fatal("a revoked key is still believed")
			}
			continue
		case <-time.After(2 * time.Second):
		}
		break
	}
	f.read("dlq.prepare", 2)
}
