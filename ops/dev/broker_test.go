package main_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

// house is a broker on fixed addresses that can be killed and started again.
type house struct {
	*running
	t    *testing.T
	args []string
}

func newHouse(t *testing.T, more ...string) *house {
	t.Helper()
	h := &house{t: t, args: append([]string{
		"broker", "--data", t.TempDir(), "--listen", freeAddress(t), "--registry", freeAddress(t),
	}, more...)}
	h.running = start(t, h.args...)
	return h
}

func (h *house) data() string { return h.args[2] }

func (h *house) restart() {
	h.t.Helper()
	h.running = start(h.t, h.args...)
}

func (h *house) client(opts ...kgo.Opt) *kgo.Client {
	h.t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(h.Addr), kgo.DisableClientMetrics()}, opts...)...) // their last push would wait for a broker that was killed
	check(h.t, err)
	h.t.Cleanup(c.Close)
	return c
}

func (h *house) topic(name string, partitions int32, configs map[string]*string) {
	h.t.Helper()
	_, err := kadm.NewClient(h.client()).CreateTopic(within(h.t, 10*time.Second), partitions, 1, configs, name)
	check(h.t, err)
}

// values reads a topic from its beginning to its end, committed records only.
func (h *house) values(topic string, opts ...kgo.Opt) []string {
	h.t.Helper()
	var out []string
	for _, r := range h.records(topic, opts...) {
		out = append(out, string(r.Value))
	}
	return out
}

func (h *house) records(topic string, opts ...kgo.Opt) []*kgo.Record {
	h.t.Helper()
	ctx := within(h.t, 20*time.Second)
	c := h.client(append([]kgo.Opt{
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
	}, opts...)...)
	ends, err := kadm.NewClient(c).ListEndOffsets(ctx, topic)
	check(h.t, err)
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	var out []*kgo.Record
	for len(left) > 0 {
		fetches := c.PollFetches(ctx)
		if errs := fetches.Errors(); len(errs) > 0 {
			h.t.Fatalf("reading %s: %v; still missing %v", topic, errs[0].Err, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			if !r.Attrs.IsControl() {
				out = append(out, r)
			}
		})
	}
	return out
}

func (h *house) transaction(c *kgo.Client, topic string, commit kgo.TransactionEndTry, values ...string) {
	h.t.Helper()
	ctx := within(h.t, 20*time.Second)
	check(h.t, c.BeginTransaction())
	for _, v := range values {
		check(h.t, c.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte(v), Value: []byte(v)}).FirstErr())
	}
	check(h.t, c.EndTransaction(ctx, commit))
}

// freeAddress is below the ports that the kernel gives to connections: a broker that was killed finds it free again.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(12000))))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

func TestBrokerKeepsCommittedAndAbortedTransactionsOverKills(t *testing.T) {
	h := newHouse(t)
	h.topic("t", 1, nil)
	c := h.client(kgo.TransactionalID("tx"))
	h.transaction(c, "t", kgo.TryCommit, "a", "b")
	h.transaction(c, "t", kgo.TryAbort, "lost")
	// One is open when the broker is killed.
	check(t, c.BeginTransaction())
	check(t, c.ProduceSync(within(t, 10*time.Second), &kgo.Record{Topic: "t", Value: []byte("never")}).FirstErr())
	h.kill()
	h.restart()
	if got := h.values("t"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("after a kill: %v", got)
	}
	// The same producer id goes on: what was open before must not be committed with it, not even by the next kill.
	again := h.client(kgo.TransactionalID("tx"))
	h.transaction(again, "t", kgo.TryCommit, "c")
	h.kill()
	h.restart()
	h.kill()
	h.restart()
	if got := h.values("t"); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("after three kills: %v", got)
	}
}

func TestBrokerKeepsGroupOffsetsOverKills(t *testing.T) {
	h := newHouse(t)
	h.topic("in", 2, nil)
	adm := kadm.NewClient(h.client())
	offsets := kadm.Offsets{}
	offsets.AddOffset("in", 1, 42, -1)
	check(t, adm.CommitAllOffsets(within(t, 10*time.Second), "g", offsets))
	h.kill()
	h.restart()
	got, err := kadm.NewClient(h.client()).FetchOffsets(within(t, 10*time.Second), "g")
	check(t, err)
	if o, _ := got.Lookup("in", 1); o.At != 42 {
		t.Errorf("committed offset is %d, want 42", o.At)
	}
}

