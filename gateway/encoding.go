package gateway

import (
	"io"
	"mime"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// compressed is an encoder on its way to a client.
type compressed interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// encoder keeps encoders for reuse: each holds its window in memory, and at most one for each answer in flight (P6).
type encoder struct{ pool sync.Pool }

func (e *encoder) get(w io.Writer) compressed {
	z := e.pool.Get().(compressed)
	z.Reset(w)
	return z
}

func (e *encoder) put(z compressed) {
	z.Reset(io.Discard) // lets go of the answer
	e.pool.Put(z)
}

// encodings are what an answer can be compressed with, the one we would choose first. Their bytes follow from the text and the library.
var encodings = []string{"zstd", "gzip"}

var encoders = map[string]*encoder{
	"gzip": {sync.Pool{New: func() any { return gzip.NewWriter(io.Discard) }}},
	"zstd": {sync.Pool{New: func() any {
		z, err := zstd.NewWriter(io.Discard, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err) // our own options
		}
		return z
	}}},
}

// minEncoded is the size from which compressing an answer is worth its head.
const minEncoded = 1 << 10

// compressible reports whether a payload is text of some length.
func compressible(p payload) bool {
	kind, _, err := mime.ParseMediaType(p.media)
	return err == nil && (strings.HasPrefix(kind, "text/") || kind == "application/json") && (p.open == nil || p.size >= minEncoded)
}

// chooseEncoding reads an Accept-Encoding header; empty is the identity, also where nothing else may be.
func chooseEncoding(header string) string {
	wish := map[string]float64{}
	for i, entry := range strings.Split(header, ",") {
		if i == maxAccept {
			break
		}
		name, rest, _ := strings.Cut(entry, ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(rest), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(v, 64); err != nil || q < 0 || q > 1 {
				continue
			}
		}
		wish[strings.ToLower(strings.TrimSpace(name))] = q
	}
	best, bestQ := "", wish["identity"]
	for _, e := range encodings {
		q, named := wish[e]
		if !named {
			q = wish["*"]
		}
		if q > 0 && (best == "" && q >= bestQ || q > bestQ) {
			best, bestQ = e, q
		}
	}
	return best
}
