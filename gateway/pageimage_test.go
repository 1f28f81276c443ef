package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"docstream/internal/blob"
	"docstream/schemas"
)

// pixel is a picture of one black point.
const pixel = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU\x00\x00\x00\nIDATx\x9cc`\x00\x00\x00\x02\x00\x01H\xaf\xa4q\x00\x00\x00\x00IEND\xaeB`\x82"

// picture stores the image of a page of a run.
func (w *world) picture(s *schemas.JobSnapshot, run, page int, body string) {
	w.t.Helper()
	key := schemas.WorkKey(s.Tenant, s.JobID, run, schemas.PageImageName(page))
	if err := w.store.Put(w.t.Context(), key, []byte(body), blob.Options{MediaType: "image/png"}); err != nil {
		w.t.Fatal(err)
	}
}

func TestThePageImageIsServedAsSoonAsItIsMade(t *testing.T) {
	w := newWorld(t)
	r, twin := w.replica(nil), w.replica(nil)
	token, job := w.key("acme"), schemas.NewJobID(time.Now())
	s := w.half("acme", job)
	w.picture(s, 0, 1, pixel)
	w.picture(s, 0, 4, pixel+"of a page nobody has read yet")
	w.publish(s)
	path := "/api/v1/jobs/" + job + "/pages"
	a := r.get(token, path+"/1/image")
	if a.StatusCode != http.StatusOK || string(a.body) != pixel || a.Header.Get("Content-Type") != "image/png" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Fatalf("%d %v %q", a.StatusCode, a.Header, a.body)
	}
	tag := a.Header.Get("ETag")
	if again := twin.get(token, path+"/1/image", "If-None-Match", tag); tag == "" || again.StatusCode != http.StatusNotModified || len(again.body) != 0 {
		t.Errorf("P4: %q, then %d", tag, again.StatusCode)
	}
	if part := r.get(token, path+"/1/image", "Range", "bytes=1-3", "If-Range", tag); part.StatusCode != http.StatusPartialContent || string(part.body) != "PNG" {
		t.Errorf("%d %q", part.StatusCode, part.body)
	}
	if over := r.get(token, path+"/1/image", "Range", "bytes=5000-"); over.code(t) != schemas.RangeNotSatisfiable {
		t.Errorf("%d %s", over.StatusCode, over.body)
	}
	if saved := r.get(token, path+"/1/image?download=1"); saved.Header.Get("Content-Disposition") != `attachment; filename="a b-page-1.png"` {
		t.Errorf("%v", saved.Header)
	}
	if early := r.get(token, path+"/4/image"); early.StatusCode != http.StatusOK || !strings.HasPrefix(string(early.body), pixel) {
		t.Errorf("a page that is being read: %d", early.StatusCode)
	}
	if other := r.get(token, path+"/4/image"); other.Header.Get("ETag") == tag {
		t.Error("two images have one entity tag")
	}
	if theirs := r.get(w.key("rival"), path+"/1/image"); theirs.code(t) != schemas.JobNotFound {
		t.Errorf("P8: %d %q", theirs.StatusCode, theirs.body)
	}
}

func TestAPageWithoutAnImageSaysWhy(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	at := func(status schemas.Status, change func(*schemas.JobSnapshot)) string {
		s := w.half("acme", schemas.NewJobID(time.Now()))
		if s.Status = status; change != nil {
			change(s)
		}
		w.publish(s)
		return "/api/v1/jobs/" + s.JobID + "/pages"
	}
	half, over := at(schemas.Processing, nil), at(schemas.Partial, nil)
	cancelled := at(schemas.Cancelled, func(s *schemas.JobSnapshot) { w.picture(s, 0, 1, pixel) })
	for path, want := range map[string]schemas.Code{
		half + "/1/image": schemas.ResultExpired, half + "/2/image": schemas.ResultNotAvailable, half + "/3/image": schemas.ResultNotAvailable,
		half + "/4/image": schemas.ResultNotReady, half + "/5/image": schemas.PageNotFound, half + "/0/image": schemas.InvalidOption, half + "/x/image": schemas.InvalidOption,
		over + "/1/image": schemas.ResultExpired, over + "/4/image": schemas.ResultNotAvailable, cancelled + "/1/image": schemas.ResultNotAvailable,
		"/api/v1/jobs/" + schemas.NewJobID(time.Now()) + "/pages/1/image": schemas.JobNotFound,
	} {
		a := r.get(token, path)
		if a.code(t) != want {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
		if (want == schemas.ResultNotReady) != (a.Header.Get("Retry-After") != "") {
			t.Errorf("%s: %v", path, a.Header)
		}
	}
}

func TestAPageThatWasTakenOverHasTheImageItWasReadFrom(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token, job := w.key("acme"), schemas.NewJobID(time.Now())
	s := w.half("acme", job)
	s.Run, s.Pipeline = 2, "pv_new"
	s.Runs = []schemas.PastRun{{Run: 0, Status: schemas.Completed, Pipeline: "pv_old"}, {Run: 1, Status: schemas.Partial, Pipeline: "pv_new"}}
	w.picture(s, 0, 1, "of another pipeline")
	w.picture(s, 1, 1, "of the run that read it")
	w.picture(s, 0, 3, "of another pipeline")
	w.publish(s)
	path := "/api/v1/jobs/" + job + "/pages"
	if a := r.get(token, path+"/1/image"); string(a.body) != "of the run that read it" {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
	if a := r.get(token, path+"/3/image"); a.code(t) != schemas.ResultNotAvailable {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
}
