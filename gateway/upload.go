package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/gateway/doors"
	"docstream/internal/blob"
	"docstream/internal/media"
	"docstream/schemas"
)

const (
	smallFile    = 256 << 10 // up to so many bytes a file is one write from a pooled buffer
	bodyOverhead = 1 << 20   // what a body may hold beside the file: options and the multipart lines
	maxParts     = 32        // of a multipart body
	maxDoorParts = 128       // of a form of another service's, whose clients send every option they know
	maxField     = 16 << 10  // of one option
	maxHead      = 64 << 10  // of a part, read-ahead included
)

// small holds the first bytes of a file: its type is found in them, and a small file needs no more (P6).
var small = sync.Pool{New: func() any { b := make([]byte, smallFile); return &b }}

// aheads are what forms are read through, in larger pieces than by themselves: each is a call to the system, and moves the deadline on.
var aheads = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 16<<10) }}

// upload is one document being taken in, whichever way it comes.
type upload struct {
	g        *Gateway
	tenant   string
	options  options
	seen     map[string]bool
	body     *source        // nil until the file has come
	key      string         // of the stored object; empty until storing begins
	foreign  schemas.Source // what the request names instead of sending bytes
	direct   string         // the upload that was sent to the store itself; empty: none
	media    string
	filename string
	asked    time.Time // when it was asked for; zero: now

	door doors.Ask    // whose form it is; nil: the API's
	bare *doors.Parse // whose body it is, bare; nil: another's
}

// receive reads the body in the way its type says: a form, a request in JSON, or the document itself.
func (u *upload) receive(c *gin.Context) error {
	kind, params, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	body := newPaced(c, u.g.cfg)
	defer body.done()
	switch {
	case u.direct != "":
		return u.request(c, body)
	case u.door != nil || u.bare != nil:
		return u.opened(c, body)
	case err == nil && kind == "multipart/form-data" && params["boundary"] != "":
		return u.form(c, body, params["boundary"])
	case err == nil && kind == "application/json":
		return u.request(c, body)
	case err != nil || kind == "multipart/form-data" || kind == "application/x-www-form-urlencoded":
		return refuse(schemas.InvalidRequest, "Send the document as multipart/form-data in a field named file, or as the body with its own Content-Type, or name it in JSON.")
	}
	return u.raw(c, body, kind)
}

// form reads a multipart body part by part. Options may come before or after the file.
func (u *upload) form(c *gin.Context, body *paced, boundary string) error {
	ahead := aheads.Get().(*bufio.Reader)
	ahead.Reset(http.MaxBytesReader(c.Writer, body, u.g.maxFile(u.tenant)+bodyOverhead))
	defer func() { ahead.Reset(nil); aheads.Put(ahead) }()
	parts := multipart.NewReader(ahead, boundary)
	u.seen = map[string]bool{}
	most := maxParts
	if u.door != nil {
		most = maxDoorParts
	}
	for range most {
		body.allow(maxHead)
		p, err := parts.NextPart()
		if err == io.EOF { // only bare: a body that was cut off says so in another way
			return u.complete(c, body)
		}
		if err != nil {
			return u.unreadable(err)
		}
		body.allow(math.MaxInt64 - body.read)
		if err := u.part(c, p); err != nil {
			return err
		}
	}
	return refuse(schemas.InvalidRequest, "The body has too many parts.").with("max_parts", most)
}

// complete reads what may stand behind the last part, so that a request that was not sent to its end is not taken for a whole one.
func (u *upload) complete(c *gin.Context, body io.Reader) error {
	if _, err := io.Copy(io.Discard, io.LimitReader(body, maxHead/2)); err != nil {
		return u.unreadable(err)
	}
	if u.body == nil {
		return refuse(schemas.MissingFile, "")
	}
	return nil
}

// part takes one part: the file is streamed on, an option is read whole, for it is small.
func (u *upload) part(c *gin.Context, p *multipart.Part) error {
	name, file, many := p.FormName(), "file", p.FormName() == "output_formats"
	if u.door != nil {
		file, many = u.door.File(), u.door.Many(name)
	}
	if u.seen[name] && !many {
		return refuse(schemas.InvalidRequest, "A field was sent twice.").with("field", clip(name, 40))
	}
	u.seen[name] = true
	if name == file {
		return u.file(c.Request.Context(), p, p.Header.Get("Content-Type"), p.FileName())
	}
	value, err := io.ReadAll(io.LimitReader(p, maxField+1))
	if err != nil {
		return u.unreadable(err)
	}
	if len(value) > maxField {
		return invalid(name, "The value is too long.").with("max_bytes", maxField)
	}
	if u.door != nil {
		return u.door.Field(name, string(value))
	}
	return u.options.set(name, string(value))
}

// file stores the file, after a look at its first bytes.
func (u *upload) file(ctx context.Context, from io.Reader, declared, filename string) error {
	u.body = newSource(from, u.g.maxFile(u.tenant))
	u.filename = media.CleanName(filename)
	buf := small.Get().(*[]byte)
	n, err := io.ReadFull(u.body, *buf)
	whole := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && u.body.failed == nil
	defer func() { u.g.metrics.uploaded.Add(float64(u.body.size)) }()
	if err != nil && !whole {
		return u.unreadable(u.body.failed)
	}
	if n == 0 {
		return refuse(schemas.EmptyFile, "")
	}
	if u.media, err = mediaType((*buf)[:n], declared, u.filename); err != nil {
		return err
	}
	if u.options.dry { // nothing is kept: read on, to know the size and the digest
		if _, err := io.Copy(io.Discard, u.body); err != nil {
			return u.unreadable(err)
		}
		small.Put(buf)
		return nil
	}
	u.key = schemas.SourceKey(u.tenant, schemas.NewUploadID(time.Now()))
	o := blob.Options{MediaType: u.media}
	if whole {
		o.SHA256 = u.body.digest()
		err = u.g.objects.Put(ctx, u.key, (*buf)[:n], o)
	} else {
		err = u.g.objects.Upload(ctx, u.key, io.MultiReader(bytes.NewReader((*buf)[:n]), u.body), o)
	}
	switch {
	case u.body.failed != nil: // the body's fault, however the store reports it
		return u.unreadable(u.body.failed)
	case err != nil && ctx.Err() != nil:
		return refuse(schemas.UploadInterrupted, "").because(err)
	case err == nil:
		small.Put(buf) // not after an error: a request that was given up may still read from it
	}
	return err
}

// unreadable says why a body could not be read to its end.
func (u *upload) unreadable(err error) error {
	var over *http.MaxBytesError
	switch {
	case errors.Is(err, errTooLarge), errors.As(err, &over):
		return u.g.tooLarge(u.tenant)
	case errors.Is(err, multipart.ErrMessageTooLarge), malformed(err):
		return refuse(schemas.InvalidRequest, "The body is malformed.").because(err)
	}
	return refuse(schemas.UploadInterrupted, "").because(fmt.Errorf("reading the body: %w", err)).hangUp()
}

// discard removes what a refused upload has stored, also where the client has gone: a broken upload leaves no object.
func (u *upload) discard(ctx context.Context) {
	if u.key == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := u.g.objects.Delete(ctx, u.key); err != nil {
		u.g.log.WarnContext(ctx, "a refused upload was not removed; its age will", "key", u.key, "error", err)
	}
}
