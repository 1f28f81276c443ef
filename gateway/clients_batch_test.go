package gateway_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"docstream/gateway"
	docstream "docstream/gateway/clients/go"
	"docstream/internal/blob"
	"docstream/internal/testenv"
	"docstream/schemas"
)

// batchWith creates a batch, follows it to its end and writes how it and its items ended.
func batchWith(t *testing.T, c *docstream.Client, lines string, out io.StringWriter) error {
	b, err := c.CreateBatch(t.Context(), docstream.Items{Body: strings.NewReader(lines), Size: int64(len(lines)), Options: map[string]string{"priority": "low"}})
	if err != nil {
		return err
	}
	seen := 0
	last, err := c.FollowBatch(t.Context(), b.ID, func(docstream.Batch) error { seen++; return nil })
	if err != nil || seen == 0 || last.ID != b.ID {
		return fmt.Errorf("%+v after %d sights: %w", last, seen, err)
	}
	all, err := c.Batches(t.Context())
	if err != nil || len(all) != 1 || all[0].ID != b.ID {
		t.Errorf("the batches are %+v: %v", all, err)
	}
	_, _ = out.WriteString(last.Status)
	for i, err := range c.BatchItems(t.Context(), b.ID, "") {
		if err != nil {
			return err
		}
		how := i.Status
		if i.Error != nil {
			how = i.Error.Code
		}
		_, _ = out.WriteString(" " + i.CustomID + "=" + how)
	}
	return nil
}

// uploadWith hands a file in past the gateway.
func uploadWith(t *testing.T, c *docstream.Client, path string) (docstream.Job, error) {
	f, err := os.Open(path)
	if err != nil {
		return docstream.Job{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return docstream.Job{}, err
	}
	sent := int64(0)
	d := docstream.Document{Body: f, Size: info.Size(), Filename: filepath.Base(path), Priority: "high", Metadata: map[string]string{"order": "7"}}
	j, err := c.Upload(t.Context(), d, func(n int64) { sent = n })
	if err == nil && sent != info.Size() {
		t.Errorf("%d bytes sent of %d", sent, info.Size())
	}
	return j, err
}

// TestABatchOfAClientIsOneBatch: also where the answers that accepted it were lost. Who follows it sees its end, and every item.
func TestABatchOfAClientIsOneBatch(t *testing.T) {
	for name, ask := range clients {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			r := w.replica(nil)
			r.feeds()
			token := w.key("acme")
			way := newWireless(t, r.url, func(n int, r *http.Request) (int64, bool) { return int64(n), n < 3 && r.Method == http.MethodPost })
			said := make(chan string, 1)
			go func() {
				said <- ask(t, way.URL, token, "batch", jsonLines(2)+`{"custom_id":"bad","url":"http://10.0.0.1/"}`+"\n")
			}()
			var got string
			for got == "" {
				var page struct{ Batches []shownBatch }
				r.get(token, "/api/v1/batches").into(t, &page)
				if len(page.Batches) > 1 {
					t.Fatalf("%d batches", len(page.Batches))
				}
				for _, b := range page.Batches {
					r.ended(token, b.BatchID, schemas.Completed)
				}
				select {
				case got = <-said:
				case <-time.After(200 * time.Millisecond):
				}
			}
			if got != "completed item 0=completed item 1=completed bad=URL_BLOCKED" {
				t.Errorf("it saw %q", got)
			}
		})
	}
}

// shaky lies before an object store and refuses, or breaks off, the first two attempts to write each object or part.
func shaky(t *testing.T, to string) *httptest.Server {
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		ErrorLog: log.New(io.Discard, "", 0), // what breaks off is meant to
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
	}
	var mu sync.Mutex
	tries := map[string]int{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("the store is shown %s", r.Header.Get("Authorization"))
		}
		mu.Lock()
		tries[r.URL.String()]++
		n := tries[r.URL.String()]
		mu.Unlock()
		switch n {
		case 1:
			http.Error(w, "slow down", http.StatusServiceUnavailable)
		case 2:
			panic(http.ErrAbortHandler)
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(s.Close)
	return s
}

// TestAnUploadOfAClientPassesTheGateway: its bytes go to the store, whole or in parts, again where that fails, and without the key.
func TestAnUploadOfAClientPassesTheGateway(t *testing.T) {
	for name, ask := range clients {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			cfg := testenv.S3(t)
			cfg.Public = shaky(t, cfg.Endpoint).URL
			store, err := blob.Open(cfg, nil)
			if err != nil {
				t.Fatal(err)
			}
			r := w.replicaOn(store, func(c *gateway.Config) { c.UploadPartBytes = 5 << 20 })
			r.gateway.TakeUploads(store)
			token := w.key("acme")
			for form, size := range map[string]int{"whole": 1000, "in parts": 6 << 20} {
				path := filepath.Join(t.TempDir(), "a.txt")
				if err := os.WriteFile(path, []byte(strings.Repeat("a line of text.\n", size/16)), 0o600); err != nil {
					t.Fatal(err)
				}
				job := ask(t, r.url, token, "upload", path)
				a := r.get(token, "/api/v1/jobs/"+job)
				var j struct {
					Priority string            `json:"priority"`
					Metadata map[string]string `json:"metadata"`
					Source   struct {
						Filename string `json:"filename"`
						Size     int    `json:"size"`
					} `json:"source"`
				}
				a.into(t, &j)
				if a.StatusCode != http.StatusOK || j.Priority != "high" || j.Metadata["order"] != "7" || j.Source.Filename != "a.txt" || j.Source.Size != size/16*16 {
					t.Errorf("%s: %s is %d %s", form, job, a.StatusCode, a.body)
				}
			}
		})
	}
}
