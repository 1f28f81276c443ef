package gateway

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"docstream/internal/blob"
	"docstream/schemas"
)

// result streams an output of a job that has one: of its newest run, unless the query names an earlier one.
func (g *Gateway) result(c *gin.Context) error {
	format := c.Query("format")
	if format != "" && !slices.Contains(Formats, format) {
		return invalid("format", "There is no such format.").with("allowed", Formats)
	}
	s, err := g.find(c)
	if err != nil {
		return err
	}
	if out, is, err := g.past(c, s, format); is || err != nil {
		if err != nil {
			return err
		}
		return g.stream(c, s, out)
	}
	if !schemas.Terminal(s.Status) {
		r := refuse(schemas.ResultNotReady, "").with("status", s.Status)
		r.after = min(max(g.view.Estimate(s.Class, s.Source.Size)/4, 1), maxRetryAfter)
		return r
	}
	if !hasResult(s) {
		return refuse(schemas.ResultNotAvailable, "").with("status", s.Status).with("code", s.Code).with("message", s.Message)
	}
	out, err := pick(s, format, c.GetHeader("Accept"))
	if err != nil {
		return err
	}
	return g.stream(c, s, out)
}

// pick chooses the output: format wins over Accept.
func pick(s *schemas.JobSnapshot, format, accept string) (schemas.Output, error) {
	var composed []string
	for _, o := range s.Outputs {
		composed = append(composed, o.Format)
	}
	want := []string{format}
	if format == "" {
		want = negotiate(accept, composed)
	}
	for _, f := range want {
		if i := slices.Index(composed, f); i >= 0 {
			return s.Outputs[i], nil
		}
	}
	return schemas.Output{}, refuse(schemas.FormatNotComposed, "").with("composed", composed)
}

// stream sends an object as it comes from the store. The digest is the entity tag: the same result has the same one for ever (P5).
func (g *Gateway) stream(c *gin.Context, s *schemas.JobSnapshot, out schemas.Output) error {
	tag := `"` + out.SHA256 + `"`
	c.Header("ETag", tag)
	c.Header("Cache-Control", "private, no-cache")
	c.Header("Vary", "Accept, Authorization")
	if matches(c.GetHeader("If-None-Match"), tag) {
		c.Status(http.StatusNotModified)
		c.Writer.WriteHeaderNow()
		return nil
	}
	body, o, err := g.objects.Get(c.Request.Context(), out.Key, 0, 0)
	if errors.Is(err, blob.ErrNotFound) {
		return refuse(schemas.ResultNotAvailable, "The result is no longer kept.").with("status", s.Status).because(err)
	}
	if err != nil {
		return err
	}
	defer body.Close()
	if o.Size != out.Size {
		return refuse(schemas.Internal, "").because(fmt.Errorf("%s has %d bytes, not the %d it was composed with", out.Key, o.Size, out.Size))
	}
	c.Header("Content-Type", contentType(out))
	c.Header("Content-Length", strconv.FormatInt(out.Size, 10))
	if c.Query("download") == "1" {
		c.Header("Content-Disposition", attachment(s, out))
	}
	c.Status(http.StatusOK)
	c.Writer.WriteHeaderNow()
	if err := g.copy(c, io.LimitReader(body, out.Size)); err != nil && !errors.Is(err, http.ErrBodyNotAllowed) {
		return err // an answer has begun: the connection is cut
	}
	return nil
}

// copy sends a body through one pooled buffer; each piece gets the stall time to be taken.
func (g *Gateway) copy(c *gin.Context, from io.Reader) error {
	buf := small.Get().(*[]byte)
	defer small.Put(buf)
	for {
		n, err := from.Read(*buf)
		if n > 0 {
			g.mayWrite(c)
			if _, err := c.Writer.Write((*buf)[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// extensions are what a downloaded result is called by.
var extensions = map[string]string{"markdown": ".md", "json": ".json", "html": ".html", "csv": ".csv", "text": ".txt"}

// attachment writes a Content-Disposition a browser can believe (RFC 6266): the client's own name, made safe, with the ending of the
// format.
func attachment(s *schemas.JobSnapshot, out schemas.Output) string {
	name := strings.TrimSuffix(s.Source.Filename, path.Ext(s.Source.Filename))
	if name == "" {
		name = s.JobID
	}
	name += extensions[out.Format]
	ascii := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || strings.ContainsRune(`"\/;%`, r) {
			return '_'
		}
		return r
	}, name)
	v := `attachment; filename="` + ascii + `"`
	if ascii != name {
		v += "; filename*=UTF-8''" + extended(name)
	}
	return v
}

// extended writes text as RFC 8187 does.
func extended(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$&+-.^_`|~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// contentType is the output's own type; text is UTF-8 and says so.
func contentType(out schemas.Output) string {
	t := out.MediaType
	if t == "" {
		t = mediaTypes[out.Format]
	}
	if kind, params, err := mime.ParseMediaType(t); err == nil && strings.HasPrefix(kind, "text/") && params["charset"] == "" {
		return kind + "; charset=utf-8"
	}
	return t
}
