package schemas

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/franz-go/pkg/sr"
)

// Partition is one log: a numbered part of a topic. A topic that is deleted and made anew has another id, and its partitions are other logs.
type Partition struct {
	Topic   string // without the prefix
	TopicID string // what the brokers call it; empty where they give none
	Number  int32
}

// Record is a record as the log has it, for a sink that keeps the log itself.
type Record struct {
	Topic      string // without the prefix
	Partition  int32
	Offset     int64
	Timestamp  time.Time // milliseconds; the log's
	Key, Value []byte    // nil where the record has none
	Headers    []RecordHeader

	SchemaID int    // of the schema that wrote the value; 0 where the value names none
	Schema   string // its text; empty where no registry knows it
	Event    Event  // what the value says; nil where that cannot be read
}

// Header is the value of a record's first header of that name, or "".
func (r Record) Header(key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// RecordHeader is one header of a record.
type RecordHeader struct {
	Key   string
	Value []byte
}

// Schema returns the id and the text of the schema that wrote a value. An error that is [ErrUndecodable] lies in the bytes; the id is given
// all the same where they name one. Any other error means that the registry did not answer.
func (c *Codec) Schema(ctx context.Context, b []byte) (id int, text string, err error) {
	id, _, err = c.header.DecodeID(b)
	if err != nil {
		return 0, "", fmt.Errorf("%w: no wire format header", ErrUndecodable)
	}
	r, err := c.reader(ctx, id)
	if err != nil {
		return id, "", err
	}
	return id, r.codec.Schema(), nil
}

// Archived reads the events of records that carry the text of their schema: it needs no registry. Safe for concurrent use.
type Archived struct {
	mu      sync.RWMutex
	readers map[string]reader // by text
}

// Decode returns the event of a record; every error is [ErrUndecodable].
func (a *Archived) Decode(r Record) (Event, error) {
	_, body, err := new(sr.ConfluentHeader).DecodeID(r.Value)
	if err != nil || r.Schema == "" {
		return nil, fmt.Errorf("%w: it names no known schema", ErrUndecodable)
	}
	from, err := a.reader(r.Schema)
	if err != nil {
		return nil, err
	}
	return from.decode(body)
}

func (a *Archived) reader(text string) (reader, error) {
	a.mu.RLock()
	r, ok := a.readers[text]
	a.mu.RUnlock()
	if ok {
		return r, nil
	}
	codec, err := goavro.NewCodec(text)
	if err != nil {
		return reader{}, errors.Join(ErrUndecodable, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.readers == nil {
		a.readers = map[string]reader{}
	}
	a.readers[text] = reader{recordName(codec), codec}
	return a.readers[text], nil
}

// Progress is how far a sink has a partition.
type Progress struct {
	Partition Partition
	Next      int64 // the offset after the last record it has
	Moved     bool  // the partition is to be read on from Next, wherever reading stood
}
