package compose

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"

	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/schemas"
	"docstream/schemas/document"
)

// Reads is what a [Reader] needs of the object store.
type Reads interface {
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Object, error)
}

// Reader reads what was made of single pages and renders it, by the rules that whole documents are composed by. Safe for concurrent use.
type Reader struct {
	config  Config
	objects Reads
}

// NewReader returns a reader.
func NewReader(config Config, objects Reads) *Reader {
	return &Reader{config: config, objects: objects}
}

// Page reads a finished page of a job's run, whether or not the others have ended. Where its object is gone the error is blob.ErrNotFound.
func (r *Reader) Page(ctx context.Context, s *schemas.JobSnapshot, n int) (*document.Page, error) {
	p := &pages{config: r.config, objects: r.objects, event: &schemas.DocumentFinished{Head: s.Head}}
	defer p.closeChunk()
	read := p.recognised
	if schemas.Bitmap(s.Text).Has(n) {
		read = p.text
	}
	page, err := read(ctx, n)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, fmt.Errorf("page %d of %s: %w", n, s.JobID, blob.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	asked(page, s.Options)
	return page, nil
}

// Render writes one page in a format.
func (*Reader) Render(w io.Writer, name string, p *document.Page) error {
	i := slices.IndexFunc(table, func(f format) bool { return f.name == name })
	if i < 0 {
		return fault.Document(schemas.InvalidOption, "There is no output format %q.", name)
	}
	out := bufio.NewWriter(w)
	if name == "json" { // a page is a document of its own kind
		_, _ = out.Write(append(compact(p), '\n'))
		return out.Flush()
	}
	f := table[i].renderer(out)
	f.begin(document.Head{Format: document.PageFormat})
	f.page(p)
	f.end()
	return out.Flush()
}

// Table writes the rows of a table as CSV.
func (*Reader) Table(w io.Writer, t *document.Table) error {
	out := csv.NewWriter(w)
	writeRows(out, grid(t, true))
	out.Flush()
	return out.Error()
}
