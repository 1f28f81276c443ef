package schemas

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/franz-go/pkg/sr"
)

//go:embed *.avsc
var files embed.FS

// Schema returns the Avro schema of an event kind as its file has it.
func Schema(kind string) (string, error) {
	b, err := files.ReadFile(kind + ".avsc")
	if err != nil {
		return "", fmt.Errorf("no schema for %q", kind)
	}
	return string(b), nil
}

// ErrUndecodable marks bytes that are no event of ours; retrying cannot help.
var ErrUndecodable = errors.New("undecodable record")

// maxItems bounds a block of an array or a map. goavro makes room for as many items as a block says it has before it reads the first one:
// ten bytes on a lane could ask for 32 GiB and end the process. No event of ours has a list this long.
const maxItems = 1 << 18

func init() { goavro.MaxBlockCount = maxItems }

// Codec carries events to and from the Confluent wire format: a zero byte, the schema id in four bytes, the Avro body.
//
// Encoding needs each kind registered once, see [Codec.Register]. Decoding reads with the writer's schema, fetched from the registry by
// id and kept, then takes fields by name with our defaults: goavro does not resolve schemas. Safe for concurrent use.
type Codec struct {
	registry *sr.Client

	mu      sync.RWMutex
	writers map[string]writer // by kind
	readers map[int]reader    // by schema id
	header  sr.ConfluentHeader

	outlines outlines
}

type writer struct {
	id    int
	codec *goavro.Codec
}

type reader struct {
	kind  string
	codec *goavro.Codec
}

// NewCodec returns a codec on the registry; it makes no call.
func NewCodec(registry *sr.Client) *Codec {
	return &Codec{registry: registry, writers: map[string]writer{}, readers: map[int]reader{}}
}

// Register makes a kind encodable, registering its schema under the subject where the registry does not have it. One kind may be under
// several subjects, the schema id is the same. A call that the registry broke off is made again, up to [registryTries] times: both calls
// change nothing the second time.
func (c *Codec) Register(ctx context.Context, subject, kind string) error {
	text, err := Schema(kind)
	if err != nil {
		return err
	}
	codec, err := goavro.NewCodec(text)
	if err != nil {
		return fmt.Errorf("schema %s: %w", kind, err)
	}
	s, err := c.registered(ctx, subject, sr.Schema{Schema: text, Type: sr.TypeAvro})
	for try := 1; err != nil && brokenOff(err) && try < registryTries; try++ {
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(try) * registryPause):
		}
		s, err = c.registered(ctx, subject, sr.Schema{Schema: text, Type: sr.TypeAvro})
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writers[kind] = writer{s.ID, codec}
	c.readers[s.ID] = reader{kind, codec}
	return nil
}

// How often, and after which growing pause, a broken off call to the registry is made again: a second in all, for what restarts takes longer
// and is waited for by the callers that can wait.
const (
	registryTries = 4
	registryPause = 150 * time.Millisecond
)

// brokenOff reports whether the registry gave no answer, or one that says nothing about the schema.
func brokenOff(err error) bool {
	var re *sr.ResponseError
	return !errors.As(err, &re) || re.StatusCode >= 500
}

// registered looks the schema up under its subject and registers it where it is not there.
func (c *Codec) registered(ctx context.Context, subject string, want sr.Schema) (sr.SubjectSchema, error) {
	s, err := c.registry.LookupSchema(ctx, subject, want)
	if err == nil {
		return s, nil
	}
	if brokenOff(err) {
		return s, fmt.Errorf("looking up %s: %w", subject, err)
	}
	if s, err = c.registry.CreateSchema(ctx, subject, want); err != nil {
		return s, fmt.Errorf("registering %s: %w", subject, err)
	}
	return s, nil
}

// Encode returns the wire form of an event; its kind must be registered.
func (c *Codec) Encode(e Event) ([]byte, error) {
	c.mu.RLock()
	w, ok := c.writers[e.Kind()]
	c.mu.RUnlock()
	if !ok {
		return nil, fmt.Errorf("kind %s is not registered", e.Kind())
	}
	b, _ := c.header.AppendEncode(nil, w.id, nil)
	b, err := w.codec.BinaryFromNative(b, e.native())
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", e.Kind(), err)
	}
	return b, nil
}

// Decode reads one event. An error that is [ErrUndecodable] lies in the bytes; any other means that the registry did not answer.
func (c *Codec) Decode(ctx context.Context, b []byte) (Event, error) {
	id, body, err := c.header.DecodeID(b)
	if err != nil {
		return nil, fmt.Errorf("%w: no wire format header", ErrUndecodable)
	}
	r, err := c.reader(ctx, id)
	if err != nil {
		return nil, err
	}
	return r.decode(body)
}

func (r reader) decode(body []byte) (_ Event, err error) {
	defer func() { // bytes and schema are other people's
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrUndecodable, p)
		}
	}()
	native, rest, err := r.codec.NativeFromBinary(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUndecodable, err)
	}
	m, ok := native.(map[string]any)
	if !ok || len(rest) > 0 {
		return nil, fmt.Errorf("%w: %s with %d bytes left over", ErrUndecodable, r.kind, len(rest))
	}
	e := New(r.kind)
	e.load(m)
	return e, nil
}

func (c *Codec) reader(ctx context.Context, id int) (reader, error) {
	c.mu.RLock()
	r, ok := c.readers[id]
	c.mu.RUnlock()
	if ok {
		return r, nil
	}
	s, err := c.registry.SchemaByID(ctx, id)
	if err != nil {
		var re *sr.ResponseError
		if errors.As(err, &re) && re.StatusCode == 404 {
			return reader{}, fmt.Errorf("%w: schema id %d is not in the registry", ErrUndecodable, id)
		}
		return reader{}, fmt.Errorf("fetching schema %d: %w", id, err)
	}
	codec, err := goavro.NewCodec(s.Schema)
	if err != nil {
		return reader{}, fmt.Errorf("%w: schema id %d: %w", ErrUndecodable, id, err)
	}
	r = reader{kind: recordName(codec), codec: codec}
	if New(r.kind) == nil { // before goavro follows a schema of somebody else's, which may contain itself
		return reader{}, fmt.Errorf("%w: kind %q is unknown to this build", ErrUndecodable, r.kind)
	}
	c.mu.Lock()
	c.readers[id] = r
	c.mu.Unlock()
	return r, nil
}

// recordName returns the name of a codec's record without its namespace.
func recordName(c *goavro.Codec) string {
	name := c.TypeName()
	full := name.String()
	return full[strings.LastIndexByte(full, '.')+1:]
}
