package s3

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/twmb/avro"

	"docstream/schemas"
)

// The Avro library opens one block of a file after the other. Here the blocks are only told apart, so that several can be opened at once.

// What a file says before its first block.
const (
	magic     = "Obj\x01"
	metaAvro  = "avro.schema"
	metaCodec = "avro.codec"
	maxHead   = 8 << 20 // bytes of what it says: a file takes no more schemas than a quarter of that
)

// blocks tells the blocks of a file apart.
type blocks struct {
	from *bufio.Reader
	meta map[string][]byte
	sync [16]byte
}

// openBlocks reads the head of a file.
func openBlocks(from *bufio.Reader) (*blocks, error) {
	b := &blocks{from: from, meta: map[string][]byte{}}
	begin, err := b.bytes(int64(len(magic)))
	if err != nil || string(begin) != magic {
		return nil, errors.Join(errors.New("it is no file of Avro records"), err)
	}
	if err := b.head(); err != nil {
		return nil, fmt.Errorf("its head: %w", err)
	}
	if codec := string(b.meta[metaCodec]); codec != (deflate{}).Name() {
		return nil, fmt.Errorf("it is compressed by %.40q", codec)
	}
	_, err = io.ReadFull(from, b.sync[:])
	return b, cut(err)
}

// head reads the metadata: parts of so many keys and values, up to a part of none.
func (b *blocks) head() error {
	for left := int64(maxHead); ; {
		n, err := b.number()
		if n < 0 { // then the part's size stands before it
			n = -n
			_, err = b.number()
		}
		if n == 0 || err != nil {
			return err
		}
		for ; n > 0; n-- {
			var pair [2][]byte
			for i := range pair {
				size, err := b.number()
				if left -= size + 1; err == nil && (size < 0 || left < 0) {
					err = errors.New("it is larger than any of this archive")
				}
				if err != nil {
					return err
				}
				if pair[i], err = b.bytes(size); err != nil {
					return err
				}
			}
			b.meta[string(pair[0])] = pair[1]
		}
	}
}

// number reads a number that must stand there.
func (b *blocks) number() (int64, error) {
	n, err := binary.ReadVarint(b.from)
	return n, cut(err)
}

// bytes reads so many bytes, which are bounded.
func (b *blocks) bytes(n int64) ([]byte, error) {
	out := make([]byte, n)
	_, err := io.ReadFull(b.from, out)
	return out, cut(err)
}

// next returns the next block as it is stored; io.EOF after the last.
func (b *blocks) next() (*block, error) {
	n, err := binary.ReadVarint(b.from)
	if err != nil {
		return nil, err
	}
	size, err := b.number()
	if err == nil && (n < 0 || n > blockBytes || size < 0 || size > maxBlock) {
		err = fmt.Errorf("a block says it holds %d records in %d bytes: more than any of this archive", n, size)
	}
	if err != nil {
		return nil, err
	}
	stored, err := b.bytes(size)
	if err != nil {
		return nil, err
	}
	var end [16]byte
	if _, err := io.ReadFull(b.from, end[:]); err != nil {
		return nil, cut(err)
	}
	if end != b.sync {
		return nil, errors.New("a block does not end where it says")
	}
	return &block{n: n, stored: stored, opened: make(chan struct{})}, nil
}

// cut is the error of a read that must not meet the end: only between two blocks a file may end.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// block is a block of a file.
type block struct {
	n      int64 // records that it says it holds
	stored []byte

	opened  chan struct{} // closed once the rest is known
	records []schemas.Record
	err     error // what is wrong behind the records
}

// open takes the records out, with a schema where it is not that of this version. They share the memory of the block.
func (b *block) open(written *avro.Schema, texts map[int]string) {
	defer func() { // the schema is other people's, and the library's reader of it may trip over it
		if p := recover(); p != nil {
			b.err = fmt.Errorf("a block cannot be read: %v", p)
		}
		close(b.opened)
	}()
	w := wire{heads: make([]schemas.RecordHeader, 0, 8*min(b.n, 256))} // a record has about as many
	w.rest, b.err = deflate{}.Decompress(b.stored)
	b.stored, b.records = nil, make([]schemas.Record, 0, b.n)
	for range b.n {
		if b.err != nil {
			break
		}
		var r schemas.Record
		if written == nil {
			r, b.err = w.record()
		} else {
			var e stored
			w.rest, b.err = written.Decode(w.rest, &e, avro.AliasInput())
			r = e.open()
		}
		if b.err == nil {
			r.Schema = texts[r.SchemaID]
			b.records = append(b.records, r)
		}
	}
	if b.err == nil && len(w.rest) > 0 {
		b.err = fmt.Errorf("%d bytes are left over in a block", len(w.rest))
	}
	b.err = cut(b.err)
}
