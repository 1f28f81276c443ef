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
	"testing"
)

// run runs the very program in a home folder of its own.
func run(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	m := Main{Version: "test", Env: append([]string{"HOME=" + t.TempDir()}, env...)}
	code = m.Run(context.Background(), args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// A connector's configuration, for the command line.
const (
	houseKey = "house_key.secret=kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
	aBucket  = `prepare.buckets=[{"tenant":"acme","bucket":"scans"}]`
	aRule    = `connectors.s3.rules=[{"tenant":"acme","bucket":"scans","prefix":"in/"}]`
)

func TestWrongUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"nonsense"}, "unknown command"},
		{[]string{"--nonsense"}, "unknown flag"},
		{[]string{"submit"}, "requires at least 1 arg"},
		{[]string{"status"}, "accepts 1 arg"},
		{[]string{"result", "x", "-o", "pdf"}, "-o must be one of markdown, json, html, csv, text"},
		{[]string{"submit", "x", "-o", "pdf"}, "-o must be one of"},
		{[]string{"processor"}, "--stages is missing"},
		{[]string{"processor", "--stages", "prepare,nothing"}, "--stages must be one of"},
		{[]string{"processor", "--stages", "ocr", "--class", "tpu"}, "--class must be one of cpu, gpu"},
		{[]string{"processor", "--stages", "track"}, "house_key.secret is not set"},
		{[]string{"sink"}, "house_key.secret is not set"},
		{[]string{"connector"}, "say connector s3"},
		{[]string{"connector", "s3"}, "--from is missing"},
		{[]string{"connector", "s3", "--from", "web"}, "--from must be one of sqs, kafka"},
		{[]string{"connector", "s3", "--from", "sqs"}, "house_key.secret is not set"},
		{[]string{"connector", "s3", "--from", "sqs", "--set", houseKey}, "connectors.s3.rules is empty"},
		{[]string{"connector", "s3", "--from", "sqs", "--set", houseKey, "--set", aBucket, "--set", aRule}, "connectors.s3.queue is not set"},
		{[]string{"connector", "s3", "--from", "kafka", "--set", houseKey, "--set", aBucket, "--set", aRule}, "connectors.s3.topic is not set"},
		{[]string{"connector", "s3", "--from", "kafka", "--set", houseKey, "--set", aRule}, "has no bucket scans"},
		{[]string{"connector", "s3", "scan", "--set", houseKey}, "no bucket to scan"},
		{[]string{"topology", "--format", "svg"}, "--format must be one of"},
		{[]string{"dev", "--kafka", "x:1"}, "--kafka and --registry go together"},
		{[]string{"dev", "--workers", "0"}, "--workers must be at least 1"},
		{[]string{"config", "--set", "a.b=c"}, "unknown key a.b"},
		{[]string{"sample", "--out", "x", "--pages", "0"}, "pages must be 1 to 5000"},
		{[]string{"bench"}, "say bench engine, bench ocr or bench e2e"},
		{[]string{"bench", "engine"}, "name a FILE or say --pages N"},
		{[]string{"topics"}, "say topics apply or topics list"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			code, out, errs := run(t, nil, c.args...)
			if code != exitUsage || !strings.Contains(errs, c.want) || out != "" {
				t.Errorf("exit %d, out %q, err %q", code, out, errs)
			}
			if strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "docstream: ") {
				t.Errorf("the error is not one plain line: %q", errs)
			}
		})
	}
}

