package main_test

import (
	wire "encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// told is a committed record of a partition, by its number.
type told struct {
	offset int64
	number string
}

// committed reads what a topic tells, by partition.
func (h *house) committed(topic string) map[int32][]told {
	h.t.Helper()
	out := map[int32][]told{}
	for _, r := range h.records(topic) {
		number, _, _ := strings.Cut(string(r.Value), " ")
		out[r.Partition] = append(out[r.Partition], told{r.Offset, number})
	}
	return out
}

// history leaves a log with plain records, transactions over two partitions that were committed and aborted, and a group that read it all.
func (h *house) history() {
	h.t.Helper()
	h.topic("t", 2, nil)
	ctx := within(h.t, 60*time.Second)
	manual := kgo.RecordPartitioner(kgo.ManualPartitioner())
	plain, tx := h.client(manual), h.client(manual, kgo.TransactionalID("tx"))
	n := 0
	records := func(c *kgo.Client, count int) {
		for i := range count {
			n++
			check(h.t, c.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: int32(i % 2), Value: fmt.Appendf(nil, "%d %s", n, strings.Repeat("x", n*7%90))}).FirstErr())
		}
	}
	for round := range 8 {
		records(plain, 3)
		check(h.t, tx.BeginTransaction())
		records(tx, 4)
		check(h.t, tx.EndTransaction(ctx, kgo.TransactionEndTry(round%3 > 0)))
	}
	adm := kadm.NewClient(plain)
	ends, err := adm.ListEndOffsets(ctx, "t")
	check(h.t, err)
	check(h.t, adm.CommitAllOffsets(ctx, "g", ends.Offsets()))
}

// survives says which is the first offset lost where a segment keeps only its first bytes.
func survives(segment []byte, cut int) (lost int64) {
	for pos := 0; pos+27 <= len(segment); {
		size := 12 + int(wire.BigEndian.Uint32(segment[pos+8:]))
		if pos+size > cut {
			break
		}
		lost = int64(wire.BigEndian.Uint64(segment[pos:])) + int64(wire.BigEndian.Uint32(segment[pos+23:])) + 1
		pos += size
	}
	return lost
}

// A segment cut at any byte, after a kill or an orderly stop: the broker starts and says what it dropped. What lies before the cut is there,
// also of a transaction whose end lay behind it, and nobody is told that the group has read what it has not.
func TestASegmentCutAtAnyByteLosesNothingBeforeTheCut(t *testing.T) {
	seed := rand.Uint64()
	if text := os.Getenv("DOCSTREAM_TEST_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		check(t, err)
		seed = n
	}
	t.Logf("DOCSTREAM_TEST_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	h := newHouse(t)
	h.history()
	want := h.committed("t")
	if len(want[0]) < 20 || len(want[1]) < 15 {
		t.Fatalf("the log holds %v", want)
	}
	for _, end := range []struct {
		name string
		end  func()
	}{{"killed", h.kill}, {"stopped", func() { h.restart(); h.stop() }}} {
		end.end()
		t.Run(end.name, func(t *testing.T) { h.cuts(t, 25, random, want) })
	}
}

// cuts cuts copies of the log, several at a time.
func (h *house) cuts(t *testing.T, n int, random *rand.Rand, want map[int32][]told) {
	for n := range n {
		p := random.IntN(2)
		name := filepath.Join("log", "partitions", fmt.Sprintf("t-%d", p), "0.dat")
		segment, err := os.ReadFile(filepath.Join(h.data(), name))
		check(t, err)
		cut := random.IntN(len(segment))
		t.Run(fmt.Sprintf("partition %d at byte %d", p, cut), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			check(t, os.CopyFS(dir, os.DirFS(h.data())))
			check(t, os.Truncate(filepath.Join(dir, name), int64(cut)))
			lost := survives(segment, cut)
			b := &house{t: t, args: []string{"broker", "--data", dir, "--listen", freeAddress(t), "--registry", freeAddress(t)}}
			b.running = start(t, b.args...)
			if !strings.Contains(b.log.String(), "cut off a torn tail") {
				t.Errorf("it does not say what it dropped:\n%s", b.log)
			}
			for range 1 + n%2 {
				got := b.committed("t")
				kept := slices.DeleteFunc(slices.Clone(want[int32(p)]), func(r told) bool { return r.offset >= lost })
				if !slices.Equal(got[int32(p)], kept) {
					t.Errorf("before the cut lay\n%v, read were\n%v", kept, got[int32(p)])
				}
				if !slices.Equal(got[int32(1-p)], want[int32(1-p)]) {
					t.Errorf("the other partition held\n%v, read were\n%v", want[int32(1-p)], got[int32(1-p)])
				}
				b.group(int32(p))
				b.kill()
				b.restart()
			}
		})
	}
}

// group fails where the offset of the group lies behind the end of a partition.
func (h *house) group(partition int32) {
	h.t.Helper()
	ctx := within(h.t, 20*time.Second)
	adm := kadm.NewClient(h.client())
	ends, err := adm.ListEndOffsets(ctx, "t")
	check(h.t, err)
	offsets, err := adm.FetchOffsets(ctx, "g")
	check(h.t, err)
	end, _ := ends.Lookup("t", partition)
	if at, ok := offsets.Lookup("t", partition); !ok || at.At > end.Offset {
		h.t.Errorf("the group is at %d of %d", at.At, end.Offset)
	}
}
