package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The fake's file formats, version 1: a segment is record batches in wire format, one after the other; beside it an
// index holds one fixed-size entry for each batch.
const (
	batchHeader   = 61
	transactional = 0x10
	control       = 0x20
	indexEntry    = 15
	indexVersion  = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// partition is what recovery has to know about one partition's files.
type partition struct {
	dir   string
	next  int64           // the offset after the last record
	base  int64           // of the last segment; -1 where there is none
	epoch int32           // leader epoch of the last batch
	open  map[int64]int16 // producer → epoch of transactions without an end
	torn  []string        // what was cut off, in words
	ended map[ending]bool // how transactions ended here: true, with a commit
	holds bool            // a batch, at least
}

// readPartition reads all segments of a directory; a missing directory is an empty partition.
func readPartition(dir string) (*partition, error) {
	p := &partition{dir: dir, base: -1, open: map[int64]int16{}, ended: map[ending]bool{}}
	bases, err := segmentBases(dir)
	if err != nil {
		return nil, err
	}
	for i, base := range bases {
		if err := p.readSegment(base, i == len(bases)-1); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// segmentBases is the first offset of each segment of a partition, in order; none where the directory is missing.
func segmentBases(dir string) ([]int64, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.dat"))
	if err != nil {
		return nil, err
	}
	var bases []int64
	for _, f := range files {
		if base, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(f), ".dat"), 10, 64); err == nil {
			bases = append(bases, base)
		}
	}
	slices.Sort(bases)
	return bases, nil
}

// readSegment walks one segment. A last one that ends in something else than a whole batch was torn by a kill; any
// other is damage that must not be mended by forgetting records.
func (p *partition) readSegment(base int64, last bool) error {
	path := filepath.Join(p.dir, strconv.FormatInt(base, 10))
	data, err := os.ReadFile(path + ".dat")
	if err != nil {
		return err
	}
	index, err := os.ReadFile(path + ".idx")
	if err := ignoreGone(err); err != nil {
		return err
	}
	p.base, p.next = base, max(p.next, base)
	pos, n := 0, 0
	for ; ; n++ {
		size := batchSize(data[pos:])
		if size == 0 {
			break
		}
		p.see(data[pos:pos+size], index, n)
		pos += size
	}
	missing := len(index)/indexEntry - n
	if pos == len(data) && (missing <= 0 || !last) {
		return nil
	}
	if !last {
		return fmt.Errorf("segment %s.dat is damaged at byte %d and later segments follow: "+
			"restore it, or delete the topic's directory", path, pos)
	}
	what := fmt.Sprintf("%d bytes after offset %d", len(data)-pos, p.next-1)
	if missing > 0 {
		what += fmt.Sprintf(", of %d batches that the index knows", missing)
	}
	p.torn = append(p.torn, what)
	return nil
}

// see follows transactions the way the fake does when it loads: a batch counts as transactional when its index entry
// says so, and compaction clears that for what is already decided. An entry that was never written is made up for by
// the batch itself.
func (p *partition) see(batch, index []byte, n int) {
	attributes := binary.BigEndian.Uint16(batch[21:])
	pid := int64(binary.BigEndian.Uint64(batch[43:]))
	p.holds = true
	p.next = int64(binary.BigEndian.Uint64(batch)) + int64(binary.BigEndian.Uint32(batch[23:])) + 1
	p.epoch = int32(binary.BigEndian.Uint32(batch[12:]))
	inTransaction := attributes&transactional != 0
	if end := (n + 1) * indexEntry; end <= len(index) {
		inTransaction = index[end-1]&1 != 0
	}
	switch {
	case attributes&control != 0:
		delete(p.open, pid)
		if commit, ok := outcome(batch); ok {
			p.ended[ending{pid, int16(binary.BigEndian.Uint16(batch[51:]))}] = commit
		}
	case inTransaction:
		p.open[pid] = int16(binary.BigEndian.Uint16(batch[51:]))
	}
}

// mend cuts torn tails off and completes the index, so that what is appended next lines up with it.
func (p *partition) mend() error {
	if p.base < 0 {
		return nil
	}
	path := filepath.Join(p.dir, strconv.FormatInt(p.base, 10))
	data, err := os.ReadFile(path + ".dat")
	if err != nil {
		return err
	}
	index, err := os.ReadFile(path + ".idx")
	if err := ignoreGone(err); err != nil {
		return err
	}
	pos, n := 0, 0
	for size := batchSize(data); size > 0; size = batchSize(data[pos:]) {
		if have := len(index) / indexEntry; n >= have {
			batch := data[pos : pos+size]
			attributes := binary.BigEndian.Uint16(batch[21:])
			index = append(index[:n*indexEntry],
				newIndexEntry(p.epoch, attributes&transactional != 0 && attributes&control == 0)...)
		}
		pos, n = pos+size, n+1
	}
	if !p.holds && p.base > 0 {
		// The fake lets a partition without a batch begin at 0 again: one invisible record keeps its end.
		if err := errors.Join(os.Remove(path+".dat"), ignoreGone(os.Remove(path+".idx"))); err != nil {
			return err
		}
		p.base, p.next = -1, p.base-1
		return p.append(marker(-1, -1, false))
	}
	if err := os.Truncate(path+".dat", int64(pos)); err != nil {
		return err
	}
	return os.WriteFile(path+".idx", index[:n*indexEntry], 0o644)
}

// append adds a batch at the partition's end, to its last segment.
func (p *partition) append(batch kmsg.RecordBatch) error {
	if p.base < 0 {
		p.base = p.next
		if err := os.MkdirAll(p.dir, 0o755); err != nil {
			return err
		}
	}
	batch.FirstOffset, batch.PartitionLeaderEpoch = p.next, p.epoch
	path := filepath.Join(p.dir, strconv.FormatInt(p.base, 10))
	if err := appendTo(path+".dat", batch.AppendTo(nil)); err != nil {
		return err
	}
	p.next++
	return appendTo(path+".idx", newIndexEntry(p.epoch, false))
}

// marker is a control record that ends a producer's transaction.
func marker(pid int64, epoch int16, commit bool) kmsg.RecordBatch {
	key := kmsg.ControlRecordKey{Type: kmsg.ControlRecordKeyTypeAbort}
	if commit {
		key.Type = kmsg.ControlRecordKeyTypeCommit
	}
	value := kmsg.EndTxnMarker{}
	rec := kmsg.Record{Key: key.AppendTo(nil), Value: value.AppendTo(nil)}
	rec.Length = int32(len(rec.AppendTo(nil)) - 1) // the length itself takes one byte here
	now := time.Now().UnixMilli()
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: transactional | control,
		FirstTimestamp: now, MaxTimestamp: now, ProducerID: pid, ProducerEpoch: epoch,
		FirstSequence: -1, NumRecords: 1, Records: rec.AppendTo(nil),
	}
	encoded := b.AppendTo(nil)
	b.Length = int32(len(encoded) - 12)
	b.CRC = int32(crc32.Checksum(encoded[21:], castagnoli))
	return b
}

