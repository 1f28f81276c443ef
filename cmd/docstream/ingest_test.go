package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"docstream/schemas"
)

// jobKeeper plays a gateway that keeps jobs by Idempotency-Key.
type jobKeeper struct {
	*httptest.Server
	mu       sync.Mutex
	posts    map[string]int    // by job
	statuses map[string]string // by job
	bodies   []string          // of submissions, as they came
	stop     func(n int)       // called after so many submissions, before they are answered
	busy     int               // submissions that are answered with 429 before one is taken
}

func newJobKeeper(t *testing.T) *jobKeeper {
	t.Helper()
	a := &jobKeeper{posts: map[string]int{}, statuses: map[string]string{}}
	a.Server = httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.Close)
	return a
}

func (a *jobKeeper) env() []string {
	return []string{"DOCSTREAM_SERVER=" + a.URL, "DOCSTREAM_API_KEY=good"}
}

func (a *jobKeeper) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case r.URL.Path == "/api/v1/usage":
		fmt.Fprint(w, `{"tenant":"acme","pages":10,"cost_nano_dollars":20000000}`)
	case r.URL.Path == "/api/v1/jobs/status":
		var in struct {
			JobIDs []string `json:"job_ids"`
		}
		_ = json.NewDecoder(r.Body).Decode(&in)
		var jobs []string
		for _, id := range in.JobIDs {
			jobs = append(jobs, fmt.Sprintf(`{"job_id":%q,"status":%q,"progress":{"pages_done":1},"error":{"code":"X","message":"Said why."}}`, id, a.statuses[id]))
		}
		fmt.Fprintf(w, `{"jobs":[%s],"missing":[],"deleted":[]}`, strings.Join(jobs, ","))
	case r.URL.Path == "/api/v1/documents":
		a.submit(w, r)
	default:
		id := strings.TrimPrefix(r.URL.Path, "/api/v1/jobs/")
		if a.statuses[id] == "" {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":{"code":"JOB_NOT_FOUND","message":"No such job exists."}}`)
			return
		}
		fmt.Fprintf(w, `{"job_id":%q,"status":%q,"progress":{"pages_done":1}}`, id, a.statuses[id])
	}
}

