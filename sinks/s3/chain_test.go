package s3_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"docstream/internal/blob"
	"docstream/internal/testenv"
	"docstream/schemas"
	"docstream/sinks/s3"
)

// worker is one member of a group that archives a partition, alive or thought dead.
type worker struct {
	sink *s3.Sink
	at   int // index of the next record it would be given
}

// TestWhateverDiesTheArchiveHasEveryRecordOnce: workers open, read, store, die in the middle of a write, or go on long after another one has
// taken over. Readers and tools that only see files find every record once.
func TestWhateverDiesTheArchiveHasEveryRecordOnce(t *testing.T) {
	o := objects(t, testenv.S3(t))
	rounds := 60
	if n, err := strconv.Atoi(os.Getenv("DOCSTREAM_TEST_ROUNDS")); err == nil {
		rounds = n
	}
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 7))
		topic := fmt.Sprintf("facts%d", seed)
		log := written(r, topic, 3, 40+r.IntN(80))
		part := schemas.Partition{Topic: topic, TopicID: "id", Number: 3}
		var workers []*worker
		begin := func(objects s3.Objects) *worker {
			w := &worker{sink: sink(objects, small())}
			w.at = after(log, open(t, w.sink, part))
			return w
		}
		for range 60 {
			switch n := len(workers); {
			case n == 0 || r.IntN(8) == 0:
				workers = append(workers, begin(&mortal{Objects: o, left: 1 + r.IntN(6), done: r.IntN(2) == 0}))
			case r.IntN(3) > 0:
				w := workers[r.IntN(n)]
				to := min(len(log), w.at+1+r.IntN(20))
				appendAll(t, w.sink, log[w.at:to])
				w.at = to
			default:
				i := r.IntN(n)
				w := workers[i]
				done, err := w.sink.Store(t.Context(), true)
				for _, p := range done {
					if p.Moved {
						w.at = after(log, p.Next)
					}
				}
				if errors.Is(err, errCrashed) {
					workers = append(workers[:i], workers[i+1:]...)
				} else if err != nil {
					t.Fatal(err)
				}
			}
		}
		// The last one lives, and reads to the end.
		for last := begin(o); ; {
			appendAll(t, last.sink, log[last.at:])
			last.at = len(log)
			done := store(t, last.sink)
			if len(done) == 0 {
				break
			}
			if p := done[len(done)-1]; p.Moved {
				last.at = after(log, p.Next)
			}
		}
		same(t, all(t, o, topic), log)
		n := 0
		for _, key := range keys(t, o, "archive/"+topic+"/") {
			n += len(contentOf(t, content(t, o, key)))
		}
		if n != len(log) {
			t.Errorf("seed %d: the files hold %d records, the log has %d", seed, n, len(log))
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// after returns the index of the first record from an offset on.
func after(log []schemas.Record, offset int64) int {
	for i, r := range log {
		if r.Offset >= offset {
			return i
		}
	}
	return len(log)
}

func TestOfTwoWorkersAtOnceOneWritesAndTheOtherGoesOnBehindIt(t *testing.T) {
	o := objects(t, testenv.S3(t))
	log := written(rand.New(rand.NewPCG(1, 1)), "facts", 0, 30)
	for i := range log {
		log[i].Timestamp = day
	}
	part := schemas.Partition{Topic: "facts", TopicID: "id"}
	old, young := sink(o, small()), sink(o, small())
	if a, b := open(t, old, part), open(t, young, part); a != -1 || b != -1 {
		t.Errorf("an empty archive is at %d and %d", a, b)
	}
	appendAll(t, old, log[:20])
	appendAll(t, young, log[:10])
	store(t, young)
	done := store(t, old)
	if want := log[9].Offset + 1; len(done) != 1 || !done[0].Moved || done[0].Next != want {
		t.Fatalf("the late one was told %+v, want to move to %d", done, want)
	}
	appendAll(t, old, log[10:])
	store(t, old)
	if next := open(t, young, part); next != log[29].Offset+1 {
		t.Errorf("archived up to %d, want %d", next, log[29].Offset+1)
	}
	same(t, all(t, o, "facts"), log)
}

func TestAPartitionIsFoundAgainWhereItsNoteIsLost(t *testing.T) {
	cfg := testenv.S3(t)
	o := objects(t, cfg)
	log := written(rand.New(rand.NewPCG(2, 1)), "facts", 0, 200)
	part := schemas.Partition{Topic: "facts", TopicID: "id"}
	for spoil, write := range map[string]func(){
		"gone":   func() { _ = o.Delete(t.Context(), "archive/_positions/facts/p=0.json") },
		"broken": func() { put(t, o, "archive/_positions/facts/p=0.json", []byte("{")) },
		"old":    func() {},
	} {
		t.Run(spoil, func(t *testing.T) {
			s := sink(o, small())
			at := after(log, open(t, s, part))
			appendAll(t, s, log[at:min(len(log), at+50)])
			store(t, s)
			write()
		})
	}
	s := sink(o, small())
	appendAll(t, s, log[after(log, open(t, s, part)):])
	store(t, s)
	same(t, all(t, o, "facts"), log)
}

func TestATopicMadeAnewIsAnotherLog(t *testing.T) {
	o := objects(t, testenv.S3(t))
	first := written(rand.New(rand.NewPCG(3, 1)), "facts", 0, 30)
	second := written(rand.New(rand.NewPCG(4, 1)), "facts", 0, 50)
	for _, c := range []struct {
		id  string
		log []schemas.Record
	}{{"one", first}, {"two", second}} {
		s := sink(o, small())
		if next := open(t, s, schemas.Partition{Topic: "facts", TopicID: c.id}); next != -1 {
			t.Errorf("topic %s begins at %d", c.id, next)
		}
		appendAll(t, s, c.log)
		store(t, s)
	}
	same(t, all(t, o, "facts"), append(append([]schemas.Record{}, first...), second...))

	t.Run("and a worker that still reads the old one does no harm", func(t *testing.T) {
		s := sink(o, small())
		open(t, s, schemas.Partition{Topic: "facts", TopicID: "three"})
		late := sink(o, small())
		open(t, late, schemas.Partition{Topic: "facts", TopicID: "four"}) // nobody has a file of either yet
		appendAll(t, s, first)
		store(t, s)
		appendAll(t, late, second)
		if done := store(t, late); len(done) != 1 || !done[0].Moved || done[0].Next != 0 {
			t.Fatalf("the second one was told %+v", done)
		}
		appendAll(t, late, second)
		store(t, late)
		want := append(append([]schemas.Record{}, first...), second...)
		same(t, all(t, o, "facts"), append(want, want...))
	})
}

func TestFilesNeverSpanDays(t *testing.T) {
	o := objects(t, testenv.S3(t))
	log := written(rand.New(rand.NewPCG(5, 1)), "facts", 0, 100)
	s := sink(o, small())
	open(t, s, schemas.Partition{Topic: "facts", TopicID: "id"})
	appendAll(t, s, log)
	store(t, s)
	days := map[string]bool{}
	for _, key := range keys(t, o, "archive/facts/") {
		for _, r := range contentOf(t, content(t, o, key)) {
			d := r["timestamp"].(time.Time).UTC().Format(time.DateOnly)
			days[d] = true
			if want := "archive/facts/dt=" + d + "/p=0/0000-"; len(key) < len(want) || key[:len(want)] != want {
				t.Errorf("a record of %s lies in %s", d, key)
			}
		}
	}
	if len(days) < 2 {
		t.Errorf("the test has only %d days", len(days))
	}
}

func TestFilesAreEndedBySizeAgeAndMemory(t *testing.T) {
	o := objects(t, testenv.S3(t))
	r := rand.New(rand.NewPCG(6, 1))
	noise := func(topic string, n int) []schemas.Record {
		out := make([]schemas.Record, n)
		for i := range out {
			b := make([]byte, 10_000)
			for k := range b {
				b[k] = byte(r.Uint32())
			}
			out[i] = schemas.Record{Topic: topic, Offset: int64(i), Timestamp: day, Value: b}
		}
		return out
	}
	for _, c := range []struct {
		name    string
		cfg     s3.Config
		records int
		wait    time.Duration
		least   int
		most    int
	}{
		{"nothing is due yet", s3.Config{FileBytes: 1 << 20, BufferBytes: 1 << 20, FileAge: time.Hour, Uploads: 1}, 30, 0, 0, 0},
		{"by size", s3.Config{FileBytes: 100_000, BufferBytes: 1 << 30, FileAge: time.Hour, Uploads: 1}, 100, 0, 5, 12},
		{"by age", s3.Config{FileBytes: 1 << 20, BufferBytes: 1 << 20, FileAge: time.Second, Uploads: 1}, 30, 1100 * time.Millisecond, 1, 1},
		{"by memory", s3.Config{FileBytes: 400_000, BufferBytes: 400_000, FileAge: time.Hour, Uploads: 1}, 39, 0, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			topic := "t" + strconv.Itoa(r.IntN(1e9))
			s := sink(o, c.cfg)
			open(t, s, schemas.Partition{Topic: topic, TopicID: "id"})
			appendAll(t, s, noise(topic, c.records))
			time.Sleep(c.wait)
			if _, err := s.Store(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			if n := len(keys(t, o, "archive/"+topic+"/")); n < c.least || n > c.most {
				t.Errorf("%d files, want %d to %d", n, c.least, c.most)
			}
			if s.Full() {
				t.Error("it is full after it has stored")
			}
		})
	}
}

func TestAStoreThatIsAwayLosesNothing(t *testing.T) {
	cfg := testenv.S3(t)
	o := objects(t, cfg)
	log := written(rand.New(rand.NewPCG(8, 1)), "facts", 0, 60)
	away := &mortal{Objects: o, left: 1}
	s := sink(away, small())
	open(t, s, schemas.Partition{Topic: "facts", TopicID: "id"})
	appendAll(t, s, log[:40])
	if _, err := s.Store(t.Context(), true); !errors.Is(err, errCrashed) {
		t.Fatalf("stored: %v", err)
	}
	away.left = 1000
	appendAll(t, s, log[40:])
	store(t, s)
	same(t, all(t, o, "facts"), log)
}

var _ s3.Objects = (*blob.S3)(nil)