func TestNoServiceIsRunning(t *testing.T) {
	for _, args := range [][]string{{"status", "job_x"}, {"submit", "x"}, {"sql", "SELECT 1"}, {"topics", "list"}, {"lag"}, {"doctor"}} {
		if code, _, errs := run(t, nil, args...); code != exitUnreachable || !strings.Contains(errs, "no service is running in") {
			t.Errorf("%v: exit %d, %q", args, code, errs)
		}
	}
	dir := t.TempDir() // a dev.json whose process is gone
	if err := os.WriteFile(filepath.Join(dir, "dev.json"), []byte(`{"api":"http://127.0.0.1:1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := run(t, nil, "status", "job_x", "--data", dir); code != exitUnreachable || !strings.Contains(errs, "no service is running in") {
		t.Errorf("stale: exit %d, %q", code, errs)
	}
	if code, _, errs := run(t, []string{"DOCSTREAM_SERVER=http://127.0.0.1:1", "DOCSTREAM_API_KEY=k"}, "status", "job_x"); code != exitUnreachable || !strings.Contains(errs, "cannot be reached") {
		t.Errorf("refused: exit %d, %q", code, errs)
	}
	if code, _, _ := run(t, []string{"DOCSTREAM_SERVER=http://127.0.0.1:1"}, "status", "job_x"); code != exitUnauthorised {
		t.Errorf("no key: exit %d", code)
	}
}

func TestHelpAndVersion(t *testing.T) {
	if code, out, _ := run(t, nil, "--help"); code != 0 || !strings.Contains(out, "Exit codes:") || strings.Contains(out, "engine") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, out, _ := run(t, nil, "version"); code != 0 || !strings.HasPrefix(out, "docstream test ") {
		t.Errorf("exit %d %q", code, out)
	}
	var v map[string]string
	if code, out, _ := run(t, nil, "version", "--json"); code != 0 || json.Unmarshal([]byte(out), &v) != nil || v["version"] != "test" {
		t.Errorf("exit %d %q", code, out)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if code, out, _ := run(t, nil, "completion", shell); code != 0 || !strings.Contains(out, "docstream") {
			t.Errorf("completion %s: exit %d", shell, code)
		}
	}
}

// gatewayDouble plays the gateway for the client commands.
func gatewayDouble(t *testing.T) (env []string, asked *[]string) {
	t.Helper()
	asked = &[]string{}
	busy := 1
	statuses := map[string]string{
		"job_done":    `{"job_id":"job_done","status":"completed","progress":{"pages_total":3,"pages_done":3,"percent":100}}`,
		"job_partial": `{"job_id":"job_partial","status":"partial","progress":{"pages_total":3,"pages_done":2,"pages_failed":1}}`,
		"job_failed":  `{"job_id":"job_failed","status":"failed","error":{"code":"DOCUMENT_ENCRYPTED","message":"The document needs a password."}}`,
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.Method+" "+r.URL.String())
		id := strings.Split(strings.TrimPrefix(r.URL.Path, "/api/v1/jobs/"), "/")[0]
		switch {
		case r.Header.Get("Authorization") != "Bearer good":
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":{"code":"API_KEY_INVALID","message":"The API key is not valid."}}`)
		case r.Method == http.MethodPost && busy > 0:
			busy--
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.Method == http.MethodPost:
			f, h, err := r.FormFile("file")
			if err != nil || r.ContentLength < 0 || r.Header.Get("Idempotency-Key") == "" {
				t.Errorf("upload: %v, length %d", err, r.ContentLength)
			}
			b, _ := io.ReadAll(f)
			w.WriteHeader(http.StatusAccepted)
			fmt.Fprintf(w, `{"job_id":"job_%s","status":"pending","name":%q,"priority":%q}`, b, h.Filename, r.FormValue("priority"))
		case statuses[id] == "":
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":{"code":"JOB_NOT_FOUND","message":"No such job exists."}}`)
		case strings.HasSuffix(r.URL.Path, "/result"):
			fmt.Fprintf(w, "%s as %s\n", id, r.URL.Query().Get("format"))
		default:
			fmt.Fprint(w, statuses[id])
		}
	}))
	t.Cleanup(s.Close)
	return []string{"DOCSTREAM_SERVER=" + s.URL, "DOCSTREAM_API_KEY=good"}, asked
}

