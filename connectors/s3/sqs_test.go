package s3_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"docstream/internal/stream"
	"docstream/internal/testenv"
)

// queue is an SQS queue of moto's.
type queue struct {
	t      testing.TB
	client *sqs.Client
	url    string
}

// useQueue points the world's connector at a queue of its own.
func (w *world) useQueue() *queue {
	w.t.Helper()
	addr := testenv.Moto(w.t)
	w.cfg.Endpoint, w.cfg.AccessKey, w.cfg.SecretKey = addr, "test", "test"
	q := &queue{t: w.t, client: sqs.New(sqs.Options{Region: w.cfg.Region, BaseEndpoint: &addr, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})}
	out, err := q.client.CreateQueue(w.t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("notes")})
	if err != nil {
		w.t.Fatal(err)
	}
	q.url = *out.QueueUrl
	w.cfg.Queue, w.cfg.Visibility = q.url, 6*time.Second
	return q
}

func (q *queue) send(bodies ...string) {
	q.t.Helper()
	for len(bodies) > 0 {
		n := min(10, len(bodies))
		in := &sqs.SendMessageBatchInput{QueueUrl: &q.url}
		for i, b := range bodies[:n] {
			in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: &b})
		}
		if out, err := q.client.SendMessageBatch(q.t.Context(), in); err != nil || len(out.Failed) > 0 {
			q.t.Fatalf("%v %v", err, out)
		}
		bodies = bodies[n:]
	}
}

// depth returns how many messages are there to be taken, and how many are in somebody's hand.
func (q *queue) depth() (visible, hidden int) {
	q.t.Helper()
	out, err := q.client.GetQueueAttributes(context.Background(), &sqs.GetQueueAttributesInput{QueueUrl: &q.url, AttributeNames: []types.QueueAttributeName{"All"}})
	if err != nil {
		q.t.Fatal(err)
	}
	visible, _ = strconv.Atoi(out.Attributes["ApproximateNumberOfMessages"])
	hidden, _ = strconv.Atoi(out.Attributes["ApproximateNumberOfMessagesNotVisible"])
	return visible, hidden
}

func (q *queue) empty() bool { v, h := q.depth(); return v+h == 0 }

func TestAQueueIsEmptiedOnceAllOfItIsDurable(t *testing.T) {
	w := newWorld(t)
	q := w.useQueue()
	var bodies []string
	for i := range 40 {
		bodies = append(bodies, message(created(fmt.Sprintf("in/%d.txt", i), i+1).record()))
	}
	poison := []string{"hello", `{"Records":[{"eventSource":"aws:s3"`, `{"hello":"world"}`}
	q.send(append(append(bodies, bodies[:5]...), poison...)...)
	connector, reg := w.connector()
	stop := w.run(connector.FromSQS)
	w.eventually("the queue to be empty", q.empty)
	if err := connector.Ready(); err != nil {
		t.Error(err)
	}
	stop()
	if n := len(w.submissions()); n < 40 || n > 45 {
		t.Errorf("%d submissions", n)
	}
	seen := map[string]bool{}
	for _, s := range w.submissions() {
		seen[s.JobID] = true
	}
	if len(seen) != 40 {
		t.Errorf("%d jobs", len(seen))
	}
	letters := w.letters()
	if len(letters) != len(poison) || w.outcomes(reg)["dead"] != len(poison) {
		t.Errorf("%d dead letters; counted %v", len(letters), w.outcomes(reg))
	}
	for _, b := range poison {
		isLetterOf(t, letters, b, "")
	}
	for _, l := range letters {
		if stream.Header(l, "sqs-message-id") == "" {
			t.Errorf("a dead letter does not say which message it was: %v", l.Headers)
		}
	}
}

// TestNothingIsDeletedWhileTheStoreOrTheLogIsAway: a message stays hidden for longer than its visibility while it waits, comes back when
// the connector stops, and is taken by the next one.
func TestNothingIsDeletedWhileTheStoreOrTheLogIsAway(t *testing.T) {
	w := newWorld(t)
	q := w.useQueue()
	w.left.fail = fmt.Errorf("away")
	old := created("in/old.txt", 1)
	old.at = time.Now().Add(-48 * time.Hour)
	q.send(message(old.record()))
	connector, _ := w.connector()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- connector.FromSQS(ctx) }()
	w.eventually("the message to be in hand", func() bool { v, h := q.depth(); return v == 0 && h == 1 })
	for end := time.Now().Add(w.cfg.Visibility + 3*time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if v, h := q.depth(); v != 0 || h != 1 {
			t.Fatalf("%d visible, %d hidden: it was shown to others or deleted", v, h)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if v, h := q.depth(); v != 1 || h != 0 {
		t.Errorf("after the stop: %d visible, %d hidden", v, h)
	}
	w.left.fail = nil
	next, _ := w.connector()
	stop := w.run(next.FromSQS)
	w.eventually("the next connector to take it", q.empty)
	stop()
	if n := len(w.submissions()); n != 1 {
		t.Errorf("%d submissions", n)
	}
}
