package schemas

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Identities are 128 bits in Crockford's base32, lower case: 26 characters that sort as the bits do.
var encoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

var (
	tenantForm = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
	jobForm    = regexp.MustCompile(`^job_[0-9a-hjkmnp-tv-z]{26}$`)
	replayForm = regexp.MustCompile(`^rpl_[0-9a-hjkmnp-tv-z]{26}$`)
	reqForm    = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,80}$`)
)

// ValidTenant reports whether s can be a tenant: [a-z0-9-]{1,40}.
func ValidTenant(s string) bool { return tenantForm.MatchString(s) }

// ValidJobID reports whether s has the form of a job id.
func ValidJobID(s string) bool { return jobForm.MatchString(s) }

// ValidReplayID reports whether s has the form of a replay id.
func ValidReplayID(s string) bool { return replayForm.MatchString(s) }

// ValidRequestID reports whether a request id sent by a client may be used as it is.
func ValidRequestID(s string) bool { return reqForm.MatchString(s) }

// NewJobID returns a fresh job id: 48 bits of milliseconds, then 80 random bits, so that ids sort by time.
func NewJobID(now time.Time) string { return "job_" + timeOrdered(now) }

// NewRequestID returns a fresh request id.
func NewRequestID(now time.Time) string { return "req_" + timeOrdered(now) }

// NewUploadID returns a fresh name for a source object.
func NewUploadID(now time.Time) string { return timeOrdered(now) }

// JobIDFor derives a job id from what makes the job the same one: the domain (idempotency, object) and its parts.
func JobIDFor(domain string, parts ...string) string {
	return "job_" + digest(append([]string{domain}, parts...)...)
}

// JobIDForObject derives the id of the job that reads a foreign object: one for each tenant and version of the object, whoever announces it
// and how often. Where the bucket keeps no versions the entity tag stands for one.
func JobIDForObject(tenant string, s Source) string {
	if s.Version != "" {
		return JobIDFor("object", tenant, s.Bucket, s.Key, "version", s.Version)
	}
	return JobIDFor("object", tenant, s.Bucket, s.Key, "etag", strings.Trim(s.ETag, `"`))
}

// ReplayIDFor derives a replay's id from what it selects.
func ReplayIDFor(parts ...string) string { return "rpl_" + digest(parts...) }

// MessageIDFor derives the id of a webhook from what it tells and whom: it stays the same over all attempts.
func MessageIDFor(tenant, job string, run int, version int64, endpoint, address string) string {
	return "msg_" + digest(tenant, job, strconv.Itoa(run), strconv.FormatInt(version, 10), endpoint, address)
}

// EventIDFor derives the id of an event from the work it reports. ordinal tells apart kinds that recur for one page (the attempt, the
// version); it is 0 for all others.
func EventIDFor(job string, run int, stage string, page int, kind string, ordinal int64) string {
	parts := []string{job, strconv.Itoa(run), stage, strconv.Itoa(page), kind}
	if ordinal != 0 {
		parts = append(parts, strconv.FormatInt(ordinal, 10))
	}
	return "evt_" + digest(parts...)
}

// PipelineVersion digests everything that can change a result: digests of the models, options, the version string of each stage.
func PipelineVersion(parts ...string) string { return "pv_" + digest(parts...) }

func timeOrdered(now time.Time) string {
	var b [16]byte
	if _, err := rand.Read(b[6:]); err != nil {
		panic(err) // the system has no randomness: nothing can be safe from here on
	}
	ms := uint64(now.UnixMilli())
	binary.BigEndian.PutUint16(b[0:], uint16(ms>>32))
	binary.BigEndian.PutUint32(b[2:], uint32(ms))
	return encode(b)
}

// digest hashes the parts with their lengths, so that no two lists of parts collide by concatenation.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return encode([16]byte(h.Sum(nil)))
}

func encode(b [16]byte) string { return encoding.EncodeToString(b[:]) }

// The object keys. Each is derived from the identities alone; a client's file name is never part of one.

// SourceKey is where an upload lies.
func SourceKey(tenant, upload string) string { return "sources/" + tenant + "/" + upload }

// WorkKey is where an intermediate object of a run lies.
func WorkKey(tenant, job string, run int, name string) string {
	return fmt.Sprintf("work/%s/%s/%d/%s", tenant, job, run, name)
}

// WorkPrefix is where the intermediate objects of all runs of a job lie.
func WorkPrefix(tenant, job string) string { return "work/" + tenant + "/" + job + "/" }

// OwnSource reports whether a source is an object of the platform's own under the tenant's prefix.
func OwnSource(tenant string, s Source) bool {
	return s.Bucket == "" && s.Key != "" && strings.HasPrefix(s.Key, SourceKey(tenant, ""))
}

// ResultKey is where an object of the result set lies.
func ResultKey(tenant, job string, run int, name string) string {
	return fmt.Sprintf("results/%s/%s/%d/%s", tenant, job, run, name)
}

// ResultPrefix is where the objects of all runs of a job lie.
func ResultPrefix(tenant, job string) string { return "results/" + tenant + "/" + job + "/" }

// PageImageName names the image of a page inside the work prefix.
func PageImageName(page int) string { return fmt.Sprintf("pages/%06d.png", page) }

// PageResultName names the result of a recognised page inside the result prefix.
func PageResultName(page int) string { return fmt.Sprintf("pages/%06d.json", page) }

// ChunkPages is how many pages one transaction of prepare covers: pages 1-32, 33-64 and so on, whatever the selection.
const ChunkPages = 32

// Chunk returns the first page of the chunk that page lies in.
func Chunk(page int) int { return (page-1)/ChunkPages*ChunkPages + 1 }

// TextChunkName names the object that holds the text pages of a chunk, one JSON page a line.
func TextChunkName(page int) string { return fmt.Sprintf("pages/text-%06d.jsonl", Chunk(page)) }

// IdempotencyKey is where what was promised under an Idempotency-Key lies; hash is that of the key.
func IdempotencyKey(tenant, hash string) string { return "idem/" + tenant + "/" + hash }

// Secretless shortens a key such as dsk_<id>_<secret> to its public part, for logs.
func Secretless(key string) string {
	if i := strings.LastIndexByte(key, '_'); i > 0 {
		return key[:i] + "_***"
	}
	return "***"
}
