package gateway_test

import (
	"net/http"
	"testing"
	"time"

	"docstream/internal/blob"
	"docstream/schemas"
)

// crop stores the picture of a figure of the newest run; it holds its own name.
func (w *world) crop(s *schemas.JobSnapshot, name string) {
	w.t.Helper()
	if err := w.store.Put(w.t.Context(), schemas.ResultKey(s.Tenant, s.JobID, s.Run, name), []byte(name), blob.Options{MediaType: "image/png"}); err != nil {
		w.t.Fatal(err)
	}
}

func TestTheFiguresOfAFinishedPageAreServed(t *testing.T) {
	w := newWorld(t)
	r, twin := w.reading(nil), w.reading(nil)
	token, job := w.key("acme"), schemas.NewJobID(time.Now())
	s := w.half("acme", job)
	for _, name := range []string{"figures/000001-1.png", "figures/000002-3.jpg", "figures/000004-1.png"} {
		w.crop(s, name)
	}
	w.publish(s)
	path := "/api/v1/jobs/" + job + "/"
	for name, media := range map[string]string{"figures/000001-1.png": "image/png", "figures/000002-3.jpg": "image/jpeg"} {
		a := r.get(token, path+name)
		if a.StatusCode != http.StatusOK || string(a.body) != name || a.Header.Get("Content-Type") != media || a.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v %q", name, a.StatusCode, a.Header, a.body)
		}
		if again := twin.get(token, path+name, "If-None-Match", a.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s: %d", name, again.StatusCode)
		}
		if part := r.get(token, path+name, "Range", "bytes=0-6"); part.StatusCode != http.StatusPartialContent || string(part.body) != "figures" {
			t.Errorf("%s: %d %q", name, part.StatusCode, part.body)
		}
		if theirs := r.get(w.key("rival"), path+name); theirs.code(t) != schemas.JobNotFound {
			t.Errorf("P8: %d %q", theirs.StatusCode, theirs.body)
		}
	}
	for name, want := range map[string]schemas.Code{
		"000001-2.png": schemas.FigureNotFound, "000001-1.jpg": schemas.FigureNotFound, "1-1.png": schemas.FigureNotFound, "000000-1.png": schemas.FigureNotFound,
		"..%2f..%2fdocument.md": schemas.RouteNotFound, "000004-1.png": schemas.ResultNotReady, "000005-1.png": schemas.PageNotFound, "000003-1.png": schemas.ResultNotAvailable,
	} {
		if a := r.get(token, path+"figures/"+name); a.code(t) != want {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	for _, key := range w.store.keys() {
		if err := w.store.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	if a := r.get(token, path+"figures/000001-1.png"); a.code(t) != schemas.ResultExpired {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}
