package schemas

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Identities are 128 bits in Crockford's base32, lower case: 26 characters that sort as the bits do.
var encoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// alphabet is a set of the characters an identity may be made of. Identities are looked at several times in each request, so it is asked, not
// a regular expression.
type alphabet [256]bool

func alphabetOf(chars string) (a alphabet) {
	for i := range len(chars) {
		a[chars[i]] = true
	}
	return a
}

// spells reports whether s consists of the alphabet alone and has from least to most bytes.
func (a *alphabet) spells(s string, least, most int) bool {
	if len(s) < least || len(s) > most {
		return false
	}
	for i := range len(s) {
		if !a[s[i]] {
			return false
		}
	}
	return true
}

const (
	digits  = "0123456789"
	letters = "abcdefghijklmnopqrstuvwxyz"
)

var (
	ofTenants  = alphabetOf(digits + letters + "-")
	ofIDs      = alphabetOf(digits + "abcdefghjkmnpqrstvwxyz")
	ofRequests = alphabetOf(digits + letters + "ABCDEFGHIJKLMNOPQRSTUVWXYZ_.:-")
)

// hasForm reports whether s is an identity behind a prefix.
func hasForm(s, prefix string) bool {
	id, ok := strings.CutPrefix(s, prefix)
	return ok && ofIDs.spells(id, 26, 26)
}

// ValidTenant reports whether s can be a tenant: [a-z0-9-]{1,40}.
func ValidTenant(s string) bool { return ofTenants.spells(s, 1, 40) }

// ValidJobID reports whether s has the form of a job id.
func ValidJobID(s string) bool { return hasForm(s, "job_") }

// ValidReplayID reports whether s has the form of a replay id.
func ValidReplayID(s string) bool { return hasForm(s, "rpl_") }

// ValidUploadID reports whether s has the form of the id of a direct upload.
func ValidUploadID(s string) bool { return hasForm(s, "upl_") }

// ValidBatchID reports whether s has the form of a batch id.
func ValidBatchID(s string) bool { return hasForm(s, "bat_") }

// ValidRequestID reports whether a request id sent by a client may be used as it is.
func ValidRequestID(s string) bool { return ofRequests.spells(s, 1, 80) }

// NewJobID returns a fresh job id: 48 bits of milliseconds, then 80 random bits, so that ids sort by time.
func NewJobID(now time.Time) string { return timeOrdered("job_", now) }

// NewRequestID returns a fresh request id.
func NewRequestID(now time.Time) string { return timeOrdered("req_", now) }

// NewUploadID returns a fresh name for a source object.
func NewUploadID(now time.Time) string { return timeOrdered("", now) }

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

// JobIDForUpload derives the id of the job that reads a direct upload: one upload is one job, however often and in whatever way it is submitted.
func JobIDForUpload(tenant, upload string) string { return JobIDFor("upload", tenant, upload) }

// NewBatchID returns a fresh batch id.
func NewBatchID(now time.Time) string { return timeOrdered("bat_", now) }

// BatchIDFor derives a batch's id from what makes it the same one.
func BatchIDFor(parts ...string) string { return "bat_" + digest(parts...) }

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

// PipelineVersion digests everything that can change a result: digests of the models, options, the version string of each stage. Behind the
// digest of all stand those of what can change a page image or a text page, and of what can change the result of a page, so that two
// versions can be compared as far as an earlier stage goes.
func PipelineVersion(rendering, reading, composing []string) string {
	reading = append(slices.Clone(rendering), reading...)
	all := append(slices.Clone(reading), composing...)
	return "pv_" + digest(all...) + "_" + digest(rendering...)[:layerDigits] + "_" + digest(reading...)[:layerDigits]
}

// layerDigits are 60 bits: no secret depends on them.
const layerDigits = 12

// SameRendering reports whether pages are turned into images and text alike under two pipeline versions. A version of before there were layers
// is like no other.
func SameRendering(a, b string) bool { return sameLayer(a, b, 1) }

// SameReading reports whether pages have the same results under two pipeline versions.
func SameReading(a, b string) bool { return sameLayer(a, b, 2) }

func sameLayer(a, b string, n int) bool {
	x, y := strings.Split(strings.TrimPrefix(a, "pv_"), "_"), strings.Split(strings.TrimPrefix(b, "pv_"), "_")
	return len(x) == 3 && len(y) == 3 && x[n] == y[n]
}

