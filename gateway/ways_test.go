package gateway_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"testing"

	"docstream/gateway"
	"docstream/schemas"
)

// send makes a POST with a body of its own type.
func (r *replica) send(token, path, kind, body string, headers ...string) answer {
	r.w.t.Helper()
	req, err := http.NewRequest(http.MethodPost, r.url+path, strings.NewReader(body))
	if err != nil {
		r.w.t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	return r.do(req)
}

func jobOf(t testing.TB, a answer) string {
	t.Helper()
	var b struct {
		JobID string `json:"job_id"`
	}
	a.into(t, &b)
	if a.StatusCode != http.StatusAccepted || !schemas.ValidJobID(b.JobID) {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	return b.JobID
}

func TestADocumentComesAsABodyOrInJSON(t *testing.T) {
	w := newWorld(t)
	r := w.replica(func(c *gateway.Config) { c.MaxInlineBytes = 1 << 10 })
	r.gateway.Buckets(func(tenant, bucket, key string) bool {
		return tenant == "acme" && bucket == "scans" && strings.HasPrefix(key, "in/")
	}, w.store)
	w.store.objects["s3://scans/in/a.txt"] = []byte("hello")
	w.store.objects["s3://scans/in/empty"] = []byte{}
	token := w.key("acme")
	for name, c := range map[string]struct {
		path, kind, body string
		header           [2]string
		want             schemas.Source
	}{
		"a body":           {"?filename=note.md&priority=high", "text/plain", "hello", [2]string{}, schemas.Source{Size: 5, MediaType: "text/plain", Filename: "note.md"}},
		"a named body":     {"", "application/octet-stream", "hello", [2]string{"Content-Disposition", `attachment; filename="../n.txt"`}, schemas.Source{Size: 5, MediaType: "text/plain", Filename: "n.txt"}},
		"a picture":        {"", "image/png", png, [2]string{}, schemas.Source{Size: int64(len(png)), MediaType: "image/png"}},
		"base64":           {"", "application/json; charset=utf-8", `{"base64":"aGVsbG8=","filename":"a.txt","output_formats":["csv"],"metadata":{"a":"b"}}`, [2]string{}, schemas.Source{Size: 5, MediaType: "text/plain", Filename: "a.txt"}},
		"an object":        {"", "application/json", `{"s3":{"bucket":"scans","key":"in/a.txt"}}`, [2]string{}, schemas.Source{Bucket: "scans", Key: "in/a.txt", ETag: `"tag"`, Size: 5, Filename: "a.txt"}},
		"an old object":    {"", "application/json", `{"s3":{"bucket":"scans","key":"in/a.txt","version":"v1"},"filename":"b.txt"}`, [2]string{}, schemas.Source{Bucket: "scans", Key: "in/a.txt", Version: "v1", Size: 5, Filename: "b.txt"}},
		"an address":       {"", "application/json", `{"url":"https://example.org/a.pdf?token=x","filename":"../a.pdf"}`, [2]string{}, schemas.Source{URL: "https://example.org/a.pdf?token=x", Filename: "a.pdf"}},
		"a CSV as its own": {"", "text/csv", "a,b\n1,2\n", [2]string{}, schemas.Source{Size: 8, MediaType: "text/csv"}},
	} {
		t.Run(name, func(t *testing.T) {
			job := jobOf(t, r.send(token, "/api/v1/documents"+c.path, c.kind, c.body, c.header[0], c.header[1]))
			var s *schemas.DocumentSubmitted
			for _, lane := range []string{"documents.cpu.normal", "documents.cpu.high", "documents.gpu.normal"} {
				for _, k := range w.all(lane) {
					if k == job {
						s = w.submitted(lane, job)
					}
				}
			}
			if s == nil {
				t.Fatal("it is in no lane")
			}
			got := s.Source
			if got.Bucket == "" && got.URL == "" {
				if string(w.store.body(got.Key)) == "" || len(got.SHA256) != 64 {
					t.Errorf("%+v is not stored", got)
				}
				got.Key, got.SHA256 = "", ""
			}
			if got != c.want {
				t.Errorf("%+v, not %+v", got, c.want)
			}
		})
	}
	long := base64.StdEncoding.EncodeToString(make([]byte, 2<<10))
	for name, c := range map[string]struct {
		path, kind, body string
		want             schemas.Code
	}{
		"an unknown option in the query": {"?colour=red", "text/plain", "hello", schemas.InvalidOption},
		"an empty body":                  {"", "text/plain", "", schemas.EmptyFile},
		"a mismatch":                     {"", "application/pdf", png, schemas.MediaTypeMismatch},
		"a form of addresses":            {"", "application/x-www-form-urlencoded", "a=b", schemas.InvalidRequest},
		"no JSON":                        {"", "application/json", "hello", schemas.InvalidRequest},
		"two objects":                    {"", "application/json", `{"base64":"aGVsbG8="}{}`, schemas.InvalidRequest},
		"a list":                         {"", "application/json", `[]`, schemas.InvalidRequest},
		"a field twice":                  {"", "application/json", `{"base64":"aGVsbG8=","base64":"aGVsbG8="}`, schemas.InvalidRequest},
		"no source":                      {"", "application/json", `{"priority":"high"}`, schemas.InvalidRequest},
		"two sources":                    {"", "application/json", `{"base64":"aGVsbG8=","s3":{"bucket":"scans","key":"in/a.txt"}}`, schemas.InvalidRequest},
		"not base64":                     {"", "application/json", `{"base64":"a*b="}`, schemas.InvalidOption},
		"base64 cut off":                 {"", "application/json", `{"base64":"aGVsbG8"}`, schemas.InvalidOption},
		"no text":                        {"", "application/json", `{"base64":7}`, schemas.InvalidOption},
		"too large for JSON":             {"", "application/json", `{"base64":"` + long + `"}`, schemas.FileTooLarge},
		"an unknown option":              {"", "application/json", `{"base64":"aGVsbG8=","colour":"red"}`, schemas.InvalidOption},
		"a bad option":                   {"", "application/json", `{"base64":"aGVsbG8=","metadata":{"a":1}}`, schemas.InvalidOption},
		"an unknown part of s3":          {"", "application/json", `{"s3":{"bucket":"scans","key":"in/a.txt","region":"x"}}`, schemas.InvalidOption},
		"half an object":                 {"", "application/json", `{"s3":{"bucket":"scans"}}`, schemas.InvalidOption},
		"another prefix":                 {"", "application/json", `{"s3":{"bucket":"scans","key":"out/a.txt"}}`, schemas.SourceForbidden},
		"another bucket":                 {"", "application/json", `{"s3":{"bucket":"other","key":"in/a.txt"}}`, schemas.SourceForbidden},
		"an object that is gone":         {"", "application/json", `{"s3":{"bucket":"scans","key":"in/b.txt"}}`, schemas.SourceMissing},
		"an empty object":                {"", "application/json", `{"s3":{"bucket":"scans","key":"in/empty"}}`, schemas.EmptyFile},
		"an address and bytes":           {"", "application/json", `{"url":"https://example.org/a.pdf","base64":"aGVsbG8="}`, schemas.InvalidRequest},
		"an address inside":              {"", "application/json", `{"url":"http://169.254.169.254/latest/meta-data/"}`, schemas.URLBlocked},
		"an address in decimal":          {"", "application/json", `{"url":"http://2130706433/"}`, schemas.URLBlocked},
		"a mapped address":               {"", "application/json", `{"url":"http://[::ffff:127.0.0.1]/"}`, schemas.URLBlocked},
		"a file of this machine":         {"", "application/json", `{"url":"file:///etc/passwd"}`, schemas.URLBlocked},
		"an address with a password":     {"", "application/json", `{"url":"https://a:b@example.org/"}`, schemas.URLBlocked},
		"a dry run of an address":        {"", "application/json", `{"url":"https://example.org/a.pdf","dry_run":true}`, schemas.InvalidRequest},
		"deep JSON":                      {"", "application/json", `{"metadata":` + strings.Repeat("[", 20_000), schemas.InvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			if a := r.send(token, "/api/v1/documents"+c.path, c.kind, c.body); a.code(t) != c.want {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		})
	}
	if a := r.send(w.key("acme-2"), "/api/v1/documents", "application/json", `{"s3":{"bucket":"scans","key":"in/a.txt"}}`); a.code(t) != schemas.SourceForbidden {
		t.Errorf("P8: another tenant's bucket: %d %s", a.StatusCode, a.body)
	}
}

func TestADryRunKeepsNothing(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	for name, a := range map[string]answer{
		"a body":            r.send(token, "/api/v1/documents?dry_run=true", "image/png", png),
		"a form":            r.post(token, field{name: "dry_run", value: "true"}, field{"file", png, "a.png", ""}),
		"a form afterwards": r.post(token, field{"file", png, "a.png", ""}, field{name: "dry_run", value: "true"}),
		"JSON":              r.send(token, "/api/v1/documents", "application/json", `{"dry_run":true,"base64":"`+base64.StdEncoding.EncodeToString([]byte(png))+`"}`),
	} {
		var b struct {
			DryRun    bool   `json:"dry_run"`
			MediaType string `json:"media_type"`
			Size      int
			Class     string
			Pages     int
			Estimate  int `json:"estimated_time_ms"`
		}
		a.into(t, &b)
		if a.StatusCode != http.StatusOK || !b.DryRun || b.MediaType != "image/png" || b.Class != "gpu" || b.Pages != 1 || b.Estimate < 1 || b.Size != len(png) {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	if a := r.send(token, "/api/v1/documents?dry_run=perhaps", "image/png", png); a.code(t) != schemas.InvalidOption {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	eventually(t, "nothing is left", func() bool { return len(w.store.keys()) == 0 })
	if got := append(w.all("documents.gpu.normal"), w.all("documents.cpu.normal")...); len(got) != 0 {
		t.Errorf("submitted: %v", got)
	}
}

func TestAKeyMakesASubmissionRepeatableOnAnyReplica(t *testing.T) {
	w := newWorld(t)
	one, two := w.replica(nil), w.replica(nil)
	token := w.key("acme")
	const path = "/api/v1/documents?filename=a.txt"
	first := one.send(token, path, "text/plain", "hello", "Idempotency-Key", "order 1")
	job := jobOf(t, first)
	if first.Header.Get("Idempotency-Replayed") != "" || job != schemas.JobIDFor("idempotency", "acme", "order 1") {
		t.Errorf("%v %s", first.Header, job)
	}
	again := two.send(token, path, "text/plain", "hello", "Idempotency-Key", "order 1")
	if string(again.body) != string(first.body) || again.StatusCode != first.StatusCode || again.Header.Get("Idempotency-Replayed") != "true" || again.Header.Get("Location") != first.Header.Get("Location") {
		t.Errorf("%d %v %s", again.StatusCode, again.Header, again.body)
	}
	wrapped := two.send(token, "/api/v1/documents", "application/json", `{"base64":"aGVsbG8=","filename":"a.txt"}`, "Idempotency-Key", "order 1")
	if string(wrapped.body) != string(first.body) {
		t.Errorf("the same document in another wrapping: %d %s", wrapped.StatusCode, wrapped.body)
	}
	for name, a := range map[string]answer{
		"other bytes":   two.send(token, path, "text/plain", "hallo", "Idempotency-Key", "order 1"),
		"other options": one.send(token, path+"&priority=high", "text/plain", "hello", "Idempotency-Key", "order 1"),
	} {
		if a.code(t) != schemas.IdempotencyKeyReused {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	if other := jobOf(t, one.send(w.key("acme-2"), path, "text/plain", "hello", "Idempotency-Key", "order 1")); other == job {
		t.Error("P8: another tenant's key is the same")
	}
	for _, key := range []string{strings.Repeat("x", 256), "caf\u00e9"} {
		if a := one.send(token, path, "text/plain", "hello", "Idempotency-Key", key); a.code(t) != schemas.InvalidRequest {
			t.Errorf("%q: %d %s", key, a.StatusCode, a.body)
		}
	}
	sources, ids := 0, map[string]bool{}
	for _, k := range w.store.keys() {
		if strings.HasPrefix(k, "sources/acme/") {
			sources++
		}
	}
	for _, rec := range w.read("documents.cpu.normal", len(w.all("documents.cpu.normal"))) {
		e, err := w.codec.Decode(t.Context(), rec.Value)
		if err != nil {
			t.Fatal(err)
		}
		if e.Envelope().Tenant == "acme" {
			ids[e.Envelope().EventID] = true
		}
	}
	if sources != 1 || len(ids) != 1 {
		t.Errorf("%d sources, %d submissions", sources, len(ids))
	}
}

func TestTwinsOfAKeyMakeOneJob(t *testing.T) {
	w := newWorld(t)
	replicas := []*replica{w.replica(nil), w.replica(nil)}
	token := w.key("acme")
	var all sync.WaitGroup
	var mu sync.Mutex
	jobs := map[string]bool{}
	for n := range 8 {
		all.Go(func() {
			a := replicas[n%2].send(token, "/api/v1/documents", "text/plain", "hello", "Idempotency-Key", "twin")
			if a.StatusCode == http.StatusConflict {
				if a.code(t) != schemas.IdempotencyInFlight || a.Header.Get("Retry-After") == "" {
					t.Errorf("%d %s", a.StatusCode, a.body)
				}
				return
			}
			mu.Lock()
			defer mu.Unlock()
			jobs[jobOf(t, a)] = true
		})
	}
	all.Wait()
	if len(jobs) != 1 {
		t.Errorf("%v", jobs)
	}
}

func TestATwinInFlightIsRefused(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	conn := r.wire(token, "Idempotency-Key: slow\r\nContent-Length: 1000")
	if _, err := conn.Write([]byte(fileHead)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first is in flight", func() bool { return strings.Contains(string(r.get("", "/metrics").body), "docstream_uploads_active 1") })
	if a := r.send(token, "/api/v1/documents", "text/plain", "hello", "Idempotency-Key", "slow"); a.code(t) != schemas.IdempotencyInFlight {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestAKeyMakesEveryOtherPostRepeatable(t *testing.T) {
	w := newWorld(t)
	one, two := w.replica(nil), w.replica(nil)
	admin := w.admin("acme")
	body := `{"statuses":["failed"],"from":"2026-05-01T00:00:00Z"}`
	first := one.send(admin, "/api/v1/replays", "application/json", body, "Idempotency-Key", "a")
	again := two.send(admin, "/api/v1/replays", "application/json", body, "Idempotency-Key", "a")
	if first.StatusCode != http.StatusAccepted || again.StatusCode != first.StatusCode || string(again.body) != string(first.body) || again.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%d %s\n%d %s", first.StatusCode, first.body, again.StatusCode, again.body)
	}
	if a := two.send(admin, "/api/v1/replays", "application/json", `{"statuses":["partial"],"from":"2026-05-01T00:00:00Z"}`, "Idempotency-Key", "a"); a.code(t) != schemas.IdempotencyKeyReused {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}
