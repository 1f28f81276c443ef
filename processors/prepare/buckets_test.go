package prepare_test

import (
	"testing"

	"docstream/internal/fault"
	"docstream/processors/prepare"
	"docstream/schemas"
)

func TestASubmissionMayNameRegisteredBucketsOfItsTenantOnly(t *testing.T) {
	p := pool(t, nil)
	for name, c := range map[string]struct {
		tenant, bucket, key string
		code                schemas.Code // empty: it is read
	}{
		"the registered part":                  {"acme", "scans", "in/a.pdf", ""},
		"beside the registered part":           {"acme", "scans", "out/a.pdf", schemas.SourceForbidden},
		"the part of another tenant":           {"acme", "scans", "other/a.pdf", schemas.SourceForbidden},
		"a bucket that is registered whole":    {"other", "archive", "a.pdf", ""},
		"a bucket of another tenant":           {"acme", "archive", "a.pdf", schemas.SourceForbidden},
		"a registered prefix of our own store": {"acme", "", "in/a.pdf", schemas.SourceForbidden},
		"registered, and gone":                 {"acme", "scans", "in/none.pdf", schemas.SourceMissing},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, p, func(c *prepare.Config) {
				c.Buckets = []prepare.Bucket{{Tenant: "acme", Bucket: "scans", Prefix: "in/"}, {Tenant: "other", Bucket: "scans", Prefix: "other/"}, {Tenant: "other", Bucket: "archive"}}
			})
			e := b.submit(pdfType, book(1))
			if c.code != schemas.SourceMissing {
				b.bodies[place(c.bucket, c.key)] = b.bodies[e.Source.Key]
			}
			e.Tenant, e.Source.Bucket, e.Source.Key, e.Source.SHA256 = c.tenant, c.bucket, c.key, ""
			events, err := b.stage.Work(t.Context(), e, schemas.Delivery{})
			if c.code == "" {
				if err != nil || len(events) != 2 {
					t.Errorf("got %s, %v", outline(events), err)
				}
				return
			}
			if f := fault.Of(err); err == nil || f.Code != c.code || f.Kind != fault.Permanent {
				t.Errorf("got %s, %v; want %s", outline(events), err, c.code)
			}
			if c.code == schemas.SourceForbidden && len(b.gets) > 0 {
				t.Errorf("the store was asked for %v", b.gets)
			}
		})
	}
}
