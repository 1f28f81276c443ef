package gateway

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"docstream/internal/blob"
	"docstream/schemas"
)

// The bounds of a batch.
const (
	maxItems     = 10_000
	maxCustomID  = 256     // bytes
	maxDirectory = 8 << 20 // of a zip: what is read to know its entries
	itemChunk    = 100     // items between two notes of how far a batch is
)

// batchItem is one line of a batch's index: who it is and where it lies in the batch's object.
type batchItem struct {
	CustomID string `json:"custom_id"`
	JobID    string `json:"job_id"`
	At       int64  `json:"at"`               // offset of its line, or number of its entry in the zip
	Length   int64  `json:"length,omitempty"` // of its line
	Direct   bool   `json:"direct,omitempty"` // it names an upload, so its job may be one of before
}

// items collects the index of a batch.
type items struct {
	tenant, batch string
	all           []batchItem
	seen          map[string]bool
}

func newItems(tenant, batch string) *items {
	return &items{tenant: tenant, batch: batch, seen: map[string]bool{}}
}

// invalidBatch refuses a batch that is not written as one.
func invalidBatch(message string) *refusal { return refuse(schemas.BatchInvalid, message) }

// add takes one more item; direct is the upload it names.
func (x *items) add(custom, direct string, at, length int64) error {
	n := len(x.all) + 1
	switch {
	case n > maxItems:
		return refuse(schemas.BatchTooLarge, "").with("max_items", maxItems)
	case custom == "" || len(custom) > maxCustomID || !utf8.ValidString(custom) || strings.ContainsFunc(custom, unicode.IsControl):
		return invalidBatch("Every item has a custom_id of 1 to 256 bytes without control characters.").with("item", n)
	case x.seen[custom]:
		return invalidBatch("Two items have the same custom_id.").with("item", n).with("custom_id", custom)
	}
	x.seen[custom] = true
	job := itemKey(x.batch, custom)
	id := (&once{tenant: x.tenant, key: job}).job()
	if schemas.ValidUploadID(direct) {
		id = schemas.JobIDForUpload(x.tenant, direct)
	}
	x.all = append(x.all, batchItem{CustomID: custom, JobID: id, At: at, Length: length, Direct: direct != ""})
	return nil
}

// itemKey is the idempotency key of an item; no client can say it.
func itemKey(batch, custom string) string { return "\x00batch " + batch + " " + custom }

// bytes writes the index, one item a line.
func (x *items) bytes() []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	for _, i := range x.all {
		if err := e.Encode(i); err != nil {
			panic(err) // our own types: cannot fail
		}
	}
	return out.Bytes()
}

// readItems reads an index back.
func readItems(from io.Reader) (out []batchItem, err error) {
	d := json.NewDecoder(from)
	for {
		var i batchItem
		if err := d.Decode(&i); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		out = append(out, i)
	}
}

// lines passes a batch of JSON lines on as it reads it, one line in memory at a time (P6), and notes the items. Only what makes a line an item is
// looked at: whether it can be read is the item's own affair.
type lines struct {
	from  *bufio.Reader
	most  int64 // bytes of a line
	items *items
	line  []byte // what of the present line is still to be passed on
	at    int64  // of the next line
	err   error
}

func newLines(from io.Reader, most int64, x *items) *lines {
	return &lines{from: bufio.NewReaderSize(from, 64<<10), most: most, items: x}
}

func (l *lines) Read(p []byte) (int, error) {
	for len(l.line) == 0 {
		if l.err != nil {
			return 0, l.err
		}
		l.next()
	}
	n := copy(p, l.line)
	l.line = l.line[n:]
	return n, nil
}

// next reads a line.
func (l *lines) next() {
	var line []byte
	for {
		part, err := l.from.ReadSlice('\n')
		line = append(line, part...)
		if int64(len(line)) > l.most {
			l.err = refuse(schemas.BatchTooLarge, "A line is too long.").with("item", len(l.items.all)+1).with("max_bytes", l.most)
			return
		}
		if err == nil || !errors.Is(err, bufio.ErrBufferFull) {
			l.err = err
			break
		}
	}
	if l.err != nil && !errors.Is(l.err, io.EOF) {
		return
	}
	if text := bytes.TrimSpace(line); len(text) > 0 {
		if err := l.note(text, int64(len(line))); err != nil {
			l.err = err
			return
		}
	}
	l.line, l.at = line, l.at+int64(len(line))
}

