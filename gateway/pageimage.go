package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"

	"docstream/internal/blob"
	"docstream/schemas"
)

// pageImage answers with the image a page was read from, as soon as there is one and as long as work is kept. A page with text of its own
// was never made into one.
func (g *Gateway) pageImage(c *gin.Context) error {
	s, err := g.find(c)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(c.Param("page"))
	if err != nil || n < 1 {
		return invalid("page", "A page is a number from 1.")
	}
	if err := g.pictured(s, n); err != nil {
		return err
	}
	o, err := g.lastImage(c.Request.Context(), s, n)
	if errors.Is(err, blob.ErrNotFound) {
		return g.noImage(s, n).because(err)
	}
	if err != nil {
		return err
	}
	return g.send(c, payload{
		tag: tagOf("page image", o.Key, o.ETag), media: "image/png", size: o.Size, name: filename(s, fmt.Sprintf("-page-%d.png", n)),
		open: func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
			return g.open(ctx, schemas.Output{Key: o.Key, Size: o.Size}, offset, length)
		},
	})
}

// pictured says why a page cannot have an image; nil where it may have one.
func (g *Gateway) pictured(s *schemas.JobSnapshot, n int) error {
	if err := unread(s, n); err != nil {
		return err
	}
	if schemas.Bitmap(s.Text).Has(n) {
		return refuse(schemas.ResultNotAvailable, "The page has text of its own and was read without an image.").with("page", n)
	}
	return nil
}

// lastImage finds the image of a page: of the newest run, or, where that took the page over, of the run it was read in. Only runs of the same
// pipeline version are taken over.
func (g *Gateway) lastImage(ctx context.Context, s *schemas.JobSnapshot, n int) (o blob.Object, err error) {
	runs := []int{s.Run}
	for _, r := range slices.Backward(s.Runs) {
		if r.Pipeline != "" && r.Pipeline == s.Pipeline {
			runs = append(runs, r.Run)
		}
	}
	for _, run := range runs {
		key := schemas.WorkKey(s.Tenant, s.JobID, run, schemas.PageImageName(n))
		if o, err = g.objects.Head(ctx, key); !errors.Is(err, blob.ErrNotFound) {
			o.Key = key
			return o, err
		}
	}
	return o, err
}

// noImage says why a page that could have an image has none.
func (g *Gateway) noImage(s *schemas.JobSnapshot, n int) *refusal {
	switch {
	case schemas.Bitmap(s.Finished).Has(n):
		return refuse(schemas.ResultExpired, "The image of the page is no longer kept.").with("page", n)
	case schemas.Bitmap(s.Failed).Has(n), schemas.Terminal(s.Status):
		return refuse(schemas.ResultNotAvailable, "The page has no image: it was not made, or is no longer kept.").with("page", n).with("status", s.Status)
	}
	return g.notReady(s).with("page", n)
}
