// Package fetch is the stage that gets documents which lie at an address, before prepare opens them.
//
// An address is a stranger's word: it is asked through a [Guard], which reaches nothing inside the network (P7, P8) and bounds time and size.
// What it gives is stored once for the job, under a key derived from it, and is the job's source from there on: no retry, run or replay asks
// the address again, whatever it would say by then (P5).
package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/internal/media"
	"docstream/internal/outbound"
	"docstream/schemas"
)

// stageName is how the stage is called in events.
const stageName = "fetch"

// headBytes are looked at to find a type.
const headBytes = 4096

// Guard asks an address.
type Guard interface {
	Get(ctx context.Context, address string) (*outbound.Answer, error)
}

// Objects is what the stage needs of the object store.
type Objects interface {
	Upload(ctx context.Context, key string, body io.Reader, o blob.Options) error
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Object, error)
}

// Stage is the stage. Safe for concurrent use; at each moment it holds two parts of a streamed upload for each address (P6).
type Stage struct {
	config  Config
	guard   Guard
	objects Objects
}

// New returns the stage; it touches nothing yet.
func New(config Config, guard Guard, objects Objects) *Stage {
	return &Stage{config: config, guard: guard, objects: objects}
}

// Work fetches what a submission names and returns the submission with the stored bytes as its source, for prepare.
//
// An address that will not give the document is the document's fault; one that does not answer may do so later and is asked again, until the
// last attempt says that it is the document's fault too: a dead host stops nobody's work.
func (s *Stage) Work(ctx context.Context, e *schemas.DocumentSubmitted, d schemas.Delivery) ([]schemas.Event, error) {
	if e.Source.URL == "" {
		return nil, fault.Document(schemas.SubmissionInvalid, "The submission names no address to fetch from.")
	}
	source, err := s.source(ctx, e)
	if err != nil {
		return nil, s.placed(ctx, err, d.Attempt)
	}
	next := *e
	next.FromPage, next.Source = 1, source
	next.EventID = schemas.EventIDFor(e.JobID, e.Run, stageName, 0, e.Kind(), 0)
	return []schemas.Event{&next}, nil
}

// source is the bytes that lie there already, from an earlier attempt or run, else those the address gives now.
func (s *Stage) source(ctx context.Context, e *schemas.DocumentSubmitted) (schemas.Source, error) {
	key := schemas.FetchedKey(e.Tenant, e.JobID)
	source, err := s.stored(ctx, e, key)
	if !errors.Is(err, blob.ErrNotFound) {
		return source, err
	}
	a, err := s.guard.Get(ctx, e.Source.URL)
	if err != nil {
		return source, err
	}
	defer func() { _ = a.Body.Close() }()
	source = schemas.Source{Key: key, URL: e.Source.URL, Filename: e.Source.Filename}
	if source.Filename == "" {
		source.Filename = media.CleanName(a.Filename)
	}
	declared := e.Source.MediaType
	if declared == "" {
		declared = a.MediaType
	}
	in := &counted{from: a.Body, hash: sha256.New()}
	head := make([]byte, headBytes)
	n, err := io.ReadFull(in, head)
	if err != nil && (in.failed != nil || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)) {
		return source, in.failed
	}
	if source.MediaType, err = kind(head[:n], declared, source.Filename); err != nil {
		return source, err
	}
	o := blob.Options{MediaType: source.MediaType, Meta: map[string]string{"filename": source.Filename}, Once: true}
	err = s.objects.Upload(ctx, key, io.MultiReader(bytes.NewReader(head[:n]), in), o)
	switch {
	case in.failed != nil: // the address's fault, however the store reports it
		return source, in.failed
	case errors.Is(err, blob.ErrExists): // another worker was first: what is stored decides
		return s.stored(ctx, e, key)
	case err != nil:
		return source, err
	}
	source.Size, source.SHA256 = in.size, in.digest()
	return source, nil
}

// kind is what the first bytes are.
func kind(head []byte, declared, name string) (string, error) {
	if len(head) == 0 {
		return "", fault.Document(schemas.EmptyFile, "The address gives no bytes.")
	}
	found := media.Detect(head, declared, name)
	if found == "" {
		return "", fault.Document(schemas.UnsupportedMediaType, "%s", schemas.Codes[schemas.UnsupportedMediaType].Meaning)
	}
	return found, nil
}

// stored describes what was fetched before; [blob.ErrNotFound] where nothing was.
func (s *Stage) stored(ctx context.Context, e *schemas.DocumentSubmitted, key string) (schemas.Source, error) {
	body, o, err := s.objects.Get(ctx, key, 0, 0)
	if err != nil {
		return schemas.Source{}, err
	}
	defer func() { _ = body.Close() }()
	in := &counted{from: body, hash: sha256.New()}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return schemas.Source{}, err
	}
	return schemas.Source{Key: key, URL: e.Source.URL, Size: in.size, SHA256: in.digest(), MediaType: o.MediaType, Filename: o.Meta["filename"]}, nil
}

// placed says whose fault an error is, without a word of the address (P8).
func (s *Stage) placed(ctx context.Context, err error, attempt int) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	say := func(code schemas.Code) error {
		return fault.Document(code, "%s", schemas.Codes[code].Meaning).Because(err)
	}
	later := func(code schemas.Code) error {
		if attempt >= s.config.LastAttempt {
			return say(code)
		}
		return fault.Puzzle(code, "%s", schemas.Codes[code].Meaning).Because(err)
	}
	switch {
	case errors.Is(err, outbound.ErrForbidden):
		return say(schemas.URLBlocked)
	case errors.Is(err, outbound.ErrTooLarge):
		return say(schemas.URLTooLarge)
	case errors.Is(err, outbound.ErrRefused), errors.Is(err, outbound.ErrEncoded):
		return say(schemas.URLRefused)
	case errors.Is(err, outbound.ErrNoAnswer) && errors.Is(err, context.DeadlineExceeded):
		return later(schemas.URLTimeout)
	case errors.Is(err, outbound.ErrNoAnswer):
		return later(schemas.URLUnreachable)
	}
	return err
}

// counted hashes what is read and keeps why reading failed, other than at the end.
type counted struct {
	from   io.Reader
	hash   hash.Hash
	size   int64
	failed error
}

func (c *counted) Read(p []byte) (int, error) {
	if c.failed != nil {
		return 0, c.failed
	}
	n, err := c.from.Read(p)
	c.size += int64(n)
	c.hash.Write(p[:n])
	if err != nil && err != io.EOF {
		c.failed = err
	}
	return n, err
}

func (c *counted) digest() string { return hex.EncodeToString(c.hash.Sum(nil)) }