func (l *lines) note(text []byte, length int64) error {
	fields, err := object(text)
	if err != nil {
		return invalidBatch("Every line is one JSON object whose fields stand once each.").with("item", len(l.items.all)+1).because(err)
	}
	var custom, direct string
	_ = json.Unmarshal(fields["custom_id"], &custom) // empty where it is no text, which is refused
	_ = json.Unmarshal(fields["upload"], &direct)
	return l.items.add(custom, direct, l.at, length)
}

// ranged reads an object anywhere, a stretch at a time, and no more than left in all: 0 is any number.
type ranged struct {
	ctx     context.Context
	objects Objects
	key     string
	size    int64

	bounded bool
	left    int64
	at      int64 // of buf
	buf     []byte
}

// stretch is how much is asked for at once.
const stretch = 256 << 10

// errBudget says that more was to be read than may be.
var errBudget = errors.New("more is to be read than may be")

// ReadAt reads as io.ReaderAt says. It is not for use by several at once.
func (r *ranged) ReadAt(p []byte, at int64) (n int, err error) {
	for n < len(p) {
		if at+int64(n) >= r.size {
			return n, io.EOF
		}
		if err := r.hold(at + int64(n)); err != nil {
			return n, err
		}
		n += copy(p[n:], r.buf[at+int64(n)-r.at:])
	}
	return n, nil
}

// hold makes the byte at a place one of those that are held.
func (r *ranged) hold(at int64) error {
	if at >= r.at && at < r.at+int64(len(r.buf)) {
		return nil
	}
	length := min(stretch, r.size-at)
	if r.bounded {
		if r.left -= length; r.left < 0 {
			return errBudget
		}
	}
	body, _, err := r.objects.Get(r.ctx, r.key, at, length)
	if err != nil {
		return err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, length))
	if err != nil {
		return err
	}
	if int64(len(b)) < length {
		return io.ErrUnexpectedEOF
	}
	r.at, r.buf = at, b
	return nil
}

// openZip reads the directory of a zip in the store. However many entries it claims to have, what is read of it is bounded (P6).
func openZip(ctx context.Context, objects Objects, key string, size int64) (*zip.Reader, *ranged, error) {
	r := &ranged{ctx: ctx, objects: objects, key: key, size: size, bounded: true, left: maxDirectory}
	z, err := zip.NewReader(r, size)
	switch {
	case errors.Is(err, errBudget):
		return nil, nil, refuse(schemas.BatchTooLarge, "").with("max_items", maxItems)
	case errors.Is(err, zip.ErrFormat), errors.Is(err, zip.ErrAlgorithm), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return nil, nil, invalidBatch("The body is not a zip that can be read.").because(err)
	case errors.Is(err, zip.ErrInsecurePath): // a name is a label here, and never a path
	case err != nil:
		return nil, nil, err
	}
	r.bounded = false
	return z, r, nil
}

// entries notes the items of a zip: every file in it is one document, whose name is its custom_id. Nothing is unpacked here; what the files claim
// to unpack to is bounded, and no file is let be larger than it claims.
func (x *items) entries(z *zip.Reader, most int64) error {
	var unpacked uint64
	for i, f := range z.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		if unpacked += min(f.UncompressedSize64, math.MaxInt64/4); unpacked > uint64(most) {
			return refuse(schemas.BatchTooLarge, "The zip unpacks to more than the limit.").with("max_bytes", most)
		}
		if err := x.add(f.Name, "", int64(i), 0); err != nil {
			return err
		}
	}
	return nil
}

// prefix notes every object below a prefix of a registered bucket, and writes the lines that name them.
func (g *Gateway) prefix(ctx context.Context, x *items, p place) ([]byte, error) {
	if p.Bucket == "" || p.Key != "" || p.Version != "" {
		return nil, invalid("s3", "A batch of a bucket names the bucket and a prefix.")
	}
	if g.registered == nil || !g.registered(x.tenant, p.Bucket, p.Prefix) {
		return nil, refuse(schemas.SourceForbidden, "")
	}
	var out bytes.Buffer
	var failed error
	err := g.foreign.ListFrom(ctx, p.Bucket, p.Prefix, func(o blob.Object) bool {
		if strings.HasSuffix(o.Key, "/") { // a folder, as consoles make them
			return true
		}
		line, err := json.Marshal(map[string]any{"custom_id": o.Key, "s3": map[string]string{"bucket": p.Bucket, "key": o.Key, "version": o.Version}})
		if err != nil {
			panic(err) // our own types: cannot fail
		}
		line = append(line, '\n')
		failed = x.add(o.Key, "", int64(out.Len()), int64(len(line)))
		out.Write(line)
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	return out.Bytes(), err
}
