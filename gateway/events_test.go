package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"docstream/gateway"
	"docstream/schemas"
)

// changed is what track says of a snapshot.
func changed(s *schemas.JobSnapshot) *schemas.JobChanged {
	return &schemas.JobChanged{Head: s.Head, Version: s.Version, Status: s.Status, Stage: s.Stage, PagesExpected: s.PagesExpected, PagesDone: s.PagesDone}
}

// said is one event of a stream.
type said struct {
	id   string
	data struct {
		JobID   string `json:"job_id"`
		Version int64
		Status  string
	}
}

// listen opens a stream and calls f for each event until f returns false or the stream ends. It returns the last id, and the status.
func (r *replica) listen(token, path, last string, f func(said) bool) (string, int) {
	r.w.t.Helper()
	ctx, cancel := context.WithTimeout(r.w.t.Context(), 20*time.Second)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, r.url+path, nil)
	req.Header.Set("Authorization", "Bearer "+token)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := r.w.client.Do(req)
	if err != nil {
		r.w.t.Error(err)
		return last, 0
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return last, res.StatusCode
	}
	if kind := res.Header.Get("Content-Type"); kind != "text/event-stream" {
		r.w.t.Errorf("the stream is %s", kind)
	}
	var e said
	has := false
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
		case "id":
			e.id = value
		case "data":
			if err := json.Unmarshal([]byte(value), &e.data); err != nil {
				r.w.t.Errorf("%v in %q", err, value)
			}
			has = true
		case "":
			if last = e.id; !has && !f(said{id: e.id}) || has && !f(e) {
				return last, res.StatusCode
			}
			has = false
		}
	}
	return last, res.StatusCode
}

func TestAStreamHasNoGapAndNoRepeatWhicheverReplicaGoesOn(t *testing.T) {
	w := newWorld(t)
	replicas := []*replica{w.replica(nil), w.replica(nil)}
	token := w.key("acme")
	job := schemas.NewJobID(time.Now())
	const last = 120
	w.publish(snapshot("acme", job, 1, schemas.Processing), changed(snapshot("acme", job, 1, schemas.Processing)))
	var writing sync.WaitGroup
	writing.Go(func() {
		for v := int64(2); v <= last; v++ {
			s := snapshot("acme", job, v, schemas.Processing)
			if v == last {
				s = snapshot("acme", job, v, schemas.Completed)
			}
			other := snapshot("acme-2", job, v, schemas.Processing) // the same id at another tenant
			w.publish(s, changed(s), changed(other))
		}
	})
	var got []int64
	id, hops := "", 0
	for ; hops < 60 && (len(got) == 0 || got[len(got)-1] < last); hops++ {
		n := 0
		id, _ = replicas[hops%2].listen(token, "/api/v1/jobs/"+job+"/events", id, func(e said) bool {
			if e.data.JobID == "" {
				return true
			}
			got = append(got, e.data.Version)
			n++
			return n < 7
		})
	}
	writing.Wait()
	for i := range got {
		if got[i] != got[0]+int64(i) {
			t.Fatalf("a gap or a repeat: %v", got)
		}
	}
	if hops < 3 || len(got) == 0 || got[len(got)-1] != last {
		t.Errorf("after %d connections: %v", hops, got)
	}
	if _, status := replicas[0].listen(token, "/api/v1/jobs/"+job+"/events", id, func(e said) bool { t.Errorf("%+v", e); return true }); status != http.StatusNoContent {
		t.Errorf("coming again after the end: %d", status)
	}
	n := 0
	if replicas[1].listen(token, "/api/v1/jobs/"+job+"/events", "", func(e said) bool { n++; return e.data.Status == schemas.Completed }); n != 1 {
		t.Errorf("of a job that has ended %d events came", n)
	}
}

