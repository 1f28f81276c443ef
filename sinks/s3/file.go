package s3

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/avro/ocf"

	"docstream/schemas"
)

// The metadata of a file, beside Avro's own: docstream.span says which stretch of which log it holds, docstream.schema.<id> is the text of
// each schema that wrote a value in it, so that it can be read when no registry is left.
const (
	metaSpan   = "docstream.span"
	metaSchema = "docstream.schema."
)

// span is the stretch of a log that a file holds: every record from offset first on that is below next.
type span struct {
	Topic     string `json:"topic"`
	TopicID   string `json:"topic_id,omitempty"`
	Partition int32  `json:"partition"`
	Epoch     int    `json:"epoch"`
	First     int64  `json:"first"`
	Next      int64  `json:"next"`
	Records   int64  `json:"records"`
}

// file is a file that is being filled. Its blocks are compressed as they fill up; the header, which says what is inside, is made last.
type file struct {
	span
	day     string
	begun   time.Time // by our clock: how long its records have waited
	sealed  bool      // it takes no more records
	large   bool      // it has a record that is larger than a few blocks
	broken  error     // it could not be ended
	schemas map[int]string
	texts   int64 // bytes of them
	sync    [16]byte
	out     *ocf.Writer
	body    chunks
}

func newFile(s span, day string, now time.Time) (*file, error) {
	f := &file{span: s, day: day, begun: now, schemas: map[int]string{}}
	_, _ = rand.Read(f.sync[:]) // it never fails
	var err error
	f.out, err = ocf.NewWriter(&f.body, envelopeSchema, ocf.WithCodec(deflate{}), ocf.WithSyncMarker(f.sync), ocf.WithBlockBytes(blockBytes))
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	f.body = chunks{} // the header comes when the file is sealed
	return f, nil
}

// add appends a record. An error says that the format cannot hold it; the file is as it was.
func (f *file) add(r *schemas.Record) error {
	if err := f.out.Encode(enclose(r)); err != nil {
		return err
	}
	if _, known := f.schemas[r.SchemaID]; !known && r.Schema != "" && len(r.Schema) <= maxText {
		f.schemas[r.SchemaID] = r.Schema
		f.texts += int64(len(r.Schema))
	}
	f.Records++
	f.Next = r.Offset + 1
	f.large = f.large || len(r.Value) > largeRecord
	return nil
}

const (
	maxText     = 512 << 10 // of one schema; a longer one is a foreign one, and no header takes it
	maxTexts    = 1 << 20   // of the schemas of a file
	largeRecord = 1 << 20   // what the coder would keep memory for as long as the file is open
)

// full reports whether the file should take no more records.
func (f *file) full(limit int64) bool { return f.body.n >= limit || f.texts > maxTexts || f.large }

// size is the memory of the file: what is compressed, and the block that is being filled.
func (f *file) size() int64 {
	if f.sealed {
		return f.body.n + f.texts
	}
	return f.body.n + f.texts + blockBytes
}

// seal ends the file.
func (f *file) seal() error {
	if f.sealed {
		return nil
	}
	f.sealed = true
	err := f.out.Close()
	f.out = nil
	return err
}

func (f *file) key() string {
	return name{topic: f.Topic, day: f.day, partition: f.Partition, epoch: f.Epoch, first: f.First}.key()
}

// reader returns the whole file from its beginning; it can be asked for again. The file is sealed.
func (f *file) reader() (io.Reader, error) {
	s, err := json.Marshal(f.span)
	if err != nil {
		return nil, err
	}
	meta := map[string][]byte{metaSpan: s}
	for id, text := range f.schemas {
		meta[metaSchema+strconv.Itoa(id)] = []byte(text)
	}
	var head bytes.Buffer
	w, err := ocf.NewWriter(&head, envelopeSchema, ocf.WithCodec(deflate{}), ocf.WithSyncMarker(f.sync), ocf.WithMetadata(meta))
	if err != nil {
		return nil, err
	}
	return io.MultiReader(&head, f.body.reader()), w.Close()
}

// readSpan takes a file's span and the texts of its schemas out of its metadata.
func readSpan(meta map[string][]byte) (s span, texts map[int]string, err error) {
	if err := json.Unmarshal(meta[metaSpan], &s); err != nil {
		return s, nil, fmt.Errorf("its metadata does not say what it holds: %w", err)
	}
	texts = map[int]string{}
	for k, v := range meta {
		if id, ok := strings.CutPrefix(k, metaSchema); ok {
			n, err := strconv.Atoi(id)
			if err != nil {
				return s, nil, fmt.Errorf("its metadata names the schema %q", id)
			}
			texts[n] = string(v)
		}
	}
	return s, texts, nil
}

// chunks is memory that grows without being copied.
type chunks struct {
	parts [][]byte
	n     int64
}

// Write keeps a copy.
func (c *chunks) Write(p []byte) (int, error) {
	c.parts = append(c.parts, bytes.Clone(p))
	c.n += int64(len(p))
	return len(p), nil
}

func (c *chunks) reader() io.Reader {
	rs := make([]io.Reader, len(c.parts))
	for i, p := range c.parts {
		rs[i] = bytes.NewReader(p)
	}
	return io.MultiReader(rs...)
}
