package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"docstream/internal/topology"
	"docstream/schemas"
)

// settingsLog reads the settings for a command, from their begin on.
type settingsLog struct {
	client *kgo.Client
	codec  *schemas.Codec
	topic  string
	at     int64
}

func openSettings(cfg Config) (*settingsLog, error) {
	topic := cfg.Topics.Name(topology.Settings.Spec.Name)
	client, err := cfg.Kafka.Client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		return nil, err
	}
	codec, err := cfg.Kafka.Codec()
	if err != nil {
		client.Close()
		return nil, err
	}
	return &settingsLog{client: client, codec: codec, topic: topic}, nil
}

func (l *settingsLog) close() { l.client.Close() }

// read hands over what was written since the last read, to the end that the topic has now.
func (l *settingsLog) read(ctx context.Context, each func(schemas.Event)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Second, errors.New("the brokers do not answer"))
	defer cancel()
	end, err := endOf(ctx, l.client, l.topic)
	if err != nil {
		return exit{exitUnreachable, err.Error()}
	}
	for l.at < end {
		fetched := l.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return exit{exitUnreachable, context.Cause(ctx).Error()}
		}
		if err := fetched.Err(); err != nil {
			return err
		}
		for r := range fetched.RecordsAll() {
			l.at = r.Offset + 1
			if len(r.Value) == 0 {
				continue // deleted
			}
			e, err := l.codec.Decode(ctx, r.Value)
			if err != nil {
				return err
			}
			each(e)
		}
	}
	return nil
}

// endOf returns the offset behind the last record of a topic's only partition.
func endOf(ctx context.Context, client *kgo.Client, topic string) (int64, error) {
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp = -1 // the end
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	r := kmsg.NewPtrListOffsetsRequest()
	r.Topics = append(r.Topics, t)
	for _, shard := range client.RequestSharded(ctx, r) {
		if shard.Err != nil {
			return 0, shard.Err
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				return p.Offset, nil
			}
		}
	}
	return 0, fmt.Errorf("the brokers know no topic %s: run docstream topics apply", topic)
}