func TestAllJobsOfATenantAreFollowedAndNoOthers(t *testing.T) {
	w := newWorld(t)
	one, two := w.replica(nil), w.replica(nil)
	token := w.key("acme")
	place, _ := one.listen(token, "/api/v1/events", "", func(e said) bool { return false }) // a place before anything has happened
	if place == "" {
		t.Fatal("the stream gave no place to come back to")
	}
	want := map[string]bool{}
	for i := range 30 {
		tenant := []string{"acme", "acme-2"}[i%2]
		s := snapshot(tenant, schemas.NewJobID(time.Now()), 1, schemas.Processing)
		w.publish(changed(s))
		if tenant == "acme" {
			want[s.JobID] = true
		}
	}
	got := map[string]int{}
	id := place
	for hop := 0; hop < 10 && len(got) < len(want); hop++ {
		n := 0
		id, _ = []*replica{one, two}[hop%2].listen(token, "/api/v1/events", id, func(e said) bool {
			if e.data.JobID != "" {
				got[e.data.JobID]++
				n++
			}
			return n < 4 && len(got) < len(want)
		})
	}
	for job := range want {
		if got[job] != 1 {
			t.Errorf("%s came %d times", job, got[job])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d jobs, not %d", len(got), len(want))
	}
	for _, bad := range []string{"x", "1", "1-", "-1-2", "1-2,3-4", strings.Repeat("1-1.", 2000) + "1-1"} {
		if a := one.get(token, "/api/v1/events", "Last-Event-ID", bad); a.code(t) != schemas.InvalidOption {
			t.Errorf("%.20s: %d %s", bad, a.StatusCode, a.body)
		}
	}
}

func TestFollowersAreBounded(t *testing.T) {
	w := newWorld(t)
	r := w.replica(func(c *gateway.Config) { c.Followers = 1 })
	token := w.key("acme")
	r.listen(token, "/api/v1/events", "", func(said) bool {
		if a := r.get(token, "/api/v1/events"); a.code(t) != schemas.ServiceUnavailable {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
		return false
	})
}

func TestALookUpWaitsForTheEndOrAChange(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	job := schemas.NewJobID(time.Now())
	w.publish(snapshot("acme", job, 1, schemas.Processing))
	a := r.get(token, "/api/v1/jobs/"+job+"?wait=10ms")
	var b struct {
		Version int64
		Status  string
	}
	if a.into(t, &b); b.Version != 1 {
		t.Fatalf("%s", a.body)
	}
	for _, c := range []struct {
		headers []string
		next    *schemas.JobSnapshot
		status  string
	}{
		{[]string{"If-None-Match", a.Header.Get("ETag")}, snapshot("acme", job, 2, schemas.Processing), schemas.Processing},
		{nil, snapshot("acme", job, 3, schemas.Completed), schemas.Completed},
	} {
		answered := make(chan answer, 1)
		go func() { answered <- r.get(token, "/api/v1/jobs/"+job+"?wait=60s", c.headers...) }()
		select {
		case a := <-answered:
			t.Fatalf("it did not wait: %s", a.body)
		case <-time.After(100 * time.Millisecond):
		}
		w.publish(c.next)
		if a := <-answered; a.StatusCode != http.StatusOK {
			t.Errorf("%d %s", a.StatusCode, a.body)
		} else if a.into(t, &b); b.Status != c.status || b.Version != c.next.Version {
			t.Errorf("%s", a.body)
		}
	}
	for _, bad := range []string{"61s", "-1s", "x", "30"} {
		if a := r.get(token, "/api/v1/jobs/"+job+"?wait="+bad); a.code(t) != schemas.InvalidOption {
			t.Errorf("%s: %d %s", bad, a.StatusCode, a.body)
		}
	}
}

func TestTheListIsNarrowedAndManyAreLookedUpAtOnce(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	base := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	var jobs []string
	for i := range 12 {
		s := snapshot("acme", schemas.NewJobID(base.Add(time.Duration(i)*time.Second)), 1, schemas.Processing)
		s.SubmittedAt = base.Add(time.Duration(i) * time.Hour)
		s.Source.MediaType = []string{"image/png", "image/tiff", "application/pdf"}[i%3]
		s.Metadata = map[string]string{"batch": fmt.Sprint(i % 2), "all": "yes"}
		w.publish(s)
		jobs = append(jobs, s.JobID)
	}
	for query, want := range map[string]int{
		"media_type=image/png": 4, "media_type=image/*": 8, "media_type=text/*": 0, "tag=batch:1": 6, "tag=batch:1&tag=all:yes": 6, "tag=all:no": 0,
		"from=2026-05-01T06:00:00Z": 6, "to=2026-05-01T06:00:00Z": 6, "from=2026-05-01T03:00:00Z&to=2026-05-01T05:00:00Z": 2, "from=2027-01-01T00:00:00Z": 0,
		"media_type=image/*&tag=batch:0&from=2026-05-01T01:00:00%2B01:00": 4,
	} {
		var page struct{ Jobs []any }
		r.get(token, "/api/v1/jobs?limit=100&"+query).into(t, &page)
		if len(page.Jobs) != want {
			t.Errorf("%s: %d jobs, not %d", query, len(page.Jobs), want)
		}
	}
	for _, query := range []string{"from=yesterday", "to=1", "tag=x", "tag=:x", "tag=a:b&tag=a:c"} {
		if a := r.get(token, "/api/v1/jobs?"+query); a.code(t) != schemas.InvalidOption {
			t.Errorf("%s: %d %s", query, a.StatusCode, a.body)
		}
	}
	var first struct {
		Jobs []struct{}
		Next string `json:"next_cursor"`
	}
	r.get(token, "/api/v1/jobs?limit=3&tag=batch:1").into(t, &first)
	r.get(token, "/api/v1/jobs?limit=3&tag=batch:1&cursor="+url.QueryEscape(first.Next)).into(t, &first)
	if len(first.Jobs) != 3 {
		t.Errorf("%+v", first)
	}

	other := schemas.NewJobID(time.Now())
	w.publish(snapshot("acme-2", other, 1, schemas.Processing))
	a := r.send(token, "/api/v1/jobs/status", "application/json", `{"job_ids":["`+jobs[3]+`","`+other+`","x","`+jobs[1]+`"]}`)
	var many struct {
		Jobs []struct {
			JobID string `json:"job_id"`
		}
		Missing []string
	}
	a.into(t, &many)
	if len(many.Jobs) != 2 || many.Jobs[0].JobID != jobs[3] || many.Jobs[1].JobID != jobs[1] || !slices.Equal(many.Missing, []string{other, "x"}) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	for _, body := range []string{`{}`, `{"job_ids":[]}`, `[]`, `{"job_ids":["x"],"y":1}`, `{"job_ids":["` + strings.Repeat(`x","`, 1001) + `"]}`} {
		if a := r.send(token, "/api/v1/jobs/status", "application/json", body); a.code(t) != schemas.InvalidRequest {
			t.Errorf("%.40s: %d %s", body, a.StatusCode, a.body)
		}
	}
}

func TestAJobSaysWhereItsTimeWentAndWhenItWillEnd(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	job := schemas.NewJobID(time.Now())
	s := snapshot("acme", job, 1, schemas.Processing)
	s.At, s.CPUMicros = s.OpenedAt.Add(4*time.Second), 1_500_000 // two pages in four seconds, two to come
	w.publish(s)
	var b struct {
		Expected string `json:"estimated_finish_at"`
		Stages   []struct {
			Name, Status string
			Done, Total  int
		}
		Timings struct {
			Queued  int64  `json:"queued_ms"`
			Running *int64 `json:"running_ms"`
			CPU     int64  `json:"cpu_ms"`
		}
	}
	r.get(token, "/api/v1/jobs/"+job).into(t, &b)
	if b.Expected != "2026-05-01T12:00:09.000Z" || fmt.Sprint(b.Stages) != "[{prepare done 0 0} {pages running 2 4} {compose waiting 0 0}]" || b.Timings.Queued != 1000 || b.Timings.Running != nil || b.Timings.CPU != 1500 {
		t.Errorf("%+v", b)
	}
	w.publish(snapshot("acme", job, 2, schemas.Failed))
	b.Expected = ""
	r.get(token, "/api/v1/jobs/"+job).into(t, &b)
	if b.Expected != "" || fmt.Sprint(b.Stages) != "[{prepare done 0 0} {pages done 4 4} {compose skipped 0 0}]" || *b.Timings.Running != 2000 {
		t.Errorf("%+v", b)
	}
}
