package prepare

import (
	"regexp"
	"strings"

	"docstream/internal/fault"
	"docstream/schemas"
)

// Bucket registers a foreign bucket, or a part of one, for one tenant: a submission of this tenant may name the objects below it as
// sources, and no other tenant's may.
type Bucket struct {
	Tenant string `koanf:"tenant"`
	Bucket string `koanf:"bucket"`
	Prefix string `koanf:"prefix"` // of the keys; empty: the whole bucket
}

// bucketForm is S3's own, without its finer rules.
var bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// Registered reports whether every key below prefix of the bucket may be a source of the tenant.
func (c Config) Registered(tenant, bucket, prefix string) bool {
	for _, b := range c.Buckets {
		if b.Tenant == tenant && b.Bucket == bucket && strings.HasPrefix(prefix, b.Prefix) {
			return true
		}
	}
	return false
}

// allowed keeps a submission within what its tenant may read (P8): the sources of its own prefix, and its registered buckets. It is asked
// before the store is, so that the answer tells nothing about what lies elsewhere.
func (c Config) allowed(e *schemas.DocumentSubmitted) error {
	s := e.Source
	if s.Bucket == "" && strings.HasPrefix(s.Key, schemas.SourceKey(e.Tenant, "")) || s.Bucket != "" && c.Registered(e.Tenant, s.Bucket, s.Key) {
		return nil
	}
	return fault.Document(schemas.SourceForbidden, "%s", schemas.Codes[schemas.SourceForbidden].Meaning)
}