// Kills at random moments while a group consumes, transforms and produces in transactions: the output holds each
// input exactly once.
func TestBrokerKeepsExactlyOnceOverRandomKills(t *testing.T) {
	const records = 400
	h := newHouse(t, "--clean-every", "100ms")
	compact := "compact"
	h.topic("in", 2, nil)
	h.topic("out", 3, nil)
	h.topic("state", 1, map[string]*string{"cleanup.policy": &compact})
	c := h.client()
	for i := range records {
		check(t, c.ProduceSync(within(t, 10*time.Second),
			&kgo.Record{Topic: "in", Value: []byte(strconv.Itoa(i))}).FirstErr())
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- copyInTransactions(ctx, h.Addr) }()
	for range 6 {
		time.Sleep(700 * time.Millisecond)
		h.kill()
		h.restart()
	}
	deadline := time.Now().Add(60 * time.Second)
	for len(h.values("out")) < records && time.Now().Before(deadline) {
		time.Sleep(300 * time.Millisecond)
	}
	stop()
	check(t, <-done)
	seen := map[string][]string{}
	for _, r := range h.records("out") {
		seen[string(r.Value)] = append(seen[string(r.Value)],
			fmt.Sprintf("%d@%d producer %d epoch %d", r.Partition, r.Offset, r.ProducerID, r.ProducerEpoch))
	}
	for i := range records {
		if at := seen[strconv.Itoa(i)]; len(at) != 1 {
			t.Errorf("record %d is in the output %d times: %v", i, len(at), at)
			t.Log(h.log)
		}
	}
	if got := h.values("state"); len(got) == 0 {
		t.Error("the compacted topic is empty")
	}
}

// copyInTransactions reads in, writes out and state, and commits offsets with them, until ctx ends.
func copyInTransactions(ctx context.Context, addr string) error {
	for ctx.Err() == nil {
		s, err := kgo.NewGroupTransactSession(
			kgo.SeedBrokers(addr), kgo.ConsumerGroup("copy"), kgo.ConsumeTopics("in"), kgo.TransactionalID("copy"),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.RequireStableFetchOffsets(), kgo.FetchMaxBytes(1024), kgo.SessionTimeout(3*time.Second),
			kgo.HeartbeatInterval(300*time.Millisecond), kgo.TransactionTimeout(5*time.Second),
		)
		if err != nil {
			return err
		}
		for ctx.Err() == nil {
			if err := copyOnce(ctx, s); err != nil && ctx.Err() == nil {
				break // a fenced or confused producer starts anew
			}
		}
		s.Close()
	}
	return nil
}

func copyOnce(ctx context.Context, s *kgo.GroupTransactSession) error {
	poll, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	fetches := s.PollRecords(poll, 7)
	if fetches.NumRecords() == 0 {
		return nil
	}
	if err := s.Begin(); err != nil {
		return err
	}
	end, cancelEnd := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancelEnd()
	first := kgo.AbortingFirstErrPromise(s.Client())
	fetches.EachRecord(func(r *kgo.Record) {
		n, _ := strconv.Atoi(string(r.Value))
		s.Produce(end, &kgo.Record{Topic: "out", Key: r.Value, Value: r.Value}, first.Promise())
		s.Produce(end, &kgo.Record{Topic: "state", Key: []byte(strconv.Itoa(n % 5)), Value: r.Value}, first.Promise())
	})
	produced := first.Err()
	_, err := s.End(end, kgo.TransactionEndTry(produced == nil))
	return errors.Join(produced, err)
}

func TestBrokerCompactsWithoutLosingTheTail(t *testing.T) {
	h := newHouse(t, "--clean-every", "200ms")
	compact := "compact"
	h.topic("c", 1, map[string]*string{"cleanup.policy": &compact, "delete.retention.ms": new("0")})
	c := h.client(kgo.TransactionalID("tx"))
	ctx := within(t, 30*time.Second)
	for i := range 20 {
		check(t, c.BeginTransaction())
		check(t, c.ProduceSync(ctx, &kgo.Record{Topic: "c", Key: []byte("k"), Value: fmt.Append(nil, i)}).FirstErr())
		check(t, c.EndTransaction(ctx, kgo.TryCommit))
	}
	eventually(t, "compaction", func() bool { return slices.Equal(h.values("c"), []string{"19"}) })
	ends, err := kadm.NewClient(h.client()).ListEndOffsets(ctx, "c")
	check(t, err)
	if o, _ := ends.Lookup("c", 0); o.Offset != 40 {
		t.Errorf("the end moved to %d", o.Offset)
	}
	// An open transaction holds compaction back: aborted, the old value must still be there.
	check(t, c.BeginTransaction())
	for range 3 {
		check(t, c.ProduceSync(ctx, &kgo.Record{Topic: "c", Key: []byte("k"), Value: []byte("aborted")}).FirstErr())
	}
	time.Sleep(time.Second)
	check(t, c.EndTransaction(ctx, kgo.TryAbort))
	time.Sleep(time.Second)
	if got := h.values("c"); !slices.Equal(got, []string{"19"}) {
		t.Errorf("after an aborted transaction: %v", got)
	}
	h.kill()
	h.restart()
	if got := h.values("c"); !slices.Equal(got, []string{"19"}) {
		t.Errorf("after a kill: %v", got)
	}
}

