package s3

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// deflate is the one compression that the Avro specification asks every reader to know. Its coders are large and are used again.
type deflate struct{}

var (
	deflaters = sync.Pool{New: func() any {
		w, _ := flate.NewWriter(nil, 5) // the level is a valid one
		return w
	}}
	inflaters = sync.Pool{New: func() any { return flate.NewReader(bytes.NewReader(nil)) }}
)

// Name is the codec's in the header.
func (deflate) Name() string { return "deflate" }

// Close has nothing to close.
func (deflate) Close() error { return nil }

// Compress returns the stored form of a block.
func (deflate) Compress(src []byte) ([]byte, error) {
	var out bytes.Buffer
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&out)
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// maxBlock bounds what a block of a damaged or foreign file may become in memory.
const maxBlock = 64 << 20

// Decompress returns a block.
func (deflate) Decompress(src []byte) ([]byte, error) {
	r := inflaters.Get().(io.ReadCloser)
	defer inflaters.Put(r)
	if err := r.(flate.Resetter).Reset(bytes.NewReader(src), nil); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.Grow(min(16*len(src), blockBytes+blockBytes/8)) // nearly every block fits
	n, err := io.Copy(&out, io.LimitReader(r, maxBlock+1))
	if err == nil && n > maxBlock {
		err = errors.New("a block is larger than any this archive writes")
	}
	return out.Bytes(), err
}
