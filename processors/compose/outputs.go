package compose

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"sync"

	"docstream/internal/blob"
	"docstream/internal/failpoint"
	"docstream/schemas"
	"docstream/schemas/document"
)

// renderer writes one format. Its methods are called in the order of their names here; page once for each page, ascending. The first
// error of the writer is kept by the writer and returned at the end.
type renderer interface {
	begin(document.Head)
	page(*document.Page)
	end()
}

// format is one row of the table of outputs.
type format struct {
	name      string // as in the option
	file      string // below the result prefix
	mediaType string
	renderer  func(*bufio.Writer) renderer
}

var table = []format{
	{"json", "document.json", "application/json", func(w *bufio.Writer) renderer { return &jsonRenderer{w: w} }},
	{"markdown", "document.md", "text/markdown; charset=utf-8", func(w *bufio.Writer) renderer { return newMarkdown(w) }},
	{"html", "document.html", "text/html; charset=utf-8", func(w *bufio.Writer) renderer { return &htmlRenderer{w: w} }},
	{"csv", "document.csv", "text/csv; charset=utf-8", func(w *bufio.Writer) renderer { return newCSV(w) }},
	{"text", "document.txt", "text/plain; charset=utf-8", func(w *bufio.Writer) renderer { return newText(w) }},
}

// sink is one output on its way: what is rendered goes through a digest and a pipe into an upload.
type sink struct {
	format   format
	key      string
	renderer renderer
	w        *bufio.Writer
	pipe     *io.PipeWriter
	hash     hash.Hash
	size     int64
	exists   bool // in the store already; valid once the upload ended
}

// Write counts and digests what the store gets.
func (s *sink) Write(b []byte) (int, error) {
	n, err := s.pipe.Write(b)
	s.hash.Write(b[:n])
	s.size += int64(n)
	return n, err
}

// write renders every format in one pass over the pages. Of several errors it returns the one that caused the others.
func (s *Stage) write(ctx context.Context, e *schemas.DocumentFinished, d schemas.Delivery, formats []format) ([]schemas.Output, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var uploads sync.WaitGroup
	var once sync.Once
	var failure error // of the first upload that failed
	sinks := make([]*sink, len(formats))
	for i, f := range formats {
		k := &sink{format: f, key: schemas.ResultKey(e.Tenant, e.JobID, e.Run, f.file), hash: sha256.New()}
		var out *io.PipeReader
		out, k.pipe = io.Pipe()
		k.w = bufio.NewWriterSize(k, 64<<10)
		k.renderer = f.renderer(k.w)
		sinks[i] = k
		uploads.Go(func() {
			if err := s.upload(ctx, k, out); err != nil {
				once.Do(func() { failure = err })
			}
			_ = out.CloseWithError(errBrokenOff)
		})
	}
	err := s.render(ctx, e, d, sinks)
	for _, k := range sinks {
		_ = k.pipe.CloseWithError(err) // nil ends the upload well, anything else breaks it off
	}
	uploads.Wait()
	if err != nil && !errors.Is(err, errBrokenOff) {
		return nil, err
	}
	if failure != nil {
		return nil, failure
	}
	outputs := make([]schemas.Output, len(sinks))
	for i, k := range sinks {
		if outputs[i], err = s.output(ctx, k); err != nil {
			return nil, err
		}
	}
	return outputs, nil
}

// render feeds the pages to all renderers.
func (s *Stage) render(ctx context.Context, e *schemas.DocumentFinished, d schemas.Delivery, sinks []*sink) error {
	head := s.headOf(e)
	flush := func() error {
		var errs []error
		for _, k := range sinks {
			errs = append(errs, k.w.Flush())
		}
		return errors.Join(errs...)
	}
	for _, k := range sinks {
		k.renderer.begin(head)
	}
	p := &pages{config: s.config, objects: s.objects, event: e}
	var tables joiner
	err := p.each(ctx, func(page *document.Page) error {
		if d.Over() {
			return errOver
		}
		tables.page(page)
		for _, k := range sinks {
			k.renderer.page(page)
		}
		return flush()
	})
	if err != nil {
		return err
	}
	for _, k := range sinks {
		k.renderer.end()
	}
	return flush()
}

// errOver breaks outputs off that nobody needs any more.
var errOver = errors.New("the run was stopped")

// errBrokenOff is what a renderer gets for writing into an output whose upload has ended.
var errBrokenOff = errors.New("output broken off")

// upload streams one output into the store. Where the output is there already it still reads to the end, so that the others go on.
func (s *Stage) upload(ctx context.Context, k *sink, out *io.PipeReader) error {
	err := s.objects.Upload(ctx, k.key, out, blob.Options{MediaType: k.format.mediaType, Once: true})
	if k.exists = errors.Is(err, blob.ErrExists); k.exists {
		_, err = io.Copy(io.Discard, out)
	}
	failpoint.At(failpoint.Composing)
	return err
}

// output reports what is stored: what was just written, or what was there before.
func (s *Stage) output(ctx context.Context, k *sink) (schemas.Output, error) {
	o := schemas.Output{Format: k.format.name, Key: k.key, Size: k.size, SHA256: hex.EncodeToString(k.hash.Sum(nil)), MediaType: k.format.mediaType}
	if !k.exists {
		return o, nil
	}
	body, _, err := s.objects.Get(ctx, k.key, 0, 0)
	if err != nil {
		return o, err
	}
	defer func() { _ = body.Close() }()
	h := sha256.New()
	n, err := io.Copy(h, body)
	if err != nil {
		return o, fmt.Errorf("read %s: %w", k.key, err)
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != o.SHA256 {
		s.log.WarnContext(ctx, "a stored output differs from the one composed now", slog.String("key", k.key), slog.String("stored", sum), slog.String("composed", o.SHA256))
		o.Size, o.SHA256 = n, sum
	}
	return o, nil
}
