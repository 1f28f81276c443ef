package gateway

import (
	"context"
	"errors"
	"io"
	"regexp"
	"strconv"

	"github.com/gin-gonic/gin"

	"docstream/internal/blob"
	"docstream/schemas"
)

// figureForm is what the picture of a figure is called: page and number, see [schemas.FigureName].
var figureForm = regexp.MustCompile(`^([0-9]{6})-[0-9]{1,6}\.(png|jpg)$`)

// figure answers with the picture of a figure of a finished page. Its address is what the outputs refer to it by, seen from the result.
func (g *Gateway) figure(c *gin.Context) error {
	s, err := g.find(c)
	if err != nil {
		return err
	}
	named := figureForm.FindStringSubmatch(c.Param("figure"))
	if named == nil {
		return refuse(schemas.FigureNotFound, "")
	}
	n, err := strconv.Atoi(named[1])
	if err != nil || n < 1 {
		return refuse(schemas.FigureNotFound, "")
	}
	if err := g.readable(s, n); err != nil {
		return err
	}
	key := schemas.ResultKey(s.Tenant, s.JobID, s.Run, "figures/"+named[0])
	o, err := g.objects.Head(c.Request.Context(), key)
	if errors.Is(err, blob.ErrNotFound) {
		return g.noFigure(c.Request.Context(), s, n)
	}
	if err != nil {
		return err
	}
	media := "image/png"
	if named[2] == "jpg" {
		media = "image/jpeg"
	}
	return g.send(c, payload{
		tag: tagOf("figure", key, o.ETag), media: media, size: o.Size, name: filename(s, "-"+named[0]),
		open: func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
			return g.open(ctx, schemas.Output{Key: key, Size: o.Size}, offset, length)
		},
	})
}

// noFigure says why there is no picture: while the page itself is kept there never was one.
func (g *Gateway) noFigure(ctx context.Context, s *schemas.JobSnapshot, n int) error {
	if g.pages == nil {
		return refuse(schemas.ServiceUnavailable, "")
	}
	_, err := g.pages.Page(ctx, s, n)
	switch {
	case err == nil:
		return refuse(schemas.FigureNotFound, "").with("page", n)
	case errors.Is(err, blob.ErrNotFound):
		return refuse(schemas.ResultExpired, "").because(err)
	}
	return err
}
