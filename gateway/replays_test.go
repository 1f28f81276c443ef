package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"docstream/gateway/keys"
	"docstream/producers/replay"
	"docstream/schemas"
)

// admin issues a key with every scope.
func (w *world) admin(tenant string) string {
	w.t.Helper()
	token, e, err := keys.New(house, tenant, "admin", []string{keys.Documents, keys.Admin}, time.Time{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.publish(e)
	return token
}

// call makes a request with a JSON body.
func (r *replica) call(method, token, path, body string) answer {
	r.w.t.Helper()
	req, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	return r.do(req)
}

type shownReplay struct {
	ReplayID string  `json:"replay_id"`
	Status   string  `json:"status"`
	New      *bool   `json:"new"`
	DryRun   bool    `json:"dry_run"`
	Jobs     int     `json:"jobs"`
	Rate     float64 `json:"rate_per_second"`
	Progress struct {
		Asked   int     `json:"asked"`
		Percent float64 `json:"percent"`
	} `json:"progress"`
}

func TestAReplaySaidTwiceIsOneAndEveryReplicaKnowsIt(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica(nil), w.replica(nil)
	token := w.admin("acme")
	const body = `{"statuses":["failed","partial"],"from":"2026-05-01T00:00:00Z","rate":"600/m","max_pages":100}`
	var first, second, seen shownReplay
	one := a.call(http.MethodPost, token, "/api/v1/replays", body)
	if one.into(t, &first); one.StatusCode != http.StatusAccepted || first.New == nil || !*first.New || first.Status != "pending" || first.Rate != 10 || !schemas.ValidReplayID(first.ReplayID) {
		t.Fatalf("%d %s", one.StatusCode, one.body)
	}
	if one.Header.Get("Location") != "/api/v1/replays/"+first.ReplayID {
		t.Errorf("it is said to be at %s", one.Header.Get("Location"))
	}
	two := b.call(http.MethodPost, token, "/api/v1/replays", strings.Replace(body, `"failed","partial"`, `"partial", "failed"`, 1))
	if two.into(t, &second); two.StatusCode != http.StatusOK || second.New == nil || *second.New || second.ReplayID != first.ReplayID {
		t.Errorf("said again on the other replica: %d %s", two.StatusCode, two.body)
	}
	if n := len(w.all("settings")); n != 2 { // the key and the replay
		t.Errorf("the settings have %d records", n)
	}
	b.get(token, "/api/v1/replays/"+first.ReplayID).into(t, &seen)
	if seen.ReplayID != first.ReplayID || seen.New != nil {
		t.Errorf("the other replica shows %+v", seen)
	}
	var list struct{ Replays []shownReplay }
	if b.get(token, "/api/v1/replays?limit=5").into(t, &list); len(list.Replays) != 1 {
		t.Errorf("the list has %d", len(list.Replays))
	}
}

func TestReplaysBelongToTheirTenantAndNeedTheScope(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token, other, plain := w.admin("acme"), w.admin("other"), w.key("acme")
	var made shownReplay
	r.call(http.MethodPost, token, "/api/v1/replays", `{"statuses":["failed"]}`).into(t, &made)
	everybodys := replay.Request{Selection: schemas.Selection{Statuses: []string{"failed"}}, By: "operator"}.Say(nil, time.Now())
	w.publish(everybodys)
	for _, id := range []string{made.ReplayID, everybodys.ReplayID, "rpl_00000000000000000000000000", "x"} {
		path := "/api/v1/replays/" + id
		if a := r.get(other, path); a.StatusCode != http.StatusNotFound || a.code(t) != schemas.ReplayNotFound {
			t.Errorf("GET %s of another tenant: %d", id, a.StatusCode)
		}
		if a := r.call(http.MethodDelete, other, path, ""); a.StatusCode != http.StatusNotFound {
			t.Errorf("DELETE %s of another tenant: %d", id, a.StatusCode)
		}
		if a := r.get(plain, path); a.code(t) != schemas.Forbidden {
			t.Errorf("GET %s without the scope: %d", id, a.StatusCode)
		}
	}
	if a := r.call(http.MethodPost, plain, "/api/v1/replays", `{"statuses":["failed"]}`); a.code(t) != schemas.Forbidden {
		t.Errorf("POST without the scope: %d", a.StatusCode)
	}
	var list struct{ Replays []shownReplay }
	if r.get(other, "/api/v1/replays").into(t, &list); len(list.Replays) != 0 {
		t.Errorf("another tenant's list has %d", len(list.Replays))
	}
	if r.get(token, "/api/v1/replays").into(t, &list); len(list.Replays) != 1 {
		t.Errorf("the tenant's own list has %d", len(list.Replays))
	}
	var stopped shownReplay
	for range 2 {
		if r.call(http.MethodDelete, token, "/api/v1/replays/"+made.ReplayID, "").into(t, &stopped); stopped.Status != "cancelled" {
			t.Errorf("stopped, it is %s", stopped.Status)
		}
	}
}

func TestAReplayIsPausedAndResumedOnAnyReplica(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica(nil), w.replica(nil)
	token, other, plain := w.admin("acme"), w.admin("other"), w.key("acme")
	var made, shown shownReplay
	a.call(http.MethodPost, token, "/api/v1/replays", `{"statuses":["failed"]}`).into(t, &made)
	path := "/api/v1/replays/" + made.ReplayID
	for _, step := range []struct {
		on         *replica
		how, after string
	}{{b, "/pause", "paused"}, {a, "/pause", "paused"}, {a, "/resume", "pending"}, {b, "/resume", "pending"}, {b, "/pause", "paused"}} {
		if step.on.call(http.MethodPost, token, path+step.how, "").into(t, &shown); shown.Status != step.after {
			t.Errorf("%s: it is %s", step.how, shown.Status)
		}
	}
	if n := len(w.all("settings")); n != 3+1+3 { // keys, the replay, and what was new
		t.Errorf("the settings have %d records", n)
	}
	for _, how := range []string{"/pause", "/resume"} {
		if got := a.call(http.MethodPost, other, path+how, ""); got.code(t) != schemas.ReplayNotFound {
			t.Errorf("%s of another tenant's: %d", how, got.StatusCode)
		}
		if got := a.call(http.MethodPost, plain, path+how, ""); got.code(t) != schemas.Forbidden {
			t.Errorf("%s without the scope: %d", how, got.StatusCode)
		}
	}
	a.call(http.MethodDelete, token, path, "").into(t, &shown)
	if got := b.call(http.MethodPost, token, path+"/resume", ""); shown.Status != "cancelled" || got.StatusCode != http.StatusConflict || got.code(t) != schemas.ReplayEnded {
		t.Errorf("resumed after its end: %s %d %s", shown.Status, got.StatusCode, got.body)
	}
}

func TestBadReplaysAreRefused(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.admin("acme")
	for body, code := range map[string]schemas.Code{
		``:                             schemas.InvalidRequest,
		`[]`:                           schemas.InvalidRequest,
		`{"statuses":"failed"}`:        schemas.InvalidRequest,
		`{"state":["failed"]}`:         schemas.InvalidRequest,
		`{"tenant":"other","jobs":[]}`: schemas.InvalidRequest,
		`{"from":"yesterday"}`:         schemas.InvalidRequest,
		`{"statuses":["failed"]} {}`:   schemas.InvalidRequest,
		`{"label":"` + strings.Repeat("x", 300<<10) + `"}`: schemas.InvalidRequest,
		`{}`:                                     schemas.InvalidSelection,
		`{"statuses":["processing"]}`:            schemas.InvalidSelection,
		`{"error_codes":["NOPE"]}`:               schemas.InvalidSelection,
		`{"jobs":["1"]}`:                         schemas.InvalidSelection,
		`{"statuses":["failed"],"rate":"1/d"}`:   schemas.InvalidSelection,
		`{"statuses":["failed"],"max_pages":-1}`: schemas.InvalidSelection,
		`{"from":"2026-05-02T00:00:00Z","to":"2026-05-01T00:00:00Z"}`: schemas.InvalidSelection,
	} {
		if a := r.call(http.MethodPost, token, "/api/v1/replays", body); a.code(t) != code {
			t.Errorf("%.80s: %d %s", body, a.StatusCode, a.body)
		}
	}
	if a := r.get(token, "/api/v1/replays?limit=0"); a.code(t) != schemas.InvalidOption {
		t.Errorf("limit=0: %d", a.StatusCode)
	}
	if n := len(w.all("settings")); n != 1 {
		t.Errorf("the settings have %d records", n)
	}
}

func TestEarlierRunsAreShownAndServed(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	job := schemas.NewJobID(time.Now())
	s := snapshot("acme", job, 9, schemas.Processing)
	s.Run, s.ReplayID, s.Options.OutputFormats = 3, "rpl_b", []string{"markdown", "text"}
	s.Runs = []schemas.PastRun{
		{Run: 0, Status: schemas.Completed, PagesDone: 4, Pipeline: "pv_a", EndedAt: s.SubmittedAt},
		{Run: 1, Status: schemas.Cancelled, ReplayID: "rpl_a"},
		{Run: 2, Status: schemas.Failed, Code: "SOURCE_MISSING"},
	}
	w.publish(s)
	for _, run := range []int{0, 1} {
		w.store.objects[schemas.ResultKey("acme", job, run, "document.md")] = []byte("# old")
	}
	var b struct {
		Run      int    `json:"run"`
		AfterRun int    `json:"after_run"`
		ReplayID string `json:"replay_id"`
		Runs     []struct {
			Run       int    `json:"run"`
			AfterRun  *int   `json:"after_run"`
			ReplayID  string `json:"replay_id"`
			Status    string `json:"status"`
			ResultURL string `json:"result_url"`
			Error     *struct{ Code string }
		}
	}
	r.get(token, "/api/v1/jobs/"+job).into(t, &b)
	if b.Run != 3 || b.AfterRun != 2 || b.ReplayID != "rpl_b" || len(b.Runs) != 3 || b.Runs[0].AfterRun != nil || *b.Runs[1].AfterRun != 0 || b.Runs[1].ReplayID != "rpl_a" ||
		b.Runs[0].ResultURL != "/api/v1/jobs/"+job+"/result?run=0" || b.Runs[1].ResultURL != "" || b.Runs[2].Error.Code != "SOURCE_MISSING" {
		t.Errorf("the job is shown as %+v", b)
	}
	if a := r.get(token, b.Runs[0].ResultURL); a.StatusCode != http.StatusOK || string(a.body) != "# old" || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/markdown") {
		t.Errorf("the first run's result: %d %s", a.StatusCode, a.body)
	}
	for query, code := range map[string]schemas.Code{
		"?run=0&format=text": schemas.ResultExpired,
		"?run=0&format=json": schemas.FormatNotComposed,
		"?run=1":             schemas.ResultNotAvailable, // cancelled: never served
		"?run=2":             schemas.ResultNotAvailable,
		"?run=7":             schemas.ResultNotAvailable,
		"?run=-1":            schemas.InvalidOption,
		"?run=x":             schemas.InvalidOption,
		"?run=3":             schemas.ResultNotReady,
		"":                   schemas.ResultNotReady,
	} {
		if a := r.get(token, "/api/v1/jobs/"+job+"/result"+query); a.code(t) != code {
			t.Errorf("%s: %d %s", query, a.StatusCode, a.body)
		}
	}
	if a := r.get(w.key("other"), "/api/v1/jobs/"+job+"/result?run=0"); a.code(t) != schemas.JobNotFound {
		t.Errorf("another tenant gets %d", a.StatusCode)
	}
}
