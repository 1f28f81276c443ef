package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"

	"docstream/internal/blob"
	"docstream/schemas"
)

// pagesBody says which pages of a job's newest run can be read by now. Sets of pages read like 1-3,7.
type pagesBody struct {
	JobID    string `json:"job_id"`
	Run      int    `json:"run"`
	Status   string `json:"status"`
	Asked    string `json:"asked"` // empty while nobody knows
	Finished string `json:"finished"`
	Failed   string `json:"failed"`
	PageURL  string `json:"page_url"` // with {page} in the place of the number
}

// pageList answers which pages can be read by now.
func (g *Gateway) pageList(c *gin.Context) error {
	s, err := g.find(c)
	if err != nil {
		return err
	}
	tag := jobTag(s)
	c.Header("ETag", tag)
	if unchanged(c, tag) {
		return nil
	}
	if !schemas.Terminal(s.Status) {
		c.Header("Retry-After", "1")
	}
	b := pagesBody{JobID: s.JobID, Run: s.Run, Status: s.Status, Asked: s.PageRanges, PageURL: g.statusURL(s.JobID) + "/pages/{page}"}
	if s.Status != schemas.Cancelled {
		b.Finished, b.Failed = schemas.Bitmap(s.Finished).Ranges().String(), schemas.Bitmap(s.Failed).Ranges().String()
	}
	g.json(c, http.StatusOK, b)
	return nil
}

// rendering bounds how many pages are read and rendered at once: each is held whole (P6).
var rendering = make(chan struct{}, 8)

// page answers with one page of a job's newest run as soon as it is finished, whatever the others do. It comes in any format, also one that
// is not composed of the whole document: it is rendered when it is asked for.
func (g *Gateway) page(c *gin.Context) error {
	s, err := g.find(c)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(c.Param("page"))
	if err != nil || n < 1 {
		return invalid("page", "A page is a number from 1.")
	}
	format, err := pageFormat(c)
	if err != nil {
		return err
	}
	if err := g.readable(s, n); err != nil {
		return err
	}
	if g.pages == nil {
		return refuse(schemas.ServiceUnavailable, "")
	}
	b, err := g.rendered(c.Request.Context(), s, n, format)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	return g.send(c, payload{
		tag: hex.EncodeToString(sum[:]), media: contentType(schemas.Output{Format: format}), size: int64(len(b)),
		name: filename(s, fmt.Sprintf("-page-%d%s", n, extensions[format])),
		open: func(_ context.Context, offset, length int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(b[offset:])), nil
		},
	})
}

// pageFormat is the one format a page is asked for in; format wins over Accept.
func pageFormat(c *gin.Context) (string, error) {
	if name := c.Query("format"); name != "" {
		if long, ok := spoken[name]; ok {
			name = long
		}
		if !slices.Contains(Formats, name) {
			return "", invalid("format", "A page comes in one of the formats.").with("allowed", Formats)
		}
		return name, nil
	}
	want := negotiate(c.GetHeader("Accept"), Formats)
	if len(want) == 0 {
		return "", refuse(schemas.FormatNotComposed, "A page comes in one of the formats.").with("composed", Formats)
	}
	return want[0], nil
}

// unread says that a run never reads a page: nobody asked for it, or the run was cancelled; nil where it may.
func unread(s *schemas.JobSnapshot, n int) error {
	asked, err := schemas.ParseRanges(s.PageRanges)
	switch {
	case err == nil && s.PageRanges != "" && asked.Clip(n, n).Count() == 0:
		return refuse(schemas.PageNotFound, "").with("page", n).with("pages", clip(s.PageRanges, 200))
	case s.Status == schemas.Cancelled:
		return refuse(schemas.ResultNotAvailable, "").with("status", s.Status)
	}
	return nil
}

// readable says why a page cannot be read; nil where it can. What a cancelled run has read is never served (P2).
func (g *Gateway) readable(s *schemas.JobSnapshot, n int) error {
	if err := unread(s, n); err != nil {
		return err
	}
	switch {
	case schemas.Bitmap(s.Finished).Has(n):
		return nil
	case schemas.Bitmap(s.Failed).Has(n):
		r := refuse(schemas.ResultNotAvailable, "The page could not be read.").with("page", n)
		if i := slices.IndexFunc(s.Failures, func(f schemas.PageFailure) bool { return f.Page == n }); i >= 0 {
			r.with("code", s.Failures[i].Code).with("message", s.Failures[i].Message)
		}
		return r
	case schemas.Terminal(s.Status):
		return refuse(schemas.ResultNotAvailable, "").with("status", s.Status).with("code", s.Code).with("message", s.Message)
	}
	return g.notReady(s).with("page", n)
}

// rendered reads a finished page and writes it in a format.
func (g *Gateway) rendered(ctx context.Context, s *schemas.JobSnapshot, n int, format string) ([]byte, error) {
	select {
	case rendering <- struct{}{}:
		defer func() { <-rendering }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p, err := g.pages.Page(ctx, s, n)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, refuse(schemas.ResultExpired, "").because(err)
	}
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := g.pages.Render(&out, format, p); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
