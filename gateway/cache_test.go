package gateway_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"docstream/gateway"
	"docstream/schemas"
)

// readOnce is a job of a tenant that read a text and was completed just now, as change has it.
func (w *world) readOnce(tenant, text string, change func(*schemas.JobSnapshot)) *schemas.JobSnapshot {
	w.t.Helper()
	sum := sha256.Sum256([]byte(text))
	s := snapshot(tenant, schemas.NewJobID(time.Now()), 9, schemas.Completed)
	s.Run, s.Pipeline, s.EndedAt, s.Finished = 1, "pv_1", time.Now(), schemas.Bitmap{}.Set(1)
	s.Source.SHA256, s.Source.Filename = hex.EncodeToString(sum[:]), "before.txt"
	if change != nil {
		change(s)
	}
	w.publish(s)
	return s
}

func TestTheSameDocumentIsNotReadAgain(t *testing.T) {
	w := newWorld(t)
	r := w.replica(func(c *gateway.Config) { c.MaxBacklog = 0 }) // some of the jobs never end
	token := w.key("acme")
	for what, c := range map[string]struct {
		tenant string
		change func(*schemas.JobSnapshot)
		fields []field
		hit    bool
	}{
		"the same":             {"acme", nil, nil, true},
		"said so":              {"acme", nil, []field{{name: "cache", value: "true"}}, true},
		"another priority":     {"acme", nil, []field{{name: "priority", value: "normal"}}, true},
		"not wanted":           {"acme", nil, []field{{name: "cache", value: "false"}}, false},
		"another tenant's":     {"rival", nil, nil, false},
		"other options":        {"acme", nil, []field{{name: "tables", value: "off"}}, false},
		"another kind of text": {"acme", func(s *schemas.JobSnapshot) { s.Source.Filename = "before.csv" }, nil, false},
		"another media type":   {"acme", func(s *schemas.JobSnapshot) { s.Source.MediaType = "text/markdown" }, nil, false},
		"bytes nobody hashed":  {"acme", func(s *schemas.JobSnapshot) { s.Source.SHA256 = "" }, nil, false},
		"too long ago":         {"acme", func(s *schemas.JobSnapshot) { s.EndedAt = time.Now().Add(-25 * time.Hour) }, nil, false},
		"only some of it":      {"acme", func(s *schemas.JobSnapshot) { s.Status = schemas.Partial }, nil, false},
		"failed":               {"acme", func(s *schemas.JobSnapshot) { s.Status = schemas.Failed }, nil, false},
		"cancelled":            {"acme", func(s *schemas.JobSnapshot) { s.Status = schemas.Cancelled }, nil, false},
		"expired":              {"acme", func(s *schemas.JobSnapshot) { s.Status = schemas.Expired }, nil, false},
		"still being read":     {"acme", func(s *schemas.JobSnapshot) { s.Status = schemas.Processing }, nil, false},
		"deleted":              {"acme", func(s *schemas.JobSnapshot) { s.DeletedAt = time.Now() }, nil, false},
		"completed, then anew": {"acme", func(s *schemas.JobSnapshot) { w.publish(s); s.Run, s.Version, s.Status = 2, 10, schemas.Processing }, nil, false},
		"completed, then erased": {"acme", func(s *schemas.JobSnapshot) {
			w.publish(s)
			s.Version, s.DeletedAt, s.Source = 10, time.Now(), schemas.Source{}
		}, nil, false},
	} {
		text := fmt.Sprintf("The text of %q.\n", what)
		was := w.readOnce(c.tenant, text, c.change)
		eventually(t, "the view has the job", func() bool {
			s, ok := r.view.Job(c.tenant, was.JobID)
			return ok && s.Version == was.Version
		})
		job := r.submit(token, append([]field{{name: "file", filename: "now.TXT", value: text}}, c.fields...)...)
		got := w.submitted("documents.cpu.normal", job)
		if !c.hit {
			if got.BaseJob != "" || got.Kept != "" {
				t.Errorf("%s: %s of %s is kept", what, got.Kept, got.BaseJob)
			}
			continue
		}
		if got.BaseJob != was.JobID || got.BaseRun != 1 || got.Kept != "1" || got.KeptPipeline != "pv_1" || got.Run != 0 {
			t.Errorf("%s: the submission is %+v", what, got)
		}
	}
	off := w.replica(func(c *gateway.Config) { c.Cache, c.MaxBacklog = 0, 0 })
	text := "Read every time.\n"
	w.readOnce("acme", text, nil)
	if got := w.submitted("documents.cpu.normal", off.submit(token, field{name: "file", filename: "a.txt", value: text})); got.BaseJob != "" {
		t.Errorf("with the cache off %s is kept", got.BaseJob)
	}
}

func TestAJobSaysWhoseItsPagesAre(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	kept, read := snapshot("acme", schemas.NewJobID(time.Now()), 5, schemas.Completed), snapshot("acme", schemas.NewJobID(time.Now()), 5, schemas.Completed)
	kept.BaseJob, kept.PagesKept = read.JobID, 4
	read.BaseJob = kept.JobID // whose pages were gone
	w.publish(kept, read)
	for _, s := range []*schemas.JobSnapshot{kept, read} {
		var shown struct {
			From string `json:"cached_from"`
			Kept int    `json:"pages_kept"`
		}
		r.get(token, "/api/v1/jobs/"+s.JobID).into(t, &shown)
		if want := map[bool]string{true: read.JobID}[s.PagesKept > 0]; shown.From != want || shown.Kept != s.PagesKept {
			t.Errorf("a job that kept %d pages says %+v", s.PagesKept, shown)
		}
	}
}
