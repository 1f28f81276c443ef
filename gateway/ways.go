package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/internal/media"
	"docstream/schemas"
)

// Registered reports whether a tenant may name an object of a foreign bucket as a source (P8).
type Registered func(tenant, bucket, key string) bool

// Foreign describes an object wherever it lies.
type Foreign interface {
	HeadFrom(ctx context.Context, p blob.Place) (blob.Object, error)
	ListFrom(ctx context.Context, bucket, prefix string, f func(blob.Object) bool) error
}

// Buckets lets submissions name objects of registered buckets. Call it before serving; without it no bucket is registered.
func (g *Gateway) Buckets(registered Registered, foreign Foreign) {
	g.registered, g.foreign = registered, foreign
}

// raw takes the body itself as the document. Options stand in the query, the name there or in Content-Disposition.
func (u *upload) raw(c *gin.Context, body *paced, declared string) error {
	name := ""
	if _, params, err := mime.ParseMediaType(c.GetHeader("Content-Disposition")); err == nil {
		name = params["filename"]
	}
	for option, values := range c.Request.URL.Query() {
		for _, v := range values {
			if option == "filename" {
				name = v
			} else if err := u.options.set(option, v); err != nil {
				return err
			}
		}
	}
	body.allow(math.MaxInt64)
	return u.file(c.Request.Context(), body, declared, name)
}

// place names an object of a registered bucket, or for a batch all below a prefix.
type place struct {
	Bucket  string `json:"bucket"`
	Key     string `json:"key"`
	Version string `json:"version"`
	Prefix  string `json:"prefix"`
}

// request takes a submission written in JSON: a small document in base64, or a reference to where one lies. It is held in memory whole, so
// it is bounded on its own (P6).
func (u *upload) request(c *gin.Context, body *paced) error {
	body.allow(math.MaxInt64)
	limit := u.g.cfg.MaxInlineBytes/3*4 + bodyOverhead
	b, err := io.ReadAll(http.MaxBytesReader(c.Writer, io.NopCloser(body), limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return refuse(schemas.FileTooLarge, "A document in JSON is smaller; send it as the body or as a form.").with("max_bytes", u.g.cfg.MaxInlineBytes).hangUp()
	case err != nil:
		return u.unreadable(err)
	}
	if u.direct != "" && len(bytes.TrimSpace(b)) == 0 {
		b = []byte("{}") // an upload that is completed may have no options
	}
	fields, err := object(b)
	if err != nil {
		return err
	}
	return u.fields(c.Request.Context(), fields)
}

// object reads a JSON object whose fields stand once each.
func object(b []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	malformed := refuse(schemas.InvalidRequest, "The body is one JSON object with the documented fields.")
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, malformed
	}
	out := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, malformed
		}
		if _, twice := out[name]; twice {
			return nil, refuse(schemas.InvalidRequest, "A field was sent twice.").with("field", clip(name, 40))
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, malformed
		}
		out[name] = v
	}
	if _, err := d.Token(); err != nil {
		return nil, malformed
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed
	}
	return out, nil
}

// fields takes the options and then the one source that the fields of a request name.
func (u *upload) fields(ctx context.Context, fields map[string]json.RawMessage) error {
	var inline, name, declared, address, direct *string
	var object *place
	for field, into := range map[string]any{"base64": &inline, "filename": &name, "media_type": &declared, "url": &address, "upload": &direct, "s3": &object} {
		if v, ok := fields[field]; ok {
			d := json.NewDecoder(bytes.NewReader(v))
			d.DisallowUnknownFields()
			if err := d.Decode(into); err != nil {
				return invalid(field, "The value does not have the documented form.")
			}
			delete(fields, field)
		}
	}
	for field, v := range fields {
		text, err := optionText(v)
		if err != nil || len(text) > maxField {
			return invalid(field, "The value does not have the documented form.")
		}
		if err := u.options.set(field, text); err != nil {
			return err
		}
	}
	if u.direct != "" && direct == nil {
		direct = &u.direct
	}
	switch {
	case given(inline != nil, object != nil, address != nil, direct != nil) != 1:
		return refuse(schemas.InvalidRequest, "Name one source: base64, url, s3 or upload.")
	case direct != nil && u.direct != "" && *direct != u.direct:
		return refuse(schemas.InvalidRequest, "The address names the upload.")
	case direct != nil:
		return u.arrived(ctx, *direct, text(declared), text(name))
	case address != nil:
		return u.address(*address, text(declared), text(name))
	case object != nil:
		return u.object(ctx, *object, text(name))
	}
	if int64(base64.StdEncoding.DecodedLen(len(*inline))) > u.g.cfg.MaxInlineBytes+2 {
		return refuse(schemas.FileTooLarge, "A document in JSON is smaller; send it as the body or as a form.").with("max_bytes", u.g.cfg.MaxInlineBytes)
	}
	err := u.file(ctx, base64.NewDecoder(base64.StdEncoding, strings.NewReader(*inline)), text(declared), text(name))
	var corrupt base64.CorruptInputError
	if u.body != nil && (errors.As(u.body.failed, &corrupt) || errors.Is(u.body.failed, io.ErrUnexpectedEOF)) {
		return invalid("base64", "The value is not base64.")
	}
	return err
}

