package gateway_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"docstream/gateway"
	"docstream/internal/blob"
	"docstream/internal/testenv"
	"docstream/schemas"
)

type shownPut struct {
	Number  int               `json:"number"`
	Size    int64             `json:"size"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
}

type shownUpload struct {
	UploadID string     `json:"upload_id"`
	Status   string     `json:"status"`
	JobID    string     `json:"job_id"`
	Put      *shownPut  `json:"put"`
	Parts    []shownPut `json:"parts"`
}

// stored is a gateway on a real object store that clients write to themselves.
func (w *world) stored(change func(*gateway.Config)) (*replica, *blob.S3) {
	w.t.Helper()
	store, err := blob.Open(testenv.S3(w.t), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r := w.replicaOn(store, change)
	r.gateway.TakeUploads(store)
	return r, store
}

// announce opens an upload.
func (r *replica) announce(token, body string) shownUpload {
	r.w.t.Helper()
	a := r.send(token, "/api/v1/uploads", "application/json", body)
	var u shownUpload
	a.into(r.w.t, &u)
	if a.StatusCode != http.StatusCreated || !schemas.ValidUploadID(u.UploadID) {
		r.w.t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	return u
}

// put sends bytes to the store as it was told.
func (p shownPut) put(t testing.TB, body string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, p.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range p.Headers {
		if name != "Content-Length" { // the client's own, which it knows from the body
			req.Header.Set(name, v)
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

func digestOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func (u shownUpload) complete() string { return "/api/v1/uploads/" + u.UploadID + "/complete" }

// TestADocumentIsSentToTheStoreItself: whole or in parts, with a digest or without; the job is that of any document, and one upload is one job.
func TestADocumentIsSentToTheStoreItself(t *testing.T) {
	w := newWorld(t)
	r, store := w.stored(nil)
	token := w.key("acme")
	large := strings.Repeat("a line of text\n", 400_000) // 6 MB
	for name, c := range map[string]struct {
		body, announce string
		parts          int
	}{
		"whole":                     {"hello", `{"size":5,"filename":"../a.txt"}`, 0},
		"with a digest":             {"hello", fmt.Sprintf(`{"size":5,"filename":"a.txt","sha256":%q,"media_type":"text/plain"}`, digestOf("hello")), 0},
		"in parts":                  {large, fmt.Sprintf(`{"size":%d,"filename":"a.txt","part_bytes":5242880}`, len(large)), 2},
		"in parts, with the digest": {large, fmt.Sprintf(`{"size":%d,"filename":"a.txt","part_bytes":5242880,"sha256":%q}`, len(large), digestOf(large)), 2},
	} {
		t.Run(name, func(t *testing.T) {
			u := r.announce(token, c.announce)
			if a := r.send(token, u.complete(), "application/json", ""); a.code(t) != schemas.UploadIncomplete {
				t.Errorf("before a byte: %d %s", a.StatusCode, a.body)
			}
			if len(u.Parts) != c.parts || (u.Put == nil) != (c.parts > 0) {
				t.Fatalf("%+v", u)
			}
			if u.Put != nil {
				if status := u.Put.put(t, c.body); status != http.StatusOK {
					t.Fatalf("the store answers %d", status)
				}
			}
			for i := len(u.Parts) - 1; i >= 0; i-- {
				p, from := u.Parts[i], int64(i)*5242880
				if status := p.put(t, c.body[from:from+p.Size]); status != http.StatusOK {
					t.Fatalf("part %d: the store answers %d", p.Number, status)
				}
			}
			job := jobOf(t, r.send(token, u.complete(), "application/json", `{"priority":"high","metadata":{"a":"b"}}`))
			s := w.submitted("documents.cpu.high", job)
			want := schemas.Source{Key: schemas.DirectKey("acme", u.UploadID), Size: int64(len(c.body)), SHA256: digestOf(c.body), MediaType: "text/plain", Filename: "a.txt"}
			if s.Source != want || s.Metadata["a"] != "b" {
				t.Errorf("%+v, not %+v", s.Source, want)
			}
			if job != schemas.JobIDForUpload("acme", u.UploadID) {
				t.Errorf("the job is %s", job)
			}
			a := r.send(token, "/api/v1/documents", "application/json", fmt.Sprintf(`{"upload":%q,"priority":"high","metadata":{"a":"b"}}`, u.UploadID))
			if again := jobOf(t, a); again != job || a.Header.Get("Idempotency-Replayed") != "true" {
				t.Errorf("submitted again it is %s", again)
			}
			if a := r.send(token, u.complete(), "application/json", `{"priority":"low"}`); a.code(t) != schemas.UploadUsed {
				t.Errorf("with other options: %d %s", a.StatusCode, a.body)
			}
			if a := r.call(http.MethodDelete, token, "/api/v1/uploads/"+u.UploadID, ""); a.code(t) != schemas.UploadUsed {
				t.Errorf("forgotten under a job: %d %s", a.StatusCode, a.body)
			}
			var shown shownUpload
			r.get(token, "/api/v1/uploads/"+u.UploadID).into(t, &shown)
			if shown.Status != "used" || shown.JobID != job || shown.Put != nil || shown.Parts != nil {
				t.Errorf("%+v", shown)
			}
			if body, _, err := store.Get(t.Context(), want.Key, 0, 0); err != nil {
				t.Error(err)
			} else if b, _ := io.ReadAll(body); !bytes.Equal(b, []byte(c.body)) {
				t.Errorf("%d bytes lie there", len(b))
			}
		})
	}
}

// TestWhatWasUploadedIsHeldToWhatWasAnnounced: by the store, and by the gateway where bytes came there in another way.
func TestWhatWasUploadedIsHeldToWhatWasAnnounced(t *testing.T) {
	w := newWorld(t)
	r, store := w.stored(nil)
	token := w.key("acme")
	for name, c := range map[string]struct {
		announce, lies string
		want           schemas.Code
	}{
		"other bytes":     {fmt.Sprintf(`{"size":5,"sha256":%q}`, digestOf("hello")), "hallo", schemas.UploadMismatch},
		"fewer bytes":     {`{"size":5}`, "hell", schemas.UploadMismatch},
		"another type":    {`{"size":5,"media_type":"application/pdf"}`, "hello", schemas.MediaTypeMismatch},
		"no type we read": {`{"size":4}`, "\x7fELF", schemas.UnsupportedMediaType},
	} {
		t.Run(name, func(t *testing.T) {
			u := r.announce(token, c.announce)
			if err := store.Put(t.Context(), schemas.DirectKey("acme", u.UploadID), []byte(c.lies), blob.Options{}); err != nil {
				t.Fatal(err)
			}
			if a := r.send(token, u.complete(), "application/json", ""); a.code(t) != c.want {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
			if all := w.all("documents.cpu.normal"); len(all) != 0 {
				t.Errorf("a job came of it: %v", all)
			}
		})
	}
	u := r.announce(token, fmt.Sprintf(`{"size":5,"sha256":%q}`, digestOf("hello")))
	if status := u.Put.put(t, "hallo"); status < 400 {
		t.Errorf("the store takes other bytes than those announced: %d", status)
	}
	if status := u.Put.put(t, "hello"); status != http.StatusOK {
		t.Errorf("the store answers %d", status)
	}
	if status := u.Put.put(t, "hello"); status != http.StatusPreconditionFailed {
		t.Errorf("the store takes them twice: %d", status)
	}
	jobOf(t, r.send(token, u.complete(), "application/json", ""))
}

func TestAnAnnouncementIsChecked(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	if a := r.send(token, "/api/v1/uploads", "application/json", `{"size":5}`); a.code(t) != schemas.OptionNotAvailable {
		t.Errorf("without a store for it: %d %s", a.StatusCode, a.body)
	}
	r.gateway.TakeUploads(w.store)
	for body, want := range map[string]schemas.Code{
		`{}`: schemas.InvalidRequest, `{"size":0}`: schemas.EmptyFile, `{"size":-1}`: schemas.EmptyFile, `{"size":8388609}`: schemas.FileTooLarge,
		`{"size":5,"sha256":"abc"}`: schemas.InvalidOption, `{"size":5,"part_bytes":1}`: schemas.InvalidOption, `{"size":5,"key":"x"}`: schemas.InvalidRequest,
	} {
		if a := r.send(token, "/api/v1/uploads", "application/json", body); a.code(t) != want {
			t.Errorf("%s: %d %s", body, a.StatusCode, a.body)
		}
	}
	first := r.send(token, "/api/v1/uploads", "application/json", `{"size":5}`, "Idempotency-Key", "k")
	again := r.send(token, "/api/v1/uploads", "application/json", `{"size":5}`, "Idempotency-Key", "k")
	if !bytes.Equal(first.body, again.body) || again.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%s is not %s", again.body, first.body)
	}
}

// TestAnUploadIsItsTenantsAndEnds: another tenant finds nothing, one that is late or forgotten is no document.
func TestAnUploadIsItsTenantsAndEnds(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	r.gateway.TakeUploads(w.store)
	token, rival := w.key("acme"), w.key("rival")
	u := r.announce(token, `{"size":5}`)
	w.store.objects[schemas.DirectKey("acme", u.UploadID)] = []byte("hello")
	for name, a := range map[string]answer{
		"seen":      r.get(rival, "/api/v1/uploads/"+u.UploadID),
		"completed": r.send(rival, u.complete(), "application/json", ""),
		"submitted": r.send(rival, "/api/v1/documents", "application/json", fmt.Sprintf(`{"upload":%q}`, u.UploadID)),
		"forgotten": r.call(http.MethodDelete, rival, "/api/v1/uploads/"+u.UploadID, ""),
	} {
		if a.code(t) != schemas.UploadNotFound {
			t.Errorf("%s by another tenant: %d %s", name, a.StatusCode, a.body)
		}
	}
	late := r.announce(token, `{"size":5}`)
	w.store.objects[schemas.DirectKey("acme", late.UploadID)] = []byte("hello")
	key := schemas.UploadKey("acme", late.UploadID)
	var record map[string]any
	if err := json.Unmarshal(w.store.body(key), &record); err != nil {
		t.Fatal(err)
	}
	record["expires_at"] = time.Now().Add(-time.Minute)
	b, _ := json.Marshal(record)
	if err := w.store.Put(t.Context(), key, b, blob.Options{}); err != nil {
		t.Fatal(err)
	}
	if a := r.send(token, late.complete(), "application/json", ""); a.code(t) != schemas.UploadExpired {
		t.Errorf("late: %d %s", a.StatusCode, a.body)
	}
	var shown shownUpload
	r.get(token, "/api/v1/uploads/"+late.UploadID).into(t, &shown)
	if shown.Status != "expired" {
		t.Errorf("%+v", shown)
	}
	if a := r.call(http.MethodDelete, token, "/api/v1/uploads/"+late.UploadID, ""); a.StatusCode != http.StatusNoContent || w.store.body(key) != nil ||
		w.store.body(schemas.DirectKey("acme", late.UploadID)) != nil {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := r.get(token, "/api/v1/uploads/"+late.UploadID); a.code(t) != schemas.UploadNotFound {
		t.Errorf("forgotten: %d %s", a.StatusCode, a.body)
	}
	if a := r.send(token, u.complete(), "application/json", `{"dry_run":true}`); a.StatusCode != http.StatusOK {
		t.Errorf("a dry run: %d %s", a.StatusCode, a.body)
	}
	jobOf(t, r.send(token, u.complete(), "application/json", `{}`, "Idempotency-Key", "one"))
	if a := r.send(token, u.complete(), "application/json", `{"priority":"low"}`, "Idempotency-Key", "one"); a.code(t) != schemas.IdempotencyKeyReused {
		t.Errorf("a key for something else: %d %s", a.StatusCode, a.body)
	}
}
