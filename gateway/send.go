package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"docstream/schemas"
)

// payload is one thing a client can fetch: its bytes lie somewhere (open) or are made on the way (write).
type payload struct {
	tag   string // what its bytes derive from: the same for ever, and another for other bytes
	media string
	name  string // of a download
	saved bool   // always a download
	size  int64  // of what open reads

	open  func(ctx context.Context, offset, length int64) (io.ReadCloser, error) // length 0: to the end
	write func(ctx context.Context, w io.Writer) error                           // an error before the first byte is answered as one
}

// send answers a GET of a payload: conditional, by range where its bytes lie ready, compressed where the client takes it and asks for no
// range. Each encoding has a strong entity tag of its own, for its bytes differ.
func (g *Gateway) send(c *gin.Context, p payload) error {
	encoding, wished := "", c.GetHeader("Range") != ""
	if compressible(p) && !wished {
		encoding = chooseEncoding(c.GetHeader("Accept-Encoding"))
	}
	tag := `"` + p.tag + `"`
	if encoding != "" {
		tag = `"` + p.tag + "-" + encoding + `"`
	}
	c.Header("ETag", tag)
	c.Header("Cache-Control", "private, no-cache")
	c.Header("Vary", "Accept, Accept-Encoding, Authorization")
	if unchanged(c, tag) {
		return nil
	}
	head := func(status int, size int64) {
		c.Header("Content-Type", p.media)
		if encoding != "" {
			c.Header("Content-Encoding", encoding)
		} else if size >= 0 {
			c.Header("Content-Length", strconv.FormatInt(size, 10))
		}
		if p.saved || c.Query("download") == "1" {
			c.Header("Content-Disposition", attachment(p.name))
		}
		c.Status(status)
		c.Writer.WriteHeaderNow()
	}
	if p.open == nil {
		return plain(c, g.made(c, p, encoding, func() { head(http.StatusOK, -1) }))
	}
	c.Header("Accept-Ranges", "bytes")
	part := span{0, p.size}
	status := http.StatusOK
	if wished && holds(c.GetHeader("If-Range"), tag) {
		asked, ok, err := readRange(c.GetHeader("Range"), p.size)
		if err != nil {
			c.Header("Content-Range", fmt.Sprintf("bytes */%d", p.size))
			return plain(c, err)
		}
		if ok {
			part, status = asked, http.StatusPartialContent
			c.Header("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part.from, part.from+part.length-1, p.size))
		}
	}
	length := part.length
	if part.length == p.size {
		length = 0 // to the end: an empty object has no range
	}
	body, err := p.open(c.Request.Context(), part.from, length)
	if err != nil {
		return plain(c, err)
	}
	defer body.Close()
	head(status, part.length)
	return g.encoded(c, encoding, func(w io.Writer) error { return g.copy(w, io.LimitReader(body, part.length)) })
}

// plain takes back what was said of a payload that is not sent after all.
func plain(c *gin.Context, err error) error {
	if err != nil && !c.Writer.Written() {
		for _, name := range []string{"ETag", "Accept-Ranges", "Vary"} {
			c.Writer.Header().Del(name)
		}
		c.Header("Cache-Control", "no-store")
		var r *refusal
		if !errors.As(err, &r) || r.code != schemas.RangeNotSatisfiable {
			c.Writer.Header().Del("Content-Range")
		}
	}
	return err
}

// made sends what is made on the way; the head goes out with its first byte, so that what cannot be made is still answered as an error.
func (g *Gateway) made(c *gin.Context, p payload, encoding string, head func()) error {
	begun := false
	begin := func() {
		if !begun {
			begun = true
			head()
		}
	}
	err := g.encoded(c, encoding, func(w io.Writer) error {
		return p.write(c.Request.Context(), writerFunc(func(b []byte) (int, error) {
			begin()
			return w.Write(b)
		}))
	}, begin)
	return err
}

// encoded writes through the encoding. What broke off is never ended as if it were whole: the connection is cut.
func (g *Gateway) encoded(c *gin.Context, encoding string, write func(io.Writer) error, before ...func()) error {
	w := io.Writer(writerFunc(func(b []byte) (int, error) {
		g.mayWrite(c) // each piece gets the stall time to be taken
		return c.Writer.Write(b)
	}))
	if encoding == "" {
		err := write(w)
		if err == nil {
			for _, f := range before {
				f()
			}
		}
		return tolerable(err)
	}
	z := encoders[encoding].get(w)
	defer encoders[encoding].put(z)
	if err := write(z); err != nil {
		return tolerable(err)
	}
	for _, f := range before {
		f()
	}
	return tolerable(z.Close())
}

// tolerable forgives what a HEAD does to a body.
func tolerable(err error) error {
	if errors.Is(err, http.ErrBodyNotAllowed) {
		return nil
	}
	return err
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// copy sends a body through one pooled buffer.
func (g *Gateway) copy(to io.Writer, from io.Reader) error {
	buf := small.Get().(*[]byte)
	defer small.Put(buf)
	for {
		n, err := from.Read(*buf)
		if n > 0 {
			if _, err := to.Write((*buf)[:n]); err != nil {
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

// span is a part of an object.
type span struct{ from, length int64 }

// holds reports whether a range may be answered: without If-Range always, with it only where the entity tag is the strong one that holds.
// A date never holds, for results have none.
func holds(ifRange, tag string) bool { return ifRange == "" || strings.TrimSpace(ifRange) == tag }

// readRange reads a Range header of one range (RFC 9110, 14). Other units and several ranges are passed over, as the RFC lets one.
func readRange(header string, size int64) (span, bool, error) {
	spec, ok := strings.CutPrefix(strings.TrimSpace(header), "bytes=")
	if !ok || strings.Contains(spec, ",") {
		return span{}, false, nil
	}
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok || !digits(first) || !digits(last) || first == "" && last == "" {
		return span{}, false, nil
	}
	no := refuse(schemas.RangeNotSatisfiable, "").with("size", size)
	if first == "" {
		n, err := strconv.ParseInt(last, 10, 64)
		if n = min(n, size); err != nil {
			n = size
		}
		if n == 0 {
			return span{}, false, no
		}
		return span{size - n, n}, true, nil
	}
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil || from >= size {
		return span{}, false, no
	}
	to := size - 1
	if last != "" {
		n, err := strconv.ParseInt(last, 10, 64)
		if err == nil && n < from {
			return span{}, false, nil
		}
		if err == nil {
			to = min(to, n)
		}
	}
	return span{from, to - from + 1}, true, nil
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// tagOf derives an entity tag from what a payload is made of.
func tagOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:])
}
