package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// batchKeeper plays a gateway that keeps batches by Idempotency-Key; each look at one ends one more of its items.
type batchKeeper struct {
	*httptest.Server
	mu      sync.Mutex
	bodies  map[string]string // by key: type, query and body as they came
	lost    int               // answers to creations that never arrive
	ended   int
	partial bool
	stopped bool
}

func newBatchKeeper(t *testing.T) *batchKeeper {
	t.Helper()
	a := &batchKeeper{bodies: map[string]string{}}
	a.Server = httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.Close)
	return a
}

func (a *batchKeeper) env() []string {
	return []string{"DOCSTREAM_SERVER=" + a.URL, "DOCSTREAM_API_KEY=good"}
}

const batchID = "bat_00000000000000000000000000"

func (a *batchKeeper) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/api/v1/batches")
	switch {
	case path == "" && r.Method == http.MethodPost:
		b, _ := io.ReadAll(r.Body)
		a.bodies[r.Header.Get("Idempotency-Key")] = r.Header.Get("Content-Type") + " " + r.URL.RawQuery + " " + string(b)
		if a.lost > 0 {
			a.lost--
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	case path == "/"+batchID+"/items":
		a.items(w, r)
		return
	case path == "/"+batchID+"/cancel" && r.Method == http.MethodPost:
		a.stopped = true
		w.WriteHeader(http.StatusAccepted)
	case path != "/"+batchID:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error":{"code":"BATCH_NOT_FOUND","message":"No such batch exists."}}`)
		return
	default:
		a.ended = min(2, a.ended+1)
	}
	status, last := "running", "completed"
	if a.partial {
		last = "partial"
	}
	if a.ended == 2 {
		status = "completed"
	}
	counts := map[string]int{"waiting": 2 - a.ended, "completed": min(a.ended, 1)}
	if a.ended == 2 {
		counts[last]++
	}
	text, _ := json.Marshal(counts)
	fmt.Fprintf(w, `{"batch_id":%q,"status":%q,"items":2,"percent":%d,"counts":%s,"cancelling":%t}`, batchID, status, 50*a.ended, text, a.stopped)
}

func (a *batchKeeper) items(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("status") == "refused" {
		fmt.Fprint(w, `{"items":[]}`)
		return
	}
	if r.URL.Query().Get("cursor") == "" {
		fmt.Fprint(w, `{"items":[{"item":1,"custom_id":"first","status":"completed","job_id":"job_1"}],"next_cursor":"1"}`)
		return
	}
	fmt.Fprint(w, `{"items":[{"item":2,"custom_id":"second","status":"refused","error":{"code":"URL_BLOCKED","message":"No."}}]}`)
}

func TestABatchIsCreatedOnceWhateverItIsMadeOf(t *testing.T) {
	dir := filesIn(t, map[string]string{"a.jsonl": `{"custom_id":"x"}`, "b.ZIP": "PK", "c.txt": "no"})
	for name, c := range map[string]struct{ from, want string }{
		"lines":    {filepath.Join(dir, "a.jsonl"), `application/jsonl output_formats=text&priority=low {"custom_id":"x"}`},
		"a zip":    {filepath.Join(dir, "b.ZIP"), "application/zip output_formats=text&priority=low PK"},
		"a bucket": {"s3://scans/in/", `application/json output_formats=text&priority=low {"s3":{"bucket":"scans","prefix":"in/"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			a := newBatchKeeper(t)
			a.lost = 1
			code, out, errs := run(t, a.env(), "batch", "create", c.from, "--priority", "low", "--formats", "text")
			if code != exitDone || out != batchID+"\n" || len(a.bodies) != 1 {
				t.Fatalf("exit %d, %q %q, %d keys", code, out, errs, len(a.bodies))
			}
			for key, body := range a.bodies {
				if key == "" || body != c.want {
					t.Errorf("under %q it sent %q", key, body)
				}
			}
		})
	}
	if code, _, errs := run(t, nil, "batch", "create", filepath.Join(dir, "c.txt")); code != exitUsage || !strings.Contains(errs, ".jsonl") {
		t.Errorf("exit %d %q", code, errs)
	}
	a := newBatchKeeper(t)
	if code, _, errs := run(t, a.env(), "batch", "create", filepath.Join(dir, "missing.zip")); code != exitFailed || !strings.Contains(errs, "missing.zip") {
		t.Errorf("exit %d %q", code, errs)
	}
	if code, _, _ := run(t, a.env(), "batch", "create", filepath.Join(dir, "a.jsonl"), "--key", "monday"); code != exitDone || a.bodies["monday"] == "" {
		t.Errorf("exit %d, %v", code, a.bodies)
	}
}

func TestABatchIsFollowedToItsEnd(t *testing.T) {
	file := filepath.Join(filesIn(t, map[string]string{"a.jsonl": "{}"}), "a.jsonl")
	for want, partial := range map[int]bool{exitDone: false, exitPartial: true} {
		a := newBatchKeeper(t)
		a.partial = partial
		code, out, errs := run(t, a.env(), "batch", "create", file, "--wait")
		if code != want || !strings.HasPrefix(out, batchID+"  completed  100 %  2 items: ") {
			t.Errorf("exit %d, %q %q", code, out, errs)
		}
	}
}

func TestABatchIsLookedAtAndCancelled(t *testing.T) {
	a := newBatchKeeper(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"status", batchID}, batchID + "  running  50 %  2 items: 1 completed, 1 waiting\n"},
		{[]string{"items", batchID}, "first  completed  job_1\nsecond  refused  No. (URL_BLOCKED)\n"},
		{[]string{"items", batchID, "--status", "refused"}, ""},
		{[]string{"cancel", batchID}, batchID + "  cancelling  50 %  2 items: 1 completed, 1 waiting\n"},
	} {
		if code, out, errs := run(t, a.env(), append([]string{"batch"}, c.args...)...); code != exitDone || out != c.want {
			t.Errorf("%v: exit %d, %q %q", c.args, code, out, errs)
		}
	}
	var all []struct {
		CustomID string `json:"custom_id"`
	}
	code, out, _ := run(t, a.env(), "batch", "items", batchID, "--json")
	if code != exitDone || json.Unmarshal([]byte(out), &all) != nil || len(all) != 2 || all[1].CustomID != "second" {
		t.Errorf("exit %d, %q", code, out)
	}
	for _, verb := range []string{"status", "items", "cancel"} {
		if code, _, errs := run(t, a.env(), "batch", verb, "bat_nothing"); code != exitNotFound || !strings.Contains(errs, "BATCH_NOT_FOUND") {
			t.Errorf("%s: exit %d %q", verb, code, errs)
		}
	}
	if code, _, _ := run(t, nil, "batch"); code != exitUsage {
		t.Errorf("exit %d", code)
	}
}
