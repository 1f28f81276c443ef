package gateway

import (
	"context"
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"docstream/internal/blob"
	"docstream/schemas"
)

// Links makes addresses at which an object can be read without a key, for a while.
type Links interface {
	Link(ctx context.Context, key string, l blob.Link) (string, error)
}

// LinkResults lets whole outputs be fetched from the object store itself where the configuration says so; call it before Run.
func (g *Gateway) LinkResults(l Links) { g.links = l }

// linked reports whether a client is sent to the object store. A link is good for GET alone, and who wants the bytes through the gateway has
// them: compressed, by range, and from nobody else.
func (g *Gateway) linked(c *gin.Context) bool {
	return g.links != nil && g.cfg.ResultLinks > 0 && c.Request.Context().Value(headOnly{}) == nil && c.Query("through") != "1"
}

// redirect sends a client to where an output lies. It is looked for first, so that what has expired is answered as such; and it always comes
// as a download, for it is not from our own address that a browser would show it.
func (g *Gateway) redirect(c *gin.Context, s *schemas.JobSnapshot, out schemas.Output) error {
	tag := `"` + out.SHA256 + `"`
	if unchanged(c, tag) {
		return nil
	}
	o, err := g.objects.Head(c.Request.Context(), out.Key)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return refuse(schemas.ResultExpired, "").because(err)
	case err != nil:
		return err
	case o.Size != out.Size:
		return refuse(schemas.Internal, "").because(errors.New(out.Key + " is not what was composed"))
	}
	address, err := g.links.Link(c.Request.Context(), out.Key, blob.Link{For: g.cfg.ResultLinks, MediaType: contentType(out),
		Disposition: attachment(filename(s, extensions[out.Format]))})
	if err != nil {
		return err
	}
	c.Header("ETag", tag)
	c.Header("Cache-Control", "no-store")
	c.Header("Location", address)
	g.mayWrite(c)
	c.Status(http.StatusTemporaryRedirect)
	c.Writer.WriteHeaderNow()
	return nil
}
