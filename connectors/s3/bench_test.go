package s3_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The benchmarks print events a second of the connector beside those of a bare consumer of the same messages, which does nothing with them.
const benchmarked = 10_000

func notes(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = message(created(fmt.Sprintf("in/%d.txt", i), i+1).record())
	}
	return out
}

func BenchmarkKafka(b *testing.B) {
	w := newWorld(b)
	w.notify(notes(benchmarked)...)
	b.Run("bare", func(b *testing.B) {
		for range b.N {
			cl, err := w.conn.Client(kgo.ConsumeTopics(w.cfg.Topic))
			if err != nil {
				b.Fatal(err)
			}
			for n := 0; n < benchmarked; {
				n += cl.PollFetches(b.Context()).NumRecords()
			}
			cl.Close()
		}
		b.ReportMetric(float64(b.N*benchmarked)/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("connector", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			fresh := newWorld(b)
			fresh.notify(notes(benchmarked)...)
			b.StartTimer()
			connector, reg := fresh.connector()
			stop := fresh.run(connector.FromKafka)
			for fresh.outcomes(reg)["messages"] < benchmarked {
				time.Sleep(time.Millisecond)
			}
			b.StopTimer()
			stop()
			b.StartTimer()
		}
		b.ReportMetric(float64(b.N*benchmarked)/b.Elapsed().Seconds(), "events/s")
	})
}

func BenchmarkSQS(b *testing.B) {
	const n = benchmarked / 10 // moto answers some hundred requests a second
	b.Run("bare", func(b *testing.B) {
		w := newWorld(b)
		q := w.useQueue()
		q.send(notes(n)...)
		b.ResetTimer()
		done := make(chan int, 4*n)
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		for range w.cfg.Receivers {
			go q.drain(ctx, done)
		}
		for got := 0; got < n; {
			got += <-done
		}
		b.StopTimer()
		b.ReportMetric(n/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("connector", func(b *testing.B) {
		w := newWorld(b)
		q := w.useQueue()
		q.send(notes(n)...)
		b.ResetTimer()
		connector, reg := w.connector()
		stop := w.run(connector.FromSQS)
		for w.outcomes(reg)["messages"] < n {
			time.Sleep(time.Millisecond)
		}
		b.StopTimer()
		b.ReportMetric(n/b.Elapsed().Seconds(), "events/s")
		stop()
	})
}

// drain receives and deletes, and does nothing else.
func (q *queue) drain(ctx context.Context, done chan<- int) {
	for ctx.Err() == nil {
		out, err := q.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &q.url, MaxNumberOfMessages: 10, WaitTimeSeconds: 1})
		if err != nil || len(out.Messages) == 0 {
			continue
		}
		in := &sqs.DeleteMessageBatchInput{QueueUrl: &q.url}
		for _, m := range out.Messages {
			in.Entries = append(in.Entries, types.DeleteMessageBatchRequestEntry{Id: m.MessageId, ReceiptHandle: m.ReceiptHandle})
		}
		if _, err := q.client.DeleteMessageBatch(ctx, in); err == nil {
			done <- len(out.Messages)
		}
	}
}
