package stream

import (
	"context"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/schemas"
)

// counted is how far a state that adds up has counted each partition of what it reads, so that a record counts once, wherever the group's
// offsets say that reading begins: an operator may move them. Every state carries it, in the transaction that writes it.
type counted struct {
	topic   string // what the brokers call the topic: one that is made anew is counted anew
	offsets map[int32]int64
}

// has reports whether the state counts a record already.
func (c *counted) has(r *kgo.Record) bool {
	last, ok := c.offsets[r.Partition]
	return ok && r.Offset <= last
}

// header is what a state of the partition carries.
func (c *counted) header(partition int32) kgo.RecordHeader {
	return kgo.RecordHeader{Key: schemas.HeaderCounted, Value: []byte(strconv.FormatInt(c.offsets[partition], 10) + "@" + c.topic)}
}

// restore takes over what the newest state of a partition carried. A partition that ends before it has lost its tail: it is counted from
// where reading begins.
func (c *counted) restore(ctx context.Context, adm *kadm.Client, topic string, partition int32, newest string) error {
	topics, err := adm.ListTopics(ctx, topic)
	if err != nil {
		return err
	}
	c.topic = topics[topic].ID.String()
	_, end, err := bounds(ctx, adm, topic, partition)
	if err != nil {
		return err
	}
	delete(c.offsets, partition)
	text, id, _ := strings.Cut(newest, "@")
	last, err := strconv.ParseInt(text, 10, 64)
	if err == nil && id == c.topic && last < end {
		c.offsets[partition] = last
	}
	return nil
}
