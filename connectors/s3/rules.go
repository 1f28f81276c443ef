package s3

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"docstream/internal/topology"
	"docstream/schemas"
)

// object is one version of an object, as a notification or a listing describes it.
type object struct {
	bucket, key, version, etag string
	size                       int64
	at                         time.Time // when it was written; zero: nobody said
	request                    string    // id of the request that wrote it, where known
}

// rule returns the first rule that matches.
func (c Config) rule(o object) (Rule, bool) {
	for _, r := range c.Rules {
		if r.matches(o) {
			return r, true
		}
	}
	return Rule{}, false
}

func (r Rule) matches(o object) bool {
	return r.Bucket == o.bucket && strings.HasPrefix(o.key, r.Prefix) && strings.HasSuffix(strings.ToLower(o.key), strings.ToLower(r.Suffix)) &&
		o.size >= r.MinSize && (r.MaxSize == 0 || o.size <= r.MaxSize)
}

// submission is the event of an object under its rule. Everything in it but the times and a fresh request id follows from its inputs.
func (c Config) submission(o object, r Rule, now time.Time) *schemas.DocumentSubmitted {
	e := &schemas.DocumentSubmitted{
		Head:      schemas.Head{Tenant: r.Tenant, At: now, SubmittedAt: now},
		RequestID: o.request, FromPage: 1, Priority: cmp.Or(r.Priority, "normal"),
		Source:  schemas.Source{Bucket: o.bucket, Key: o.key, Version: o.version, ETag: o.etag, Size: o.size, MediaType: mediaType(o.key), Filename: fileName(o.key)},
		Options: schemas.Options{OCR: cmp.Or(r.OCR, ocrModes[0]), OutputFormats: inOrder(r.OutputFormats)},
	}
	if !schemas.ValidRequestID(e.RequestID) {
		e.RequestID = schemas.NewRequestID(now)
	}
	if set, err := schemas.ParseRanges(r.Pages); err == nil {
		e.Options.Pages = set.String()
	}
	e.Class = cmp.Or(r.Class, c.class(e.Source.MediaType))
	e.JobID = schemas.JobIDForObject(e.Tenant, e.Source)
	e.EventID = schemas.EventIDFor(e.JobID, 0, Name, 0, e.Kind(), 0)
	return e
}

// class is the hardware class a document of the media type is first sent to; prepare corrects it page by page.
func (c Config) class(media string) string {
	for _, t := range c.GPUTypes {
		if family, all := strings.CutSuffix(t, "/*"); t == media || all && strings.HasPrefix(media, family+"/") {
			return topology.Classes[1]
		}
	}
	return topology.Classes[0]
}

// inOrder sorts formats as they are offered, so that a rule's order changes no result.
func inOrder(asked []string) []string {
	var out []string
	for _, f := range formats {
		if slices.Contains(asked, f) {
			out = append(out, f)
		}
	}
	return out
}

// endings says what a file's ending promises; prepare believes the bytes.
var endings = map[string]string{
	".pdf": "application/pdf", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".tif": "image/tiff", ".tiff": "image/tiff",
	".webp": "image/webp", ".bmp": "image/bmp", ".gif": "image/gif", ".txt": "text/plain", ".md": "text/markdown", ".markdown": "text/markdown",
}

func mediaType(key string) string { return endings[strings.ToLower(path.Ext(key))] }

// maxName bounds a file name, in bytes.
const maxName = 255

// fileName is the last part of a key, fit to be shown.
func fileName(key string) string {
	name := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, key[strings.LastIndexByte(key, '/')+1:])
	if len(name) > maxName {
		name = strings.ToValidUTF8(name[:maxName], "")
	}
	return name
}
