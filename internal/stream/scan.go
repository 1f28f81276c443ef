package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/topology"
	"docstream/schemas"
)

// Scan is one reading of a topic, without a group, from given offsets to where the topic ends when it begins.
type Scan struct {
	Conn  Connection
	Plan  topology.Config
	Codec *schemas.Codec

	// From says where to begin in each partition. It counts for the topic with the id it names; a partition that is not named is read from
	// its first record.
	From []schemas.Progress
	// Since begins with what was appended then, where From says nothing; zero: the first record.
	Since time.Time
	// Gap is told of records that should have been read and are gone; may be nil.
	Gap func(partition int32, first, next int64)
	// Yield takes the committed records, each partition's in order, the partitions mixed. Event is nil where a value cannot be read.
	Yield func(schemas.Record) error
}

// Read reads the topic, given without prefix.
func (s Scan) Read(ctx context.Context, topic string) error {
	full := s.Plan.Name(topic)
	admin, err := s.Conn.Client()
	if err != nil {
		return err
	}
	defer admin.Close()
	from, ends, err := s.bounds(ctx, kadm.NewClient(admin), topic)
	if err != nil || len(ends) == 0 {
		return err
	}
	at := map[int32]kgo.Offset{}
	for n, next := range from {
		if _, ok := ends[n]; ok {
			at[n] = kgo.NewOffset().At(next)
		}
	}
	// Control records are kept, because the last record below the end usually is one.
	cl, err := s.Conn.Client(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxBytes(16<<20),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{full: at}))
	if err != nil {
		return err
	}
	defer cl.Close()
	for len(ends) > 0 {
		f := cl.PollRecords(ctx, 10_000)
		if err := f.Err(); err != nil {
			return fmt.Errorf("reading %s: %w", full, err)
		}
		for _, r := range f.Records() {
			if err := s.one(ctx, topic, r, ends); err != nil {
				return err
			}
		}
	}
	return nil
}

// one yields a record unless its partition is done.
func (s Scan) one(ctx context.Context, topic string, r *kgo.Record, ends map[int32]int64) error {
	end, ok := ends[r.Partition]
	if !ok {
		return nil
	}
	if r.Offset+1 >= end {
		delete(ends, r.Partition)
	}
	if r.Attrs.IsControl() || r.Offset >= end {
		return nil
	}
	rec := bare(topic, r)
	var err error
	if rec.Event, err = s.Codec.Decode(ctx, r.Value); err != nil && !errors.Is(err, schemas.ErrUndecodable) {
		return err
	}
	return s.Yield(rec)
}

// bounds says where to begin and where to end in each partition that has something to read.
func (s Scan) bounds(ctx context.Context, adm *kadm.Client, topic string) (from, ends map[int32]int64, err error) {
	full := s.Plan.Name(topic)
	details, err := adm.ListTopics(ctx, full)
	if err != nil {
		return nil, nil, err
	}
	starts, err := adm.ListStartOffsets(ctx, full)
	if err != nil {
		return nil, nil, err
	}
	if !s.Since.IsZero() {
		if starts, err = adm.ListOffsetsAfterMilli(ctx, s.Since.UnixMilli(), full); err != nil {
			return nil, nil, err
		}
	}
	stable, err := adm.ListCommittedOffsets(ctx, full)
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(starts.Error(), stable.Error()); err != nil {
		return nil, nil, err
	}
	from, ends = map[int32]int64{}, map[int32]int64{}
	starts.Each(func(o kadm.ListedOffset) { from[o.Partition] = o.Offset })
	id := ""
	if d := details[full]; d.ID != (kadm.TopicID{}) {
		id = d.ID.String()
	}
	for _, p := range s.From {
		first, ok := from[p.Partition.Number]
		if !ok || p.Partition.TopicID != id {
			continue
		}
		if p.Next < first && s.Gap != nil {
			s.Gap(p.Partition.Number, p.Next, first)
		}
		from[p.Partition.Number] = max(first, p.Next)
	}
	stable.Each(func(o kadm.ListedOffset) {
		if o.Offset > from[o.Partition] {
			ends[o.Partition] = o.Offset
		}
	})
	return from, ends, nil
}

// bare is a record as it lies in the log, with the topic's name in the plan.
func bare(topic string, r *kgo.Record) schemas.Record {
	rec := schemas.Record{Topic: topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value}
	rec.Headers = make([]schemas.RecordHeader, len(r.Headers))
	for i, h := range r.Headers {
		rec.Headers[i] = schemas.RecordHeader{Key: h.Key, Value: h.Value}
	}
	return rec
}
