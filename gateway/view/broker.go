package view

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// broker asks the brokers about the log; it reads none of it on the view's behalf.
type broker struct {
	cl  *kgo.Client
	adm *kadm.Client
}

// The timestamps that ask for an end of the log instead of a time.
const (
	latest   = int64(-1)
	earliest = int64(-2)
)

// The isolation levels: with committed, the latest offset is the last stable one, else the high watermark.
const (
	uncommitted = int8(0)
	committed   = int8(1)
)

// partitions returns how many partitions each topic has; one that does not exist is an error.
func (b *broker) partitions(ctx context.Context, topics []string) (map[string]int32, error) {
	details, err := b.adm.ListTopics(ctx, topics...)
	if err != nil {
		return nil, err
	}
	out := map[string]int32{}
	for _, t := range topics {
		d, ok := details[t]
		if !ok || d.Err != nil || len(d.Partitions) == 0 {
			return nil, fmt.Errorf("topic %s does not exist", t)
		}
		out[t] = int32(len(d.Partitions))
	}
	return out, nil
}

// ids returns what tells each topic from others of its name.
func (b *broker) ids(ctx context.Context, topics []string) (map[string]topicID, error) {
	details, err := b.adm.ListTopics(ctx, topics...)
	if err != nil {
		return nil, err
	}
	out := map[string]topicID{}
	for _, t := range topics {
		d, ok := details[t]
		if !ok || d.Err != nil {
			return nil, fmt.Errorf("topic %s does not exist", t)
		}
		out[t] = topicID(d.ID)
	}
	return out, nil
}

// offsets returns the offset of each partition at one end of the log.
func (b *broker) offsets(ctx context.Context, of []place, at int64, isolation int8) (map[place]int64, error) {
	resp, err := b.cl.Request(ctx, listOffsets(of, at, isolation))
	if err != nil {
		return nil, fmt.Errorf("asking for the ends of the log: %w", err)
	}
	out := make(map[place]int64, len(of))
	return out, readOffsets(resp.(*kmsg.ListOffsetsResponse), len(of), out)
}

// listOffsets is the request for the offset of each partition at one end of the log.
func listOffsets(of []place, at int64, isolation int8) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel = -1, isolation
	byTopic := map[string]int{}
	for _, p := range of {
		i, ok := byTopic[p.topic]
		if !ok {
			i = len(req.Topics)
			byTopic[p.topic] = i
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic = p.topic
			req.Topics = append(req.Topics, t)
		}
		part := kmsg.NewListOffsetsRequestTopicPartition()
		part.Partition, part.Timestamp = p.partition, at
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, part)
	}
	return req
}

// readOffsets takes the offsets of so many partitions out of an answer.
func readOffsets(resp *kmsg.ListOffsetsResponse, asked int, into map[place]int64) error {
	got := 0
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("asking for the end of %s/%d: %w", t.Topic, p.Partition, err)
			}
			into[place{t.Topic, p.Partition}] = p.Offset
			got++
		}
	}
	if got != asked {
		return fmt.Errorf("asked for the ends of %d partitions, got %d", asked, got)
	}
	return nil
}

// leaders returns who leads each partition as of now; one that nobody leads is an error.
func (b *broker) leaders(ctx context.Context, of []place) (map[place]int32, error) {
	req := kmsg.NewPtrMetadataRequest()
	for i, p := range of {
		if slices.ContainsFunc(of[:i], func(q place) bool { return q.topic == p.topic }) {
			continue
		}
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &p.topic
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, b.cl)
	if err != nil {
		return nil, fmt.Errorf("asking who leads: %w", err)
	}
	out := make(map[place]int32, len(of))
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if t.Topic != nil && p.Leader >= 0 {
				out[place{*t.Topic, p.Partition}] = p.Leader
			}
		}
	}
	for _, p := range of {
		if _, ok := out[p]; !ok {
			return nil, fmt.Errorf("nobody leads %s/%d", p.topic, p.partition)
		}
	}
	return out, nil
}

// committed returns what a group has committed on a topic; a partition it never committed on is missing.
func (b *broker) committed(ctx context.Context, group, topic string) (map[place]int64, error) {
	resp, err := b.adm.FetchOffsets(ctx, group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("asking what %s has committed: %w", group, err)
	}
	out := map[place]int64{}
	for partition, o := range resp[topic] {
		if o.Err != nil {
			return nil, fmt.Errorf("asking what %s has committed: %w", group, o.Err)
		}
		if o.At >= 0 {
			out[place{topic, partition}] = o.At
		}
	}
	return out, nil
}

// peek looks at the log from an offset on, read committed. data is the offset of the first record there that is no marker, -1 where it saw
// none; next is how far it looked.
func (b *broker) peek(ctx context.Context, p place, from int64, isolation int8) (data, next int64, kept int, err error) {
	part, err := b.fetch(ctx, p, from, isolation)
	if err != nil {
		return -1, from, 0, err
	}
	return look(p, from, isolation, part)
}

// fetch asks a partition's leader once for what lies from an offset on.
func (b *broker) fetch(ctx context.Context, p place, from int64, isolation int8) (*kmsg.FetchResponseTopicPartition, error) {
	details, err := b.adm.ListTopics(ctx, p.topic)
	if err != nil {
		return nil, err
	}
	leader := details[p.topic].Partitions[p.partition].Leader
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.PartitionMaxBytes = p.partition, from, 1<<20
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID, topic.Partitions = p.topic, details[p.topic].ID, []kmsg.FetchRequestTopicPartition{part}
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxBytes, req.IsolationLevel, req.SessionEpoch = -1, 1<<20, isolation, -1
	req.Topics = []kmsg.FetchRequestTopic{topic}
	resp, err := b.cl.Broker(int(leader)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	f := resp.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(f.ErrorCode); err != nil {
		return nil, err
	}
	if len(f.Topics) != 1 || len(f.Topics[0].Partitions) != 1 {
		return nil, fmt.Errorf("looking at %s/%d: an empty answer", p.topic, p.partition)
	}
	return &f.Topics[0].Partitions[0], nil
}

// look reads the answer of peek. What lies before the log's start is gone: nothing is there any more.
func look(p place, from int64, isolation int8, part *kmsg.FetchResponseTopicPartition) (data, next int64, kept int, err error) {
	if err := kerr.ErrorForCode(part.ErrorCode); err != nil {
		if errors.Is(err, kerr.OffsetOutOfRange) && part.LogStartOffset > from {
			return -1, part.LogStartOffset, 0, nil
		}
		return -1, from, 0, fmt.Errorf("looking at %s/%d: %w", p.topic, p.partition, err)
	}
	level := kgo.ReadUncommitted()
	if isolation == committed {
		level = kgo.ReadCommitted()
	}
	got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: from, IsolationLevel: level, Topic: p.topic, Partition: p.partition, KeepControlRecords: true,
	}, part, kgo.DefaultDecompressor(), nil)
	if got.Err != nil {
		return -1, from, 0, got.Err
	}
	for _, r := range got.Records {
		if !r.Attrs.IsControl() {
			return r.Offset, next, len(got.Records), nil
		}
	}
	return -1, max(next, from), len(got.Records), nil
}