// The stages a run can begin with: what those before it made in an earlier run is taken over.
const (
	FromLayout  = "layout"  // regions and text of the page images again
	FromOCR     = "ocr"     // text again; the regions are not stored, so that they are found again on the same image
	FromCompose = "compose" // the outputs again
)

// FromStages lists them.
var FromStages = []string{FromLayout, FromOCR, FromCompose}

func timeOrdered(prefix string, now time.Time) string {
	var b [16]byte
	if _, err := rand.Read(b[6:]); err != nil {
		panic(err) // the system has no randomness: nothing can be safe from here on
	}
	ms := uint64(now.UnixMilli())
	binary.BigEndian.PutUint16(b[0:], uint16(ms>>32))
	binary.BigEndian.PutUint32(b[2:], uint32(ms))
	return encode(prefix, b)
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
	return encode("", [16]byte(h.Sum(nil)))
}

func encode(prefix string, b [16]byte) string {
	var room [30]byte // a prefix has four letters
	return string(encoding.AppendEncode(append(room[:0], prefix...), b[:]))
}

// The object keys. Each is derived from the identities alone; a client's file name is never part of one.

// SourceKey is where an upload lies.
func SourceKey(tenant, upload string) string { return "sources/" + tenant + "/" + upload }

// DirectKey is where the bytes of a direct upload lie: a source as any other.
func DirectKey(tenant, upload string) string {
	return SourceKey(tenant, strings.TrimPrefix(upload, "upl_"))
}

// UploadKey is where it is written what a direct upload was announced to be.
func UploadKey(tenant, upload string) string { return "announced/" + tenant + "/" + upload + ".json" }

// BatchKey is where an object of a batch lies.
func BatchKey(tenant, batch, name string) string {
	return "batches/" + tenant + "/" + batch + "/" + name
}

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

// JobFilesPrefix is what the keys begin with that say how the runs of a job ended. They outlive its results: no retention of those reaches them.
func JobFilesPrefix(tenant, job string) string { return "jobs/" + tenant + "/" + job + "/" }

// JobFileKey is where it lies how a run of a job ended, as of a version. Nothing is ever written over it, and of the keys of one job that of the
// newest run and version comes last.
func JobFileKey(tenant, job string, run int, version int64) string {
	return fmt.Sprintf("%s%08d-%012d/job.json", JobFilesPrefix(tenant, job), run, version)
}

// PageImageName names the image of a page inside the work prefix.
func PageImageName(page int) string { return fmt.Sprintf("pages/%06d.png", page) }

// PageTextName names the text of a page whose image shows only what its text lacks, inside the work prefix.
func PageTextName(page int) string { return fmt.Sprintf("pages/%06d.text.json", page) }

// PageResultName names the result of a recognised page inside the result prefix.
func PageResultName(page int) string { return fmt.Sprintf("pages/%06d.json", page) }

// FigureName names the picture of a figure inside the result prefix: n counts the figures of the page that have one, from 1.
func FigureName(page, n int, mediaType string) string {
	ext := "png"
	if mediaType == "image/jpeg" {
		ext = "jpg"
	}
	return fmt.Sprintf("figures/%06d-%d.%s", page, n, ext)
}

// ChunkPages is how many pages one transaction of prepare covers: pages 1-32, 33-64 and so on, whatever the selection.
const ChunkPages = 32

// Chunk returns the first page of the chunk that page lies in.
func Chunk(page int) int { return (page-1)/ChunkPages*ChunkPages + 1 }

// TextChunkName names the object that holds the text pages of a chunk, one JSON page a line.
func TextChunkName(page int) string { return fmt.Sprintf("pages/text-%06d.jsonl", Chunk(page)) }

// FetchedKey is where the bytes lie that were fetched for a job from an address: one place for all its runs, so that none fetches them twice.
func FetchedKey(tenant, job string) string { return SourceKey(tenant, digest("fetched", tenant, job)) }

// IdempotencyKey is where what was promised under an Idempotency-Key lies; hash is that of the key.
func IdempotencyKey(tenant, hash string) string { return "idem/" + tenant + "/" + hash }

// Secretless shortens a key such as dsk_<id>_<secret> to its public part, for logs.
func Secretless(key string) string {
	if i := strings.LastIndexByte(key, '_'); i > 0 {
		return key[:i] + "_***"
	}
	return "***"
}