func TestBrokerDeliversTransactionMarkers(t *testing.T) {
	h := newHouse(t)
	h.topic("t", 1, nil)
	c := h.client(kgo.TransactionalID("tx"))
	h.transaction(c, "t", kgo.TryCommit, "a")
	h.transaction(c, "t", kgo.TryAbort, "b")
	ctx := within(t, 10*time.Second)
	reader := h.client(kgo.ConsumeTopics("t"), kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var kinds []string
	for len(kinds) < 4 {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("after %v: %v", kinds, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			switch {
			case !r.Attrs.IsControl():
				kinds = append(kinds, "data")
			case r.Key[3] == 1:
				kinds = append(kinds, "commit")
			default:
				kinds = append(kinds, "abort")
			}
		})
	}
	if want := []string{"data", "commit", "data", "abort"}; !slices.Equal(kinds, want) {
		t.Errorf("read %v, want %v", kinds, want)
	}
}

func TestBrokerCutsATornTailAndSaysSo(t *testing.T) {
	h := newHouse(t)
	h.topic("t", 1, nil)
	c := h.client()
	check(t, c.ProduceSync(within(t, 10*time.Second), &kgo.Record{Topic: "t", Value: []byte("whole")}).FirstErr())
	h.kill()
	segment := filepath.Join(h.data(), "log", "partitions", "t-0", "0.dat")
	data, err := os.ReadFile(segment)
	check(t, err)
	check(t, os.WriteFile(segment, append(data, data[:40]...), 0o600))
	h.restart()
	if got := h.values("t"); !slices.Equal(got, []string{"whole"}) {
		t.Errorf("read %v", got)
	}
	check(t, h.client().ProduceSync(within(t, 10*time.Second), &kgo.Record{Topic: "t", Value: []byte("more")}).FirstErr())
	h.kill()
	if !strings.Contains(h.log.String(), "cut off a torn tail") {
		t.Errorf("the log does not say it:\n%s", h.log)
	}
	h.restart()
	if got := h.values("t"); !slices.Equal(got, []string{"whole", "more"}) {
		t.Errorf("read %v", got)
	}
}

func TestBrokerPutsBackAPartitionWhoseCompactionWasKilled(t *testing.T) {
	h := newHouse(t)
	h.topic("t", 1, nil)
	check(t, h.client().ProduceSync(within(t, 10*time.Second), &kgo.Record{Topic: "t", Value: []byte("kept")}).FirstErr())
	h.kill()
	// What a kill leaves behind: the links, and a segment that was not written again.
	dir := filepath.Join(h.data(), "log", "partitions", "t-0")
	check(t, os.MkdirAll(filepath.Join(h.data(), "cleaning"), 0o700))
	check(t, os.Rename(dir, filepath.Join(h.data(), "cleaning", "t-0")))
	h.restart()
	if got := h.values("t"); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("read %v", got)
	}
}