func (a *jobKeeper) submit(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	body := string(b)
	refuse := func(status int, code string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"code":%q,"message":"No."}}`, code)
	}
	if a.busy > 0 {
		a.busy--
		w.Header().Set("Retry-After", "0")
		refuse(http.StatusTooManyRequests, "RATE_LIMITED")
		return
	}
	switch {
	case strings.Contains(body, "spent"):
		w.Header().Set("Retry-After", "40000")
		refuse(http.StatusTooManyRequests, "QUOTA_EXCEEDED")
		return
	case strings.Contains(body, "foreign"):
		refuse(http.StatusForbidden, "SOURCE_FORBIDDEN")
		return
	case strings.Contains(body, `name="dry_run"`), strings.Contains(body, `"dry_run"`):
		pages := "null"
		if strings.Contains(body, "picture") {
			pages = "1"
		}
		fmt.Fprintf(w, `{"dry_run":true,"size":7,"pages":%s}`, pages)
		return
	}
	a.bodies = append(a.bodies, body)
	id := schemas.JobIDFor("idempotency", "acme", r.Header.Get("Idempotency-Key"))
	a.posts[id]++
	status := "completed"
	for _, s := range []string{"partial", "failed"} {
		if strings.Contains(body, s) {
			status = s
		}
	}
	a.statuses[id] = status
	if a.stop != nil {
		a.stop(len(a.posts))
	}
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(w, `{"job_id":%q,"status":"pending"}`, id)
}

// filesIn writes files by name.
func filesIn(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func ingested(t *testing.T, code, want int, out, errs string) *counts {
	t.Helper()
	got := &counts{}
	if code != want || json.Unmarshal([]byte(out), got) != nil {
		t.Fatalf("exit %d, not %d: %q %q", code, want, out, errs)
	}
	return got
}

func TestAFolderIsIngestedAndSummedUp(t *testing.T) {
	a := newJobKeeper(t)
	a.busy = 2
	dir := filesIn(t, map[string]string{"a.txt": "one", "deep/b.txt": "two", "deep/c.txt": "partial", ".hidden": "x", ".git/x": "y"})
	code, out, errs := run(t, a.env(), "ingest", dir)
	if code != exitPartial || !strings.HasPrefix(out, "3 documents: 2 completed, 1 partial; 3 submitted now, 0 before; 3 pages") || !strings.Contains(errs, "c.txt") {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
	for _, b := range a.bodies {
		if !strings.Contains(b, "low") {
			t.Errorf("it is not in the low lane: %s", b)
		}
	}
	code, out, errs = run(t, a.env(), "ingest", dir, "--json")
	if got := ingested(t, code, exitPartial, out, errs); got.Known != 3 || got.Submitted != 0 || len(a.bodies) != 3 {
		t.Errorf("again: %+v, %d submissions", &got, len(a.bodies))
	}
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs = run(t, a.env(), "ingest", dir, "--json")
	if got := ingested(t, code, exitPartial, out, errs); got.Known != 2 || got.Submitted != 1 {
		t.Errorf("after a change: %+v", &got)
	}
	code, out, errs = run(t, a.env(), "ingest", dir, "--json", "--as", "second")
	if got := ingested(t, code, exitPartial, out, errs); got.Submitted != 3 {
		t.Errorf("under another name: %+v", &got)
	}
}

func TestAnIngestionThatWasStoppedGoesOn(t *testing.T) {
	a := newJobKeeper(t)
	files := map[string]string{}
	for i := range 40 {
		files[fmt.Sprintf("%02d.txt", i)] = fmt.Sprint("text ", i)
	}
	dir := filesIn(t, files)
	ctx, cancel := context.WithCancel(t.Context())
	a.stop = func(n int) { // the answer to this one is never heard
		if n == 17 {
			cancel()
		}
	}
	var out, errs bytes.Buffer
	m := Main{Version: "test", Env: append([]string{"HOME=" + t.TempDir()}, a.env()...)}
	if code := m.Run(ctx, []string{"ingest", dir}, strings.NewReader(""), &out, &errs); code != exitInterrupted || !strings.Contains(out.String(), "not ended") {
		t.Fatalf("exit %d: %s %s", code, &out, &errs)
	}
	code, said, why := run(t, a.env(), "ingest", dir, "--json")
	got := ingested(t, code, exitDone, said, why)
	if got.Known < 17 || got.Known+got.Submitted != 40 || got.Statuses["completed"] != 40 {
		t.Errorf("%+v", &got)
	}
	if len(a.posts) != 40 { // by their keys: one that was under way when the first was stopped may be asked for again, which makes no other job
		t.Errorf("%d jobs", len(a.posts))
	}
}

func TestAManifestNamesDocumentsOfEveryKind(t *testing.T) {
	a := newJobKeeper(t)
	dir := filesIn(t, map[string]string{"in/a.txt": "one", "list.jsonl": `{"path":"in/a.txt","custom_id":"A-1","metadata":{"box":"7"}}
{"url":"https://example.org/b.pdf","filename":"b.pdf"}

