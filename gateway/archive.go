package gateway

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/klauspost/compress/flate"

	"docstream/internal/blob"
	"docstream/schemas"
	"docstream/schemas/document"
)

// Pages reads what was made of single pages, and renders pages and tables.
type Pages interface {
	// Page reads a finished page of the run a snapshot shows; blob.ErrNotFound where its object is gone.
	Page(ctx context.Context, s *schemas.JobSnapshot, n int) (*document.Page, error)
	// Render writes a page in one of Formats.
	Render(w io.Writer, format string, p *document.Page) error
	// Table writes the rows of a table as CSV.
	Table(w io.Writer, t *document.Table) error
}

// ServePages lets the gateway show pages and tables; call it before Run. Without it those routes answer that they are not available.
func (g *Gateway) ServePages(p Pages) { g.pages = p }

// zipType is the media type of an archive.
const zipType = "application/zip"

// newZip writes archives whose bytes follow from what is in them: no clock, and a compressor whose version is pinned.
func newZip(w io.Writer) *zip.Writer {
	z := zip.NewWriter(w)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.DefaultCompression) })
	return z
}

// archive sends outputs as one zip: those asked for, else all. Nothing but ours names what is in it.
func (g *Gateway) archive(c *gin.Context, s *schemas.JobSnapshot, set resultSet, formats []string) error {
	if len(formats) == 0 {
		formats = set.formats
	}
	var outs []schemas.Output
	parts := []string{"zip/2"}
	for _, f := range Formats { // in our order, so that the order of asking changes no byte
		out, ok := set.of(f)
		if !slices.Contains(formats, f) {
			continue
		}
		if !ok {
			return set.lacks(f)
		}
		outs = append(outs, out)
		parts = append(parts, f, out.SHA256)
	}
	for _, out := range outs { // before the first byte goes out
		if _, err := g.objects.Head(c.Request.Context(), out.Key); errors.Is(err, blob.ErrNotFound) {
			return refuse(schemas.ResultExpired, "").because(err)
		} else if err != nil {
			return err
		}
	}
	return g.send(c, payload{tag: tagOf(parts...), media: zipType, name: filename(s, ".zip"), saved: true, write: func(ctx context.Context, w io.Writer) error {
		z := newZip(w)
		for _, out := range outs {
			if err := g.pack(ctx, z, out); err != nil {
				return err
			}
		}
		if err := g.packFigures(ctx, z, s, set); err != nil {
			return err
		}
		return z.Close()
	}})
}

// packFigures adds the pictures that the result refers to, under the names it refers to them by. The JSON names them, one page at a time (P6).
func (g *Gateway) packFigures(ctx context.Context, z *zip.Writer, s *schemas.JobSnapshot, set resultSet) error {
	out, ok := set.of("json")
	if !ok || s.Options.Figures != schemas.On {
		return nil
	}
	body, err := g.open(ctx, out, 0, 0)
	if err != nil {
		return err
	}
	defer body.Close()
	return eachPage(body, func(p *document.Page) error {
		for _, b := range p.Blocks {
			if b.Image == nil {
				continue
			}
			picture, _, err := g.objects.Get(ctx, schemas.ResultKey(s.Tenant, s.JobID, s.Run, b.Image.Name), 0, 0)
			if err != nil {
				return err
			}
			w, err := z.CreateHeader(&zip.FileHeader{Name: b.Image.Name, Method: zip.Store})
			if err == nil {
				err = g.copy(w, picture)
			}
			if err = errors.Join(err, picture.Close()); err != nil {
				return err
			}
		}
		return nil
	})
}

func (g *Gateway) pack(ctx context.Context, z *zip.Writer, out schemas.Output) error {
	body, err := g.open(ctx, out, 0, 0)
	if err != nil {
		return err
	}
	defer body.Close()
	w, err := z.CreateHeader(&zip.FileHeader{Name: "document" + extensions[out.Format], Method: zip.Deflate})
	if err != nil {
		return err
	}
	return g.copy(w, io.LimitReader(body, out.Size))
}

// tables sends one table of a result as CSV, or each of them as a file of a zip. They are read out of the JSON, one page at a time (P6), and
// counted from 1 in reading order; one that goes on over several pages is one table.
func (g *Gateway) tables(c *gin.Context, s *schemas.JobSnapshot, set resultSet, n int) error {
	out, ok := set.of("json")
	if !ok {
		return set.lacks("json")
	}
	if g.pages == nil {
		return refuse(schemas.ServiceUnavailable, "")
	}
	p := payload{tag: tagOf("table/1", strconv.Itoa(n), out.SHA256), media: "text/csv; charset=utf-8", name: filename(s, fmt.Sprintf("-table-%d.csv", n))}
	p.write = func(ctx context.Context, w io.Writer) error {
		found := false
		err := g.eachTable(ctx, out, func(i int, _ bool, t *document.Table) error {
			if i > n {
				return io.EOF
			}
			if i < n {
				return nil
			}
			found = true
			return g.pages.Table(w, t)
		})
		if err == nil && !found {
			return refuse(schemas.TableNotFound, "").with("table", n)
		}
		return err
	}
	if n == allTables {
		p.media, p.name, p.saved = zipType, filename(s, "-tables.zip"), true
		p.write = func(ctx context.Context, w io.Writer) error {
			z := newZip(w)
			var file io.Writer
			err := g.eachTable(ctx, out, func(i int, begins bool, t *document.Table) (err error) {
				if begins {
					if file, err = z.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("table-%03d.csv", i), Method: zip.Deflate}); err != nil {
						return err
					}
				}
				return g.pages.Table(file, t)
			})
			if err != nil {
				return err
			}
			return z.Close()
		}
	}
	return g.send(c, p)
}

// eachTable calls f for every part of every table of a document in JSON, in order: i counts the tables, begins tells the first part of one.
// io.EOF from f ends the reading.
func (g *Gateway) eachTable(ctx context.Context, out schemas.Output, f func(i int, begins bool, t *document.Table) error) error {
	body, err := g.open(ctx, out, 0, 0)
	if err != nil {
		return err
	}
	defer body.Close()
	i := 0
	err = eachPage(body, func(p *document.Page) error {
		for _, b := range p.Blocks {
			if b.Table == nil {
				continue
			}
			begins := i == 0 || !b.Table.Continues
			if begins {
				i++
			}
			if err := f(i, begins, b.Table); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// eachPage reads a document in JSON page by page.
func eachPage(r io.Reader, f func(*document.Page) error) error {
	d := json.NewDecoder(r)
	broken := func(err error) error {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("reading a document: %w", err)
	}
	if _, err := d.Token(); err != nil {
		return broken(err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return broken(err)
		}
		if name != "pages" {
			var other json.RawMessage
			if err := d.Decode(&other); err != nil {
				return broken(err)
			}
			continue
		}
		if _, err := d.Token(); err != nil {
			return broken(err)
		}
		for d.More() {
			var p document.Page
			if err := d.Decode(&p); err != nil {
				return broken(err)
			}
			if err := f(&p); err != nil {
				return err
			}
		}
		return nil
	}
	return broken(io.ErrUnexpectedEOF)
}

// wantsZip reports whether an Accept header names archives, and does not refuse them.
func wantsZip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		kind, q := preference(part)
		if kind == zipType && q > 0 {
			return true
		}
	}
	return false
}
