package doctor

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"

	"docstream/internal/blob"
)

// probeKey is a new key below work/, whose objects expire by themselves should the doctor die before it cleans up.
func probeKey() string { return "work/doctor/" + rand.Text() }

// objects writes a probe, reads it whole and in part, tries to write it once more, and deletes it.
func (h House) objects(ctx context.Context) []Finding {
	if h.Objects == nil {
		return nil
	}
	key, body := probeKey(), []byte("docstream doctor")
	const means = "sources cannot be kept and results cannot be written or read: uploads are refused and stages wait"
	if err := h.Objects.Put(ctx, key, body, blob.Options{MediaType: "text/plain", Once: true}); err != nil {
		return []Finding{fail("an object cannot be written: "+err.Error(), means, "check objects in docstream config, the bucket, and that the credentials may s3:PutObject")}
	}
	out := h.probe(ctx, key, body)
	if err := h.Objects.Delete(ctx, key); err != nil {
		out = append(out, fail("an object cannot be deleted: "+err.Error(), "what a document leaves behind stays until the bucket's own expiry", "allow s3:DeleteObject"))
	} else if _, err := h.Objects.Head(ctx, key); !errors.Is(err, blob.ErrNotFound) {
		out = append(out, warn("a deleted object can still be seen", "the bucket keeps versions, or answers from a cache", "expire old versions by a lifecycle rule"))
	}
	if len(out) == 0 {
		out = append(out, ok("an object can be written once, read, read in part and deleted"))
	}
	return out
}

func (h House) probe(ctx context.Context, key string, body []byte) (out []Finding) {
	for _, part := range []struct {
		offset, length int64
		want           []byte
		what           string
	}{{0, 0, body, "read"}, {4, 6, body[4:10], "read in part"}} {
		got, err := read(ctx, h.Objects, key, part.offset, part.length)
		if err == nil && !bytes.Equal(got, part.want) {
			err = errors.New("other bytes came back")
		}
		if err != nil {
			out = append(out, fail("an object cannot be "+part.what+": "+err.Error(), "results cannot be served and pages cannot be prepared", "allow s3:GetObject; ask the store's owner about range requests"))
		}
	}
	switch err := h.Objects.Put(ctx, key, []byte("another"), blob.Options{Once: true}); {
	case err == nil:
		out = append(out, fail("the store replaces an object that was to be written once", "two workers on one page could leave a result that is neither's (If-None-Match is ignored)",
			"use a store with conditional writes; on AWS a bucket policy must not strip the header"))
	case !errors.Is(err, blob.ErrExists):
		out = append(out, fail("a conditional write is not answered as it should be: "+err.Error(), "pages are not written once", "use a store with conditional writes"))
	}
	return out
}

func read(ctx context.Context, o Objects, key string, offset, length int64) ([]byte, error) {
	r, _, err := o.Get(ctx, key, offset, length)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, 1<<10))
}