{"s3":"s3://scans/in/c.pdf"}
{"s3":"s3://foreign/in/c.pdf"}
{"path":"in/a.txt","custom_id":"A-1","metadata":{"box":"7"}}
{"path":"in/gone.txt"}
`})
	code, out, errs := run(t, a.env(), "ingest", filepath.Join(dir, "list.jsonl"), "--json", "--rate", "1000/s", "--parallel", "1")
	got := ingested(t, code, exitFailed, out, errs)
	if got.Documents != 6 || got.Submitted != 3 || got.Known != 1 || got.Refused != 2 || got.Statuses["completed"] != 4 {
		t.Errorf("%+v: %s", &got, errs)
	}
	all := strings.Join(a.bodies, "\n")
	for _, want := range []string{`{"box":"7","custom_id":"A-1"}`, `"url":"https://example.org/b.pdf"`, `"s3":{"bucket":"scans","key":"in/c.pdf"}`, `"priority":"low"`} {
		if !strings.Contains(all, want) {
			t.Errorf("nothing says %s in %s", want, all)
		}
	}
}

func TestAnIngestionStopsWhereNothingElseWouldBeTaken(t *testing.T) {
	a := newJobKeeper(t)
	for name, c := range map[string]struct {
		files map[string]string
		env   []string
		args  []string
		code  int
		want  string
	}{
		"a mistake in a manifest":    {map[string]string{"m.jsonl": "{\"path\":\"a\"}\n{\"file\":\"b\"}"}, a.env(), []string{"m.jsonl"}, exitUsage, "m.jsonl:2: "},
		"two sources in one line":    {map[string]string{"m.jsonl": `{"path":"a","url":"https://x.test"}`}, a.env(), []string{"m.jsonl"}, exitUsage, "name one source"},
		"half an object":             {map[string]string{"m.jsonl": `{"s3":"s3://bucket"}`}, a.env(), []string{"m.jsonl"}, exitUsage, "is no s3://bucket/key"},
		"a line without an end":      {map[string]string{"m.jsonl": strings.Repeat("x", maxLine+1)}, a.env(), []string{"m.jsonl"}, exitUsage, "m.jsonl:1: "},
		"a folder that is not there": {nil, a.env(), []string{"none"}, exitFailed, "no such file"},
		"no rate":                    {nil, a.env(), []string{".", "--rate", "fast"}, exitUsage, "--rate reads like"},
		"no worker":                  {nil, a.env(), []string{".", "--parallel", "0"}, exitUsage, "--parallel"},
		"a quota that is used up":    {map[string]string{"a.txt": "spent"}, a.env(), []string{"."}, exitFailed, "QUOTA_EXCEEDED"},
		"nobody there":               {map[string]string{"a.txt": "x"}, []string{"DOCSTREAM_SERVER=http://" + strings.Repeat("x", 70) + ".invalid:bad"}, []string{"."}, exitUsage, "is no URL"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filesIn(t, c.files)
			code, _, errs := run(t, c.env, append([]string{"ingest", filepath.Join(dir, c.args[0])}, c.args[1:]...)...)
			if code != c.code || !strings.Contains(errs, c.want) {
				t.Errorf("exit %d, %q", code, errs)
			}
		})
	}
	if len(a.bodies) != 0 {
		t.Errorf("%d documents were submitted", len(a.bodies))
	}
}

func TestADryIngestionSubmitsNothing(t *testing.T) {
	a := newJobKeeper(t)
	dir := filesIn(t, map[string]string{"a.png": "picture", "b.pdf": "text", "list.ndjson": `{"url":"https://example.org/b.pdf"}`})
	code, out, errs := run(t, a.env(), "ingest", filepath.Join(dir, "a.png"), filepath.Join(dir, "b.pdf"), filepath.Join(dir, "list.ndjson"), "--dry-run")
	if code != exitDone || !strings.HasPrefix(out, "3 documents, 14 bytes: 1 pages, and the pages of 2 documents that only opening them would tell; 0 refused; 0.0020 USD") || len(a.bodies) != 0 {
		t.Errorf("exit %d, %q, %q, %d submitted", code, out, errs, len(a.bodies))
	}
}

func TestABarSaysHowFastAndHowLong(t *testing.T) {
	began := time.Now()
	c := &counts{began: began, Documents: 100, Known: 10, Refused: 1, Statuses: map[string]int{"completed": 45, "failed": 4}}
	if got := c.line(began.Add(10*time.Second), false); got != "[===============               ] 50/100 4.0/s 13s left 5 failed" {
		t.Errorf("%q", got)
	}
	if got := c.line(began.Add(10*time.Second), true); !strings.HasSuffix(got, "\x1b[31m5 failed\x1b[0m") {
		t.Errorf("%q", got)
	}
}
