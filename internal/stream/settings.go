package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/pause"
	"docstream/internal/topology"
	"docstream/schemas"
)

// Settings reads the settings, in no group and from their begin on. It is the one reader of all who need them whole: roles that follow
// them call Run and, before they rely on what they know, Fresh; commands call Read.
type Settings struct {
	client *kgo.Client
	adm    *kadm.Client
	codec  *schemas.Codec
	topic  string
	take   func(name string, e schemas.Event)
	log    *slog.Logger

	mu     sync.Mutex
	at     int64         // behind the last record taken
	moved  chan struct{} // closed and replaced whenever at moves
	asking *question     // about the end of the settings, that somebody may still join
}

// question is one look at the end of the settings. Whoever joins it before it is asked may rely on the answer.
type question struct {
	done chan struct{}
	end  int64
	err  error
}

// OpenSettings returns a reader that hands every setting to take, in the order of the log; a nil event means that the setting was deleted.
// Settings of a newer build, which cannot be read, are passed over. Nothing is called yet.
func OpenSettings(conn Connection, plan topology.Config, codec *schemas.Codec, log *slog.Logger, take func(name string, e schemas.Event)) (*Settings, error) {
	topic := plan.Name(topology.Settings.Spec.Name)
	cl, err := conn.Client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}), kgo.KeepControlRecords(),
		kgo.FetchMaxWait(500*time.Millisecond), kgo.FetchMaxBytes(8<<20))
	if err != nil {
		return nil, err
	}
	return &Settings{client: cl, adm: kadm.NewClient(cl), codec: codec, topic: topic, take: take, log: log, moved: make(chan struct{})}, nil
}

// Close ends the reader.
func (s *Settings) Close() { s.client.Close() }

// Run follows the settings until ctx ends; brokers that do not answer are waited for.
func (s *Settings) Run(ctx context.Context) error {
	for wait := 100 * time.Millisecond; ctx.Err() == nil; {
		if err := s.poll(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "the settings cannot be read now", "error", err)
			pause.For(ctx, wait)
			wait = min(2*wait, 5*time.Second)
			continue
		}
		wait = 100 * time.Millisecond
	}
	return nil
}

// Read takes what was written since the last read, to the end that the settings have now. It is for those who do not Run.
func (s *Settings) Read(ctx context.Context) error {
	end, err := s.end(ctx)
	if err != nil {
		return err
	}
	for s.at < end {
		if err := s.poll(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Fresh waits until everything that was written before the call has been taken. Whoever asks at the same time shares one look at the end.
func (s *Settings) Fresh(ctx context.Context) error {
	end, err := s.ask(ctx)
	if err != nil {
		return err
	}
	for {
		s.mu.Lock()
		at, moved := s.at, s.moved
		s.mu.Unlock()
		if at >= end {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		}
	}
}

// gathers is how long a question waits for others to join it: a flood of unknown keys costs one look each time.
const gathers = 2 * time.Millisecond

// ask returns where the settings end at some time after the call.
func (s *Settings) ask(ctx context.Context) (int64, error) {
	s.mu.Lock()
	q := s.asking
	if q == nil {
		q = &question{done: make(chan struct{})}
		s.asking = q
		go func() {
			time.Sleep(gathers)
			s.mu.Lock()
			s.asking = nil
			s.mu.Unlock()
			look, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			q.end, q.err = s.end(look)
			close(q.done)
		}()
	}
	s.mu.Unlock()
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-q.done:
		return q.end, q.err
	}
}

// end returns the offset behind the last record of the settings' only partition.
func (s *Settings) end(ctx context.Context) (int64, error) {
	ends, err := s.adm.ListEndOffsets(ctx, s.topic)
	if err != nil {
		return 0, err
	}
	o, ok := ends.Lookup(s.topic, 0)
	if !ok || o.Err != nil {
		return 0, errors.Join(fmt.Errorf("the brokers know no topic %s: run docstream topics apply", s.topic), o.Err)
	}
	return o.Offset, nil
}

// poll takes one fetch.
func (s *Settings) poll(ctx context.Context) error {
	f := s.client.PollFetches(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for it := f.RecordIter(); !it.Done(); {
		r := it.Next()
		if !r.Attrs.IsControl() {
			if err := s.one(ctx, r); err != nil {
				return err
			}
		}
		s.mu.Lock()
		s.at = r.Offset + 1
		close(s.moved)
		s.moved = make(chan struct{})
		s.mu.Unlock()
	}
	return f.Err()
}

// one takes a record. A registry that does not answer is waited for: a key that is passed over would be a revocation not heard of.
func (s *Settings) one(ctx context.Context, r *kgo.Record) error {
	if len(r.Value) == 0 {
		s.take(string(r.Key), nil)
		return nil
	}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		e, err := s.codec.Decode(ctx, r.Value)
		switch {
		case err == nil:
			s.take(string(r.Key), e)
			return nil
		case errors.Is(err, schemas.ErrUndecodable):
			return nil
		}
		s.log.WarnContext(ctx, "the settings wait for the schema registry", "error", err)
		if !pause.For(ctx, wait) {
			return context.Cause(ctx)
		}
	}
}

// LaneEnds are the ends of the documents lanes as they are now.
func LaneEnds(ctx context.Context, conn Connection, plan topology.Config) ([]schemas.LaneEnd, error) {
	cl, err := conn.Client()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	var topics []string
	for _, l := range topology.Documents.All() {
		topics = append(topics, plan.Name(l.Topic))
	}
	listed, err := kadm.NewClient(cl).ListEndOffsets(ctx, topics...)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("asking for the ends of the documents lanes: %w", err)
	}
	var out []schemas.LaneEnd
	for _, o := range listed.Offsets().Sorted() {
		out = append(out, schemas.LaneEnd{Topic: o.Topic, Partition: int(o.Partition), Offset: o.At})
	}
	return out, nil
}