// outcome reads how a control batch ends its transaction.
func outcome(batch []byte) (commit, ok bool) {
	var b kmsg.RecordBatch
	var r kmsg.Record
	if b.ReadFrom(batch) != nil || r.ReadFrom(b.Records) != nil || len(r.Key) < 4 {
		return false, false
	}
	return kmsg.ControlRecordKeyType(binary.BigEndian.Uint16(r.Key[2:])) == kmsg.ControlRecordKeyTypeCommit, true
}

// batchSize is the size of the whole and undamaged batch that data begins with, 0 where there is none.
func batchSize(data []byte) int {
	if len(data) < batchHeader {
		return 0
	}
	size := 12 + int(int32(binary.BigEndian.Uint32(data[8:])))
	if size < batchHeader || size > len(data) ||
		binary.BigEndian.Uint32(data[17:]) != crc32.Checksum(data[21:size], castagnoli) {
		return 0
	}
	return size
}

func newIndexEntry(epoch int32, inTransaction bool) []byte {
	e := make([]byte, indexEntry)
	e[0] = indexVersion
	binary.LittleEndian.PutUint32(e[2:], uint32(epoch))
	if inTransaction {
		e[14] = 1
	}
	e[1] = byte(crc32.Checksum(e[2:], castagnoli))
	return e
}

func appendTo(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

func unescape(name string) (string, error) { return url.PathUnescape(name) }
