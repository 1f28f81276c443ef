package compose

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"docstream/internal/blob"
	"docstream/internal/turn"
	"docstream/schemas"
	"docstream/schemas/document"
)

// pages yields the finished pages in order. The text pages of a chunk share an object, which is read once, line by line.
type pages struct {
	config  Config
	objects Reads
	event   *schemas.DocumentFinished

	chunk string // key of the open chunk object
	body  io.ReadCloser
	lines *bufio.Reader
}

// each calls f for every finished page, ascending. Between two pages it gives way to whoever goes first (P9).
func (p *pages) each(ctx context.Context, f func(*document.Page) error) error {
	defer p.closeChunk()
	text := schemas.Bitmap(p.event.Text)
	first := true
	for n := range schemas.Bitmap(p.event.Finished).All() {
		if !first {
			if err := turn.Between(ctx); err != nil {
				return err
			}
		}
		first = false
		read := p.recognised
		if text.Has(n) {
			read = p.text
		}
		page, err := read(ctx, n)
		if err != nil {
			return err
		}
		asked(page, p.event.Options)
		if p.event.PagesTotal == 1 {
			alone(page)
		}
		if err := f(page); err != nil {
			return err
		}
	}
	return nil
}

func (p *pages) key(name string) string {
	return schemas.ResultKey(p.event.Tenant, p.event.JobID, p.event.Run, name)
}

// recognised reads the object of one page.
func (p *pages) recognised(ctx context.Context, n int) (*document.Page, error) {
	body, err := p.open(ctx, p.key(schemas.PageResultName(n)))
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	line, err := io.ReadAll(io.LimitReader(body, p.config.MaxPage+1))
	if err != nil {
		return nil, err
	}
	return p.decode(line, n)
}

// text reads on in the chunk object until page n. Pages that are not asked for lie in between where an earlier run of this page failed.
func (p *pages) text(ctx context.Context, n int) (*document.Page, error) {
	if key := p.key(schemas.TextChunkName(n)); key != p.chunk {
		p.closeChunk()
		body, err := p.open(ctx, key)
		if err != nil {
			return nil, err
		}
		p.chunk, p.body, p.lines = key, body, bufio.NewReaderSize(body, 64<<10)
	}
	for {
		line, err := p.line()
		if err == io.EOF && len(line) == 0 {
			return nil, failed(fmt.Errorf("page %d is not in %s", n, p.chunk))
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
		at, err := numberOf(line)
		if err != nil {
			return nil, failed(fmt.Errorf("read %s: %w", p.chunk, err))
		}
		if at == n {
			return p.decode(line, n)
		}
		if at > n {
			return nil, failed(fmt.Errorf("page %d is not in %s", n, p.chunk))
		}
	}
}

// numberOf reads the number of a page, which stands near its beginning: the rest is decoded once, if at all.
func numberOf(line []byte) (n int, err error) {
	in := json.NewDecoder(bytes.NewReader(line))
	_, err = in.Token()
	for err == nil && in.More() {
		var name json.Token
		if name, err = in.Token(); err == nil && name == "number" {
			return n, in.Decode(&n)
		}
		err = errors.Join(err, in.Decode(new(json.RawMessage)))
	}
	return 0, errors.Join(err, errNoNumber)
}

var errNoNumber = errors.New("the page has no number")

// line reads one line, bounded.
func (p *pages) line() ([]byte, error) {
	var line []byte
	for {
		part, err := p.lines.ReadSlice('\n')
		line = append(line, part...)
		if int64(len(line)) > p.config.MaxPage {
			return nil, failed(fmt.Errorf("a page in %s is over %d bytes", p.chunk, p.config.MaxPage))
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func (p *pages) decode(line []byte, n int) (*document.Page, error) {
	if int64(len(line)) > p.config.MaxPage {
		return nil, failed(fmt.Errorf("page %d is over %d bytes", n, p.config.MaxPage))
	}
	var page document.Page
	if err := json.Unmarshal(line, &page); err != nil {
		return nil, failed(fmt.Errorf("page %d: %w", n, err))
	}
	if page.Number != n || page.Format != document.PageFormat {
		return nil, failed(fmt.Errorf("the result of page %d says page %d, format %q", n, page.Number, page.Format))
	}
	return &page, nil
}

func (p *pages) open(ctx context.Context, key string) (io.ReadCloser, error) {
	body, _, err := p.objects.Get(ctx, key, 0, 0)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, failed(fmt.Errorf("%s: %w", key, err))
	}
	return body, err
}

func (p *pages) closeChunk() {
	if p.body != nil {
		_ = p.body.Close()
	}
	p.chunk, p.body, p.lines = "", nil, nil
}
