package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/internal/blob"
	"docstream/schemas"
)

// result answers with outputs of a job that has some: of its newest run, unless the query names an earlier one. One output is sent as it
// lies in the store, several come as a zip; of the tables, which are read out of the JSON, one or all.
func (g *Gateway) result(c *gin.Context) error {
	a, err := readAsk(c)
	if err != nil {
		return err
	}
	s, err := g.find(c)
	if err != nil {
		return err
	}
	set, err := g.outputs(c, s)
	if err != nil {
		return err
	}
	switch {
	case a.table != 0:
		return g.tables(c, s, set, a.table)
	case a.zip:
		return g.archive(c, s, set, a.formats)
	}
	out, err := set.pick(a, c.GetHeader("Accept"))
	if err != nil {
		return err
	}
	return g.output(c, s, out)
}

// ask is what of a result a client wants.
type ask struct {
	formats []string // none: whatever Accept takes
	zip     bool
	table   int // n: the nth; allTables: each; 0: whole outputs
}

const allTables = -1

// spoken are other names of formats, as clients know them from file names.
var spoken = map[string]string{"md": "markdown", "txt": "text"}

// readAsk reads format, table and, of Accept, whether a zip is wanted.
func readAsk(c *gin.Context) (a ask, err error) {
	for name := range strings.SplitSeq(c.Query("format"), ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if name == "zip" {
			a.zip = true
			continue
		}
		if long, ok := spoken[name]; ok {
			name = long
		}
		if !slices.Contains(Formats, name) {
			return a, invalid("format", "There is no such format.").with("allowed", append(slices.Clone(Formats), "zip"))
		}
		if !slices.Contains(a.formats, name) {
			a.formats = append(a.formats, name)
		}
	}
	a.zip = a.zip || len(a.formats) > 1 || wantsZip(c.GetHeader("Accept"))
	switch t := c.Query("table"); {
	case t == "":
		return a, nil
	case len(a.formats) > 1 || len(a.formats) == 1 && a.formats[0] != "csv":
		return a, invalid("table", "Tables come as csv alone.")
	case t == "all":
		a.table = allTables
	default:
		if a.table, err = strconv.Atoi(t); err != nil || a.table < 1 {
			return a, invalid("table", "A table is a number from 1, or all.")
		}
	}
	return a, nil
}

// resultSet is what a run has to give.
type resultSet struct {
	outputs []schemas.Output
	formats []string
	expired []string // formats that were composed and are no longer kept
}

// outputs finds what the run that is asked for has to give, or says why nothing.
func (g *Gateway) outputs(c *gin.Context, s *schemas.JobSnapshot) (resultSet, error) {
	if set, is, err := g.past(c, s); is || err != nil {
		return set, err
	}
	if !schemas.Terminal(s.Status) {
		return resultSet{}, g.notReady(s)
	}
	if !hasResult(s) {
		return resultSet{}, refuse(schemas.ResultNotAvailable, "").with("status", s.Status).with("code", s.Code).with("message", s.Message)
	}
	set := resultSet{outputs: s.Outputs}
	for _, o := range s.Outputs {
		set.formats = append(set.formats, o.Format)
	}
	return set, nil
}

// notReady refuses what is still being worked on: 202, and when to ask again.
func (g *Gateway) notReady(s *schemas.JobSnapshot) *refusal {
	r := refuse(schemas.ResultNotReady, "").with("status", s.Status)
	r.after = min(max(g.view.Estimate(s.Class, s.Source.Size)/4, time.Second), maxRetryAfter)
	return r
}

// of returns the output of a format; false where it was not composed.
func (r resultSet) of(format string) (schemas.Output, bool) {
	i := slices.Index(r.formats, format)
	if i < 0 {
		return schemas.Output{}, false
	}
	return r.outputs[i], true
}

// pick chooses one output: format wins over Accept.
func (r resultSet) pick(a ask, accept string) (schemas.Output, error) {
	want := a.formats
	if len(want) == 0 {
		want = negotiate(accept, r.formats)
	}
	for _, f := range want {
		if o, ok := r.of(f); ok {
			return o, nil
		}
	}
	return schemas.Output{}, r.lacks(want...)
}

// lacks says why none of the formats is to be had.
func (r resultSet) lacks(formats ...string) *refusal {
	if slices.ContainsFunc(formats, func(f string) bool { return slices.Contains(r.expired, f) }) {
		return refuse(schemas.ResultExpired, "")
	}
	return refuse(schemas.FormatNotComposed, "").with("composed", r.formats)
}

// output sends one object of the store as it is. Its digest is the entity tag: the same result has the same one for ever (P5).
func (g *Gateway) output(c *gin.Context, s *schemas.JobSnapshot, out schemas.Output) error {
	if g.linked(c) {
		return g.redirect(c, s, out)
	}
	return g.send(c, payload{
		tag: out.SHA256, media: contentType(out), size: out.Size, name: filename(s, extensions[out.Format]),
		open: func(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
			return g.open(ctx, out, offset, length)
		},
	})
}

// open reads an output from the store; what has expired is gone, and one of another size than it was composed with is not served.
func (g *Gateway) open(ctx context.Context, out schemas.Output, offset, length int64) (io.ReadCloser, error) {
	body, o, err := g.objects.Get(ctx, out.Key, offset, length)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, refuse(schemas.ResultExpired, "").because(err)
	}
	if err != nil {
		return nil, err
	}
	if o.Size != out.Size {
		_ = body.Close()
		return nil, refuse(schemas.Internal, "").because(fmt.Errorf("%s has %d bytes, not the %d it was composed with", out.Key, o.Size, out.Size))
	}
	return body, nil
}

// extensions are what a downloaded result is called by.
var extensions = map[string]string{"markdown": ".md", "json": ".json", "html": ".html", "csv": ".csv", "text": ".txt"}

// filename is what a download is called: the client's own name with another ending.
func filename(s *schemas.JobSnapshot, ending string) string {
	name := strings.TrimSuffix(s.Source.Filename, path.Ext(s.Source.Filename))
	if name == "" {
		name = s.JobID
	}
	return name + ending
}

// attachment writes a Content-Disposition a browser can believe (RFC 6266).
func attachment(name string) string {
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