func TestClientCommands(t *testing.T) {
	env, _ := gatewayDouble(t)
	doc := func(outcome string) string {
		path := filepath.Join(t.TempDir(), outcome+".pdf")
		if err := os.WriteFile(path, []byte(outcome), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{[]string{"submit", doc("done")}, exitDone, "job_done\n", ""},
		{[]string{"submit", doc("done"), "--wait"}, exitDone, "job_done as markdown\n", ""},
		{[]string{"submit", doc("done"), "-o", "csv", "--priority", "high"}, exitDone, "job_done as csv\n", ""},
		{[]string{"submit", doc("partial"), "--wait"}, exitPartial, "job_partial as markdown\n", "job job_partial partial"},
		{[]string{"submit", doc("failed"), "--wait"}, exitFailed, "", "DOCUMENT_ENCRYPTED"},
		{[]string{"submit", doc("partial"), doc("failed"), doc("done"), "--wait"}, exitFailed, "job_partial as markdown\njob_done as markdown\n", "job_failed"},
		{[]string{"submit", filepath.Join(t.TempDir(), "none")}, exitFailed, "", "no such file"},
		{[]string{"submit", t.TempDir()}, exitUsage, "", "is a folder"},
		{[]string{"status", "job_done"}, exitDone, "job_done  completed  3 of 3 pages\n", ""},
		{[]string{"status", "job_partial"}, exitDone, "job_partial  partial  2 of 3 pages, 1 failed\n", ""},
		{[]string{"status", "job_none"}, exitNotFound, "", "No such job exists. (JOB_NOT_FOUND)"},
		{[]string{"result", "job_done", "-o", "html"}, exitDone, "job_done as html\n", ""},
		{[]string{"result", "job_done", "--json"}, exitDone, "job_done as json\n", ""},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			code, out, errs := run(t, env, c.args...)
			if code != c.code || out != c.stdout || !strings.Contains(errs, c.stderr) || (c.stderr == "" && errs != "") {
				t.Errorf("exit %d, out %q, err %q", code, out, errs)
			}
		})
	}
	if code, _, errs := run(t, []string{env[0], "DOCSTREAM_API_KEY=bad"}, "status", "job_done"); code != exitUnauthorised || !strings.Contains(errs, "API_KEY_INVALID") {
		t.Errorf("bad key: exit %d, %q", code, errs)
	}
}

func TestJSONIsData(t *testing.T) {
	env, _ := gatewayDouble(t)
	code, out, errs := run(t, env, "status", "job_failed", "--json")
	var j map[string]any
	if code != 0 || errs != "" || json.Unmarshal([]byte(out), &j) != nil || j["status"] != "failed" {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
}

func TestSampleCommandWritesDocumentAndTruth(t *testing.T) {
	dir := t.TempDir()
	out, truth := filepath.Join(dir, "a.pdf"), filepath.Join(dir, "a.txt")
	if code, _, errs := run(t, nil, "sample", "--out", out, "--truth", truth, "--pages", "2", "--text-layer"); code != 0 {
		t.Fatal(errs)
	}
	b, err := os.ReadFile(out)
	if err != nil || !bytes.HasPrefix(b, []byte("%PDF-")) {
		t.Errorf("%v, %.8q", err, b)
	}
	if b, err := os.ReadFile(truth); err != nil || !strings.Contains(string(b), "River Gauges") {
		t.Errorf("%v, %q", err, b)
	}
}

func TestOnlyATerminalSeesProgress(t *testing.T) {
	j := job{Status: "processing"}
	j.Progress.PagesTotal, j.Progress.PagesDone, j.Progress.PagesFailed = 20, 9, 1
	if got, want := bar(j), "["+strings.Repeat("=", 15)+strings.Repeat(" ", 15)+"] 10/20 processing"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if terminal(&bytes.Buffer{}) {
		t.Error("a buffer is no terminal")
	}
}
