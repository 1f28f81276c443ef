package gateway

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/internal/blob"
	"docstream/internal/media"
	"docstream/schemas"
)

// Direct lets clients write sources into the object store themselves.
type Direct interface {
	PutLink(ctx context.Context, in blob.Incoming) (blob.Request, error)
	BeginParts(ctx context.Context, in blob.Incoming) (id string, err error)
	PartLink(ctx context.Context, in blob.Incoming, id string, number int) (blob.Request, error)
	JoinParts(ctx context.Context, key, id string, parts int) error
	DropParts(ctx context.Context, key, id string) error
	Sum(ctx context.Context, key string) (sha256 string, err error)
}

// TakeUploads lets clients send documents to the object store itself; call it before Run. Without it those routes answer that this is not
// available.
func (g *Gateway) TakeUploads(d Direct) { g.direct = d }

// The bounds of an upload in parts: the protocol's own, and what one answer can name.
const (
	leastPart       = 5 << 20
	mostPart        = 5 << 30
	maxDirectParts  = 1000
	maxAnnouncement = 16 << 10 // of the body that announces an upload
)

// announced is what a client said that it would upload. It lies in the object store, so that any replica finds it.
type announced struct {
	Filename  string    `json:"filename,omitempty"`
	MediaType string    `json:"media_type,omitempty"`
	Size      int64     `json:"size"`
	SHA256    string    `json:"sha256,omitempty"`
	PartBytes int64     `json:"part_bytes,omitempty"` // 0: in one piece
	PartsID   string    `json:"parts_id,omitempty"`   // the store's name of the upload in parts
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// parts is how many parts it has.
func (a announced) parts() int { return int((a.Size + a.PartBytes - 1) / a.PartBytes) }

// The statuses of an upload.
const (
	uploadOpen    = "open"    // bytes may be sent, and it may be completed
	uploadUsed    = "used"    // a job reads it
	uploadExpired = "expired" // nobody completed it in time
)

// putBody is one request that the client makes to the object store.
type putBody struct {
	Number  int               `json:"number,omitempty"`
	Size    int64             `json:"size"`
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
}

// uploadBody is an upload as the API shows it. The requests to make are told once, to whom announced it.
type uploadBody struct {
	UploadID    string    `json:"upload_id"`
	Status      string    `json:"status"`
	Filename    string    `json:"filename,omitempty"`
	MediaType   string    `json:"media_type,omitempty"`
	Size        int64     `json:"size"`
	SHA256      string    `json:"sha256,omitempty"`
	CreatedAt   string    `json:"created_at"`
	ExpiresAt   string    `json:"expires_at"`
	JobID       string    `json:"job_id,omitempty"`
	CompleteURL string    `json:"complete_url"`
	Put         *putBody  `json:"put,omitempty"`
	Parts       []putBody `json:"parts,omitempty"`
}

// announce opens an upload: the client sends the bytes to the object store itself, then completes it.
func (g *Gateway) announce(c *gin.Context) error {
	if g.direct == nil {
		return refuse(schemas.OptionNotAvailable, "")
	}
	a, err := g.readAnnouncement(c)
	if err != nil {
		return err
	}
	ctx, id := c.Request.Context(), "upl_"+schemas.NewUploadID(a.CreatedAt)
	b := g.showUpload(tenant(c), id, a, uploadOpen)
	in := blob.Incoming{Key: schemas.DirectKey(tenant(c), id), Size: a.Size, SHA256: a.SHA256, MediaType: a.MediaType, For: g.cfg.UploadLinks}
	if a.Size > a.PartBytes {
		if a.PartsID, err = g.direct.BeginParts(ctx, in); err != nil {
			return err
		}
		if b.Parts, err = g.partLinks(ctx, in, a); err != nil {
			return err
		}
	} else {
		a.PartBytes = 0
		r, err := g.direct.PutLink(ctx, in)
		if err != nil {
			return err
		}
		b.Put = &putBody{Size: a.Size, Method: http.MethodPut, URL: r.URL, Headers: r.Headers}
	}
	record, err := json.Marshal(a)
	if err != nil {
		panic(err) // our own types: cannot fail
	}
	if err := g.objects.Put(ctx, schemas.UploadKey(tenant(c), id), record, blob.Options{MediaType: "application/json", Once: true}); err != nil {
		return err
	}
	c.Header("Location", g.link("/api/v1/uploads/"+id))
	g.json(c, http.StatusCreated, b)
	return nil
}

// partLinks signs a request for every part.
func (g *Gateway) partLinks(ctx context.Context, in blob.Incoming, a announced) (out []putBody, err error) {
	for n := range a.parts() {
		in.Size = min(a.PartBytes, a.Size-int64(n)*a.PartBytes)
		r, err := g.direct.PartLink(ctx, in, a.PartsID, n+1)
		if err != nil {
			return nil, err
		}
		out = append(out, putBody{Number: n + 1, Size: in.Size, Method: http.MethodPut, URL: r.URL, Headers: r.Headers})
	}
	return out, nil
}

// readAnnouncement reads and checks the body.
func (g *Gateway) readAnnouncement(c *gin.Context) (announced, error) {
	d := json.NewDecoder(http.MaxBytesReader(c.Writer, c.Request.Body, maxAnnouncement))
	d.DisallowUnknownFields()
	var b struct {
		Filename  string `json:"filename"`
		MediaType string `json:"media_type"`
		Size      *int64 `json:"size"`
		SHA256    string `json:"sha256"`
		PartBytes int64  `json:"part_bytes"`
	}
	if err := d.Decode(&b); err != nil || b.Size == nil {
		return announced{}, refuse(schemas.InvalidRequest, "The body is a JSON object with the documented fields; size is needed.").because(err)
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	a := announced{Filename: media.CleanName(b.Filename), MediaType: media.Canonical(b.MediaType), Size: *b.Size, SHA256: strings.ToLower(b.SHA256), PartBytes: b.PartBytes,
		CreatedAt: now, ExpiresAt: now.Add(g.cfg.UploadLinks)}
	if a.PartBytes == 0 {
		a.PartBytes = g.cfg.UploadPartBytes
	}
	_, err := hex.DecodeString(a.SHA256)
	switch {
	case a.Size < 1:
		return a, refuse(schemas.EmptyFile, "")
	case a.Size > g.maxFile(tenant(c)):
		return a, refuse(schemas.FileTooLarge, "").with("max_bytes", g.maxFile(tenant(c)))
	case a.SHA256 != "" && (err != nil || len(a.SHA256) != 64):
		return a, invalid("sha256", "The digest is 64 hexadecimal characters.")
	case len(a.MediaType) > 120:
		return a, invalid("media_type", "The value is too long.")
	case a.PartBytes < leastPart || a.PartBytes > mostPart || a.parts() > maxDirectParts:
		return a, invalid("part_bytes", "A part has 5 MiB to 5 GiB, and an upload at most 1000 parts.").with("least", leastPart).with("most", int64(mostPart))
	}
	return a, nil
}

// announcement returns what was announced under an id.
func (g *Gateway) announcement(ctx context.Context, tenant, id string) (a announced, err error) {
	if !schemas.ValidUploadID(id) {
		return a, refuse(schemas.UploadNotFound, "")
	}
	body, _, err := g.objects.Get(ctx, schemas.UploadKey(tenant, id), 0, 0)
	if errors.Is(err, blob.ErrNotFound) {
		return a, refuse(schemas.UploadNotFound, "")
	}
	if err != nil {
		return a, err
	}
	defer body.Close()
	return a, json.NewDecoder(io.LimitReader(body, maxAnnouncement*2)).Decode(&a)
}

// showDirect answers how an upload stands.
func (g *Gateway) showDirect(c *gin.Context) error {
	id := c.Param("upload_id")
	a, err := g.announcement(c.Request.Context(), tenant(c), id)
	if err != nil {
		return err
	}
	held, err := g.taken(tenant(c), id).find(c.Request.Context())
	if err != nil {
		return err
	}
	status := uploadOpen
	switch {
	case held != nil:
		status = uploadUsed
	case time.Now().After(a.ExpiresAt):
		status = uploadExpired
	}
	g.json(c, http.StatusOK, g.showUpload(tenant(c), id, a, status))
	return nil
}

func (g *Gateway) showUpload(tenant, id string, a announced, status string) uploadBody {
	b := uploadBody{UploadID: id, Status: status, Filename: a.Filename, MediaType: a.MediaType, Size: a.Size, SHA256: a.SHA256, CreatedAt: timestamp(a.CreatedAt),
		ExpiresAt: timestamp(a.ExpiresAt), CompleteURL: g.link("/api/v1/uploads/" + id + "/complete")}
	if status == uploadUsed {
		b.JobID = schemas.JobIDForUpload(tenant, id)
	}
	return b
}

// abandon forgets an upload that no job reads, with its bytes.
func (g *Gateway) abandon(c *gin.Context) error {
	ctx, id := c.Request.Context(), c.Param("upload_id")
	a, err := g.announcement(ctx, tenant(c), id)
	if err != nil {
		return err
	}
	held, err := g.taken(tenant(c), id).find(ctx)
	switch {
	case err != nil:
		return err
	case held != nil:
		return refuse(schemas.UploadUsed, "A job reads the upload; it goes with the job.").with("job_id", schemas.JobIDForUpload(tenant(c), id))
	}
	key := schemas.DirectKey(tenant(c), id)
	if a.PartsID != "" && g.direct != nil {
		if err := g.direct.DropParts(ctx, key, a.PartsID); err != nil {
			return err
		}
	}
	for _, k := range []string{key, schemas.UploadKey(tenant(c), id)} { // the announcement last: what broke off can be said again
		if err := g.objects.Delete(ctx, k); err != nil {
			return err
		}
	}
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}

// finish submits an upload whose bytes have arrived: from there on it is a document as any other.
func (g *Gateway) finish(c *gin.Context) error {
	if _, err := g.announcement(c.Request.Context(), tenant(c), c.Param("upload_id")); err != nil {
		return err
	}
	return g.receive(c, &upload{g: g, tenant: tenant(c), options: defaultOptions(), direct: c.Param("upload_id")})
}

// taken is the promise that an upload was submitted: one upload is one job, so it is a key of its own, which no client can say.
func (g *Gateway) taken(tenant, id string) *once {
	return &once{g: g, tenant: tenant, key: "\x00upload " + id}
}

// arrived takes an upload whose bytes lie in the store, once they are found to be those that were announced. What was submitted before is not
// looked at again.
func (u *upload) arrived(ctx context.Context, id, declared, name string) error {
	a, err := u.g.announcement(ctx, u.tenant, id)
	if err != nil {
		return err
	}
	u.direct = id
	held, err := u.g.taken(u.tenant, id).find(ctx)
	if err != nil {
		return err
	}
	if declared == "" {
		declared = a.MediaType
	}
	if u.filename = a.Filename; name != "" {
		u.filename = media.CleanName(name)
	}
	if held != nil && held.Submission != nil {
		u.foreign = held.Submission.Source
		u.foreign.Filename, u.media = u.filename, u.foreign.MediaType
		return nil
	}
	if u.g.direct == nil {
		return refuse(schemas.OptionNotAvailable, "")
	}
	asked := u.asked
	if asked.IsZero() {
		asked = time.Now()
	}
	if asked.After(a.ExpiresAt) {
		return refuse(schemas.UploadExpired, "").with("expired_at", timestamp(a.ExpiresAt))
	}
	return u.verify(ctx, schemas.DirectKey(u.tenant, id), a, declared)
}

// verify holds the bytes to what was announced. It reads them, one buffer at a time (P6), where the store keeps no digest of the whole.
func (u *upload) verify(ctx context.Context, key string, a announced, declared string) error {
	if a.PartsID != "" {
		err := u.g.direct.JoinParts(ctx, key, a.PartsID, a.parts())
		switch {
		case errors.Is(err, blob.ErrParts):
			return refuse(schemas.UploadIncomplete, "").because(err)
		case err != nil && !errors.Is(err, blob.ErrExists) && !errors.Is(err, blob.ErrNotFound):
			return err
		}
	}
	o, err := u.g.objects.Head(ctx, key)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return refuse(schemas.UploadIncomplete, "")
	case err != nil:
		return err
	case o.Size != a.Size:
		return refuse(schemas.UploadMismatch, "").with("field", "size").with("announced", a.Size).with("found", o.Size)
	}
	sum, err := u.g.direct.Sum(ctx, key)
	if err != nil {
		return err
	}
	length := int64(smallFile)
	if sum == "" {
		length = 0 // to the end
	}
	body, _, err := u.g.objects.Get(ctx, key, 0, length)
	if err != nil {
		return err
	}
	defer body.Close()
	read := newSource(body, a.Size)
	buf := small.Get().(*[]byte)
	defer small.Put(buf)
	n, err := io.ReadFull(read, *buf)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if u.media, err = mediaType((*buf)[:n], declared, u.filename); err != nil {
		return err
	}
	if sum == "" {
		if err := u.g.copy(io.Discard, read); err != nil {
			return fmt.Errorf("reading %s: %w", key, err)
		}
		sum = read.digest()
	}
	if a.SHA256 != "" && a.SHA256 != sum {
		return refuse(schemas.UploadMismatch, "").with("field", "sha256").with("announced", a.SHA256).with("found", sum)
	}
	u.foreign = schemas.Source{Key: key, Size: a.Size, SHA256: sum, MediaType: u.media, Filename: u.filename}
	return nil
}

// claim makes an upload that was sent to the store itself this job's, or finds that it is already. For any other document it does nothing.
func (u *upload) claim(ctx context.Context, p *promise, again bool) (*promise, bool, error) {
	if u.direct == "" {
		return p, again, nil
	}
	held, before, err := u.settle(ctx, u.g.taken(u.tenant, u.direct), p)
	var r *refusal
	if errors.As(err, &r) && r.code == schemas.IdempotencyKeyReused {
		return nil, again, refuse(schemas.UploadUsed, "").with("job_id", p.Submission.JobID)
	}
	return held, again || before, err
}