func TestBrokerKeepsTheEndOfAnEmptiedPartition(t *testing.T) {
	h := newHouse(t, "--clean-every", "100ms")
	h.topic("t", 1, map[string]*string{"retention.ms": new("300")})
	for range 5 {
		check(t, h.client().ProduceSync(within(t, 10*time.Second), &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr())
	}
	adm := kadm.NewClient(h.client())
	eventually(t, "retention", func() bool {
		starts, err := adm.ListStartOffsets(within(t, 5*time.Second), "t")
		o, _ := starts.Lookup("t", 0)
		return err == nil && o.Offset == 5
	})
	time.Sleep(300 * time.Millisecond)
	h.kill()
	h.restart()
	ends, err := kadm.NewClient(h.client()).ListEndOffsets(within(t, 10*time.Second), "t")
	check(t, err)
	if o, _ := ends.Lookup("t", 0); o.Offset != 5 {
		t.Errorf("the end is %d after a restart, want 5", o.Offset)
	}
}

func TestBrokerRefusesToGrowPastItsLimit(t *testing.T) {
	h := newHouse(t, "--max-bytes", "200000")
	h.topic("t", 1, nil)
	c := h.client(kgo.ProducerBatchCompression(kgo.NoCompression()))
	var err error
	for range 10 {
		if err = c.ProduceSync(within(t, 10*time.Second), &kgo.Record{Topic: "t", Value: make([]byte, 50_000)}).FirstErr(); err != nil {
			break
		}
	}
	if !errors.Is(err, kerr.PolicyViolation) {
		t.Errorf("a full broker answers %v", err)
	}
	if !strings.Contains(h.log.String(), "the embedded broker is full") {
		t.Errorf("the log does not say why:\n%s", h.log)
	}
	h.stop()
	h.args = append(h.args, "--max-bytes", "1000")
	p := launch(t, h.args...)
	<-p.exited
	if !strings.Contains(p.log.String(), "more than max-bytes 1000") {
		t.Errorf("starts over its limit:\n%s", p.log)
	}
}

func TestRegistryKeepsIDsOverKills(t *testing.T) {
	h := newHouse(t)
	ctx := within(t, 20*time.Second)
	client := func() *sr.Client {
		c, err := sr.NewClient(sr.URLs(h.Registry))
		check(t, err)
		return c
	}
	ids := map[string]int{}
	for i := range 5 {
		subject := fmt.Sprintf("s%d-value", i)
		s, err := client().CreateSchema(ctx, subject, sr.Schema{Schema: fmt.Sprintf(`{"type":"fixed","name":"F%d","size":4}`, i)})
		check(t, err)
		ids[subject] = s.ID
	}
	h.kill()
	journal := filepath.Join(h.data(), "schemas.jsonl")
	data, err := os.ReadFile(journal)
	check(t, err)
	check(t, os.WriteFile(journal, append(data, `{"method":"PO`...), 0o600)) // torn
	h.restart()
	for subject, id := range ids {
		s, err := client().SchemaByVersion(ctx, subject, -1)
		check(t, err)
		if s.ID != id {
			t.Errorf("%s has id %d, had %d", subject, s.ID, id)
		}
	}
	s, err := client().CreateSchema(ctx, "new-value", sr.Schema{Schema: `"string"`})
	check(t, err)
	if s.ID != 6 {
		t.Errorf("the next schema has id %d, want 6", s.ID)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s did not happen", what)
}

// The fake ends a transaction partition by partition; a kill in between must not leave half of it.
func TestBrokerFinishesATransactionThatAKillInterrupted(t *testing.T) {
	h := newHouse(t)
	h.topic("t", 2, nil)
	h.topic("in", 4, nil)
	ctx := within(t, 30*time.Second)
	c := h.client(kgo.TransactionalID("tx"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	check(t, c.BeginTransaction())
	for p := range int32(2) {
		check(t, c.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: p, Value: fmt.Append(nil, "p", p)}).FirstErr())
	}
	pid, epoch, err := c.ProducerID(ctx)
	check(t, err)
	h.kill()
	// The decision was written; nothing of it was carried out.
	state, err := os.Stat(filepath.Join(h.data(), "log", "pids.log"))
	check(t, err)
	check(t, os.WriteFile(filepath.Join(h.data(), "decision.json"), fmt.Appendf(nil, `{"producer_id":%d,"epoch":%d,
		"commit":true,"bumps":true,"state_size":%d,"offsets":[{"group":"g","topic":"in","partition":3,"offset":7,"leader_epoch":-1}]}`,
		pid, epoch, state.Size()), 0o600))
	h.restart()
	got := h.values("t")
	slices.Sort(got)
	if !slices.Equal(got, []string{"p0", "p1"}) {
		t.Errorf("committed: %v", got)
	}
	offsets, err := kadm.NewClient(h.client()).FetchOffsets(ctx, "g")
	check(t, err)
	if o, _ := offsets.Lookup("in", 3); o.At != 7 {
		t.Errorf("the group's offset is %d, want 7", o.At)
	}
	// The producer never had an answer: its own retry is told that the transaction is committed.
	check(t, c.EndTransaction(ctx, kgo.TryCommit))
	check(t, c.BeginTransaction())
	check(t, c.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: 0, Value: []byte("next")}).FirstErr())
	check(t, c.EndTransaction(ctx, kgo.TryCommit))
	if got := h.values("t"); len(got) != 3 {
		t.Errorf("afterwards: %v", got)
	}
}
