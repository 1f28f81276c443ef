package broker

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// What is synced when cannot be seen from outside a running machine, so that it is tested from within.

func request(r kmsg.Request, id int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("a client")).AppendRequest(nil, r, id)
}

func produce(version int16, txn *string, topic string, partitions ...int32) *kmsg.ProduceRequest {
	r := kmsg.NewPtrProduceRequest()
	r.SetVersion(version)
	r.TransactionID, r.Acks = txn, -1
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	for _, n := range partitions {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = n, make([]byte, 5000)
		t.Partitions = append(t.Partitions, p)
	}
	r.Topics = append(r.Topics, t)
	return r
}

func TestOnlyAnAnswerThatPromisesSomethingWaits(t *testing.T) {
	txn := "a transaction"
	end := kmsg.NewPtrEndTxnRequest()
	end.SetVersion(3)
	fetch := kmsg.NewPtrFetchRequest()
	fetch.SetVersion(12)
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.SetVersion(8)
	for _, c := range []struct {
		what string
		req  kmsg.Request
		want []promise
	}{
		{"produce 3", produce(3, nil, "a", 0), []promise{batch}},
		{"produce 3 in a transaction", produce(3, &txn, "a", 0), nil},
		{"produce 9", produce(9, nil, "a", 0), []promise{batch}},
		{"produce 9 in a transaction", produce(9, &txn, "a", 0), nil},
		{"produce 12 in a transaction", produce(12, &txn, "a", 0), nil},
		{"the end of a transaction", end, []promise{rest}},
		{"a commit of offsets", commit, []promise{rest}},
		{"fetch", fetch, nil},
	} {
		stream := append(request(c.req, 7), request(fetch, 8)...)
		for _, piece := range []int{1, 3, 1000, len(stream)} {
			var f frames
			var asks []ask
			for chunk := range slices.Chunk(stream, piece) {
				f.see(chunk, func(head []byte) {
					if a, ok := asked(head); ok {
						asks = append(asks, a)
					}
				})
			}
			if want := []ask{{7, c.want}, {8, nil}}; !reflect.DeepEqual(asks, want) {
				t.Errorf("%s in pieces of %d: %v, want %v", c.what, piece, asks, want)
			}
		}
	}
}

// TestAnAnswerWaitsForASyncThatBeganAfterIt lets a sync begin before a batch is answered: the answer waits for the one after.
func TestAnAnswerWaitsForASyncThatBeganAfterIt(t *testing.T) {
	dir := t.TempDir()
	part := filepath.Join(dir, "partitions", "a-0")
	if err := os.MkdirAll(part, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"900.dat", "1000.dat", "2000.dat", "2000.idx"} {
		if err := os.WriteFile(filepath.Join(part, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := newSynced(dir, slog.New(slog.DiscardHandler))
	began, end := make(chan []string), make(chan error)
	s.sync = func(files []string) error { began <- files; return <-end }
	stop := make(chan struct{})
	defer close(stop)
	go s.run(stop)

	client, server := net.Pipe()
	c := &syncedConn{Conn: server, s: s}
	req := produce(9, nil, "a", 0)
	s.produced(req, nil)
	go s.wait(batch) // somebody else's
	<-began          // before the batch is written
	go func() { _, _ = client.Write(request(req, 1)) }()
	if _, err := c.Read(make([]byte, 1<<16)); err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{})
	go func() { _, _ = c.Write([]byte{0, 0, 0, 4, 0, 0, 0, 1}) }()
	go func() { _, _ = client.Read(make([]byte, 8)); close(answered) }()
	for len(s.kinds[batch].wake) == 0 { // the answer waits
		time.Sleep(time.Millisecond)
	}
	end <- nil
	files := <-began
	select {
	case <-answered:
		t.Fatal("answered by the sync that had begun before")
	default:
	}
	want := []string{filepath.Join(part, "1000.dat"), filepath.Join(part, "2000.dat")}
	if !slices.Equal(files, want) {
		t.Errorf("synced %v, want %v", files, want)
	}
	end <- nil
	<-answered
}

func TestTheEndOfATransactionSyncsWhatItTouched(t *testing.T) {
	dir := t.TempDir()
	for _, p := range []string{"a-0", "a-1", "b-0"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, "partitions", p), 0o700), os.WriteFile(filepath.Join(dir, "partitions", p, "0.dat"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	s := newSynced(dir, slog.New(slog.DiscardHandler))
	var seen []string
	s.sync = func(files []string) error { seen = files; return nil }
	check := func(when string, as promise, want ...string) {
		t.Helper()
		if err := s.flush(as); err != nil {
			t.Fatal(err)
		}
		var paths []string
		if as == rest {
			paths = []string{filepath.Join(dir, groupLog), filepath.Join(dir, producerLog)}
		}
		for _, p := range want {
			paths = append(paths, filepath.Join(dir, "partitions", p, "0.dat"))
		}
		slices.Sort(paths)
		if slices.Sort(seen); !slices.Equal(seen, paths) {
			t.Errorf("%s: synced %v, want %v", when, seen, paths)
		}
	}
	txn := "a transaction"
	s.produced(produce(9, &txn, "a", 0, 1), nil)
	s.produced(produce(9, nil, "b", 0), nil)
	check("a batch in a transaction", rest, "a-0", "a-1")
	check("a batch", batch, "b-0")
	check("it may not have been handled then", batch, "b-0")
	end := kmsg.NewPtrEndTxnRequest()
	end.TransactionalID = txn
	s.ending(end)
	check("the batch before", batch, "b-0")
	check("the marks at the end", rest, "a-0", "a-1")
	s.ending(end)
	check("an end without a transaction", rest, "a-0", "a-1")
	check("nothing since", rest)
	check("no batch since", batch)
}