// given counts what is there.
func given(sources ...bool) (n int) {
	for _, there := range sources {
		if there {
			n++
		}
	}
	return n
}

// address takes a document that a worker will fetch. What can be refused without asking anybody is refused here; the worker looks again, at what
// the name resolves to and at every redirect.
func (u *upload) address(address, declared, name string) error {
	if _, err := u.g.fetches.Parse(address); err != nil {
		return refuse(schemas.URLBlocked, "").because(err)
	}
	if u.options.dry {
		return refuse(schemas.InvalidRequest, "A dry run needs the bytes: what lies at an address is known when it was fetched.").with("field", "dry_run")
	}
	u.filename, u.media = media.CleanName(name), media.Canonical(declared)
	u.foreign = schemas.Source{URL: address, MediaType: u.media, Filename: u.filename}
	return nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// optionText writes a JSON value as a form would: a list by commas, all else as it stands.
func optionText(v json.RawMessage) (string, error) {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s, nil // null reads as empty: the default
	}
	var list []string
	if json.Unmarshal(v, &list) == nil {
		return strings.Join(list, ","), nil
	}
	var compact bytes.Buffer
	err := json.Compact(&compact, v)
	return compact.String(), err
}

// object takes an object of a bucket that the operator registered for the tenant. What is not registered is refused before the store is
// asked, so that the answer tells nothing about what lies there (P8). Prepare checks again.
func (u *upload) object(ctx context.Context, p place, name string) error {
	if p.Bucket == "" || p.Key == "" || p.Prefix != "" {
		return invalid("s3", "The source needs a bucket and a key.")
	}
	if u.g.registered == nil || !u.g.registered(u.tenant, p.Bucket, p.Key) {
		return refuse(schemas.SourceForbidden, "")
	}
	o, err := u.g.foreign.HeadFrom(ctx, blob.Place{Bucket: p.Bucket, Key: p.Key, Version: p.Version})
	var f *fault.Error
	switch {
	case errors.Is(err, blob.ErrNotFound), errors.As(err, &f) && f.Kind == fault.Permanent:
		return refuse(schemas.SourceMissing, "").because(err)
	case err != nil:
		return err
	case o.Size == 0:
		return refuse(schemas.EmptyFile, "")
	case o.Size > u.g.maxFile(u.tenant):
		return refuse(schemas.FileTooLarge, "").with("max_bytes", u.g.maxFile(u.tenant))
	}
	if name == "" {
		name = p.Key
	}
	u.filename, u.media = media.CleanName(name), o.MediaType
	u.foreign = schemas.Source{Bucket: p.Bucket, Key: p.Key, Version: o.Version, Size: o.Size, MediaType: o.MediaType, Filename: u.filename}
	if o.Version == "" {
		u.foreign.ETag = o.ETag
	}
	return nil
}

// source is where the bytes lie and what is known of them.
func (u *upload) source() schemas.Source {
	if u.foreign.Key != "" || u.foreign.URL != "" {
		return u.foreign
	}
	return schemas.Source{Key: u.key, Size: u.body.size, SHA256: u.body.digest(), MediaType: u.media, Filename: u.filename}
}

// fingerprint tells one request from another under the same Idempotency-Key: what was asked, not how it was wrapped.
func (u *upload) fingerprint(path string) string {
	s := u.source()
	if s.Bucket == "" {
		s.Key = ""
	}
	if u.direct != "" { // by whichever way it is submitted
		path, s.Key = "upload", u.direct
	}
	request := []any{path, s, u.options.priority, u.options.asked, u.options.metadata, u.options.webhook}
	if u.options.deadline != 0 { // what was promised before there were deadlines is the same request
		request = append(request, u.options.deadline)
	}
	if u.options.fresh {
		request = append(request, "fresh")
	}
	b, err := json.Marshal(request)
	if err != nil {
		panic(err) // our own types: cannot fail
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// foreseen is the answer to a dry run: what would become of the document.
type foreseen struct {
	DryRun          bool   `json:"dry_run"`
	MediaType       string `json:"media_type"`
	Size            int64  `json:"size"`
	SHA256          string `json:"sha256,omitempty"`
	Class           string `json:"class"`
	Priority        string `json:"priority"`
	Pages           *int   `json:"pages"` // null where only opening the document would tell
	EstimatedTimeMS int64  `json:"estimated_time_ms"`
}

// foresee says what would become of a document. A picture has one page unless its format can hold several; how many a document has is
// known once it was opened, which is work of its own.
func (g *Gateway) foresee(u *upload) foreseen {
	s, class := u.source(), g.cfg.class(u.media)
	f := foreseen{DryRun: true, MediaType: s.MediaType, Size: s.Size, SHA256: s.SHA256, Class: class, Priority: u.options.priority,
		EstimatedTimeMS: max(1, g.view.Estimate(class, s.Size).Milliseconds())}
	if strings.HasPrefix(u.media, "image/") && u.media != "image/tiff" {
		one := 1
		f.Pages = &one
	}
	return f
}
