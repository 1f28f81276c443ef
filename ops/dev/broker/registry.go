package broker

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// maxRegistryBody bounds one registry request; the largest of our schemas is a few kilobytes.
const maxRegistryBody = 4 << 20

// registry is the fake schema registry with a memory. The fake hands out ids and versions in the order in which it is
// asked, so a journal of the requests that changed it, played back in that order, gives every schema its id again.
// A change is on disk before its answer is sent. Compatibility is not enforced: docstream checks its own schemas.
type registry struct {
	fake *srfake.Registry

	mu      sync.Mutex // one change at a time: the journal's order is the order of the ids
	journal *os.File
}

// change is one line of the journal.
type change struct {
	Method string `json:"method"`
	Target string `json:"target"`
	Body   string `json:"body,omitempty"`
}

// openRegistry plays the journal back into a new registry. A torn last line is cut off and said; any other line that
// cannot be played is an error, because every id after it would be another schema's.
func openRegistry(path string, log *slog.Logger) (*registry, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	r := &registry{fake: srfake.NewRegistry(), journal: f}
	good, err := r.replay(f)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	if size, err := f.Seek(0, io.SeekEnd); err == nil && size > good {
		log.Warn("schema journal: cutting off a torn last line", "bytes", size-good)
		if err := f.Truncate(good); err != nil {
			_ = f.Close()
			return nil, err
		}
	}
	if _, err := f.Seek(good, io.SeekStart); err != nil {
		_ = f.Close()
		return nil, err
	}
	return r, nil
}

// replay returns where the last whole line ends.
func (r *registry) replay(f io.Reader) (int64, error) {
	var good int64
	lines := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err != nil { // the rest has no line end: nothing, or torn
			return good, nil
		}
		var c change
		if err := json.Unmarshal(line, &c); err != nil {
			return 0, fmt.Errorf("schema journal, line %d: %w", n, err)
		}
		answer := r.ask(c)
		if answer.status >= http.StatusBadRequest {
			return 0, fmt.Errorf("schema journal, line %d: %s %s answers %d: %s", n, c.Method, c.Target,
				answer.status, bytes.TrimSpace(answer.body.Bytes()))
		}
		good += int64(len(line))
	}
}

// ServeHTTP answers reads straight from the fake, and changes one at a time through the journal.
func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !changes(req) {
		r.fake.Handler().ServeHTTP(w, req)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxRegistryBody))
	if err != nil {
		http.Error(w, `{"error_code":42201,"message":"request body too large or unreadable"}`, http.StatusRequestEntityTooLarge)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c := change{Method: req.Method, Target: req.URL.RequestURI(), Body: string(body)}
	answer := r.ask(c)
	if answer.status < http.StatusBadRequest {
		if err := r.write(c); err != nil {
			http.Error(w, `{"error_code":50001,"message":"the registry cannot write its journal"}`, http.StatusInternalServerError)
			return
		}
	}
	for k, v := range answer.header {
		w.Header()[k] = v
	}
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body.Bytes())
}

// Close releases the journal.
func (r *registry) Close() { _ = r.journal.Close() }

// changes tells the requests that alter the registry. Look-ups and compatibility checks are POST too.
func changes(req *http.Request) bool {
	switch req.Method {
	case http.MethodPost:
		return strings.HasSuffix(req.URL.Path, "/versions") && !strings.Contains(req.URL.Path, "compatibility/")
	case http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

func (r *registry) write(c change) error {
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if _, err := r.journal.Write(append(line, '\n')); err != nil {
		return err
	}
	return r.journal.Sync()
}

// ask puts one request to the fake and keeps its answer.
func (r *registry) ask(c change) *answer {
	a := &answer{header: http.Header{}, status: http.StatusOK}
	req, err := http.NewRequest(c.Method, c.Target, strings.NewReader(c.Body))
	if err != nil {
		a.status = http.StatusBadRequest
		return a
	}
	req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	r.fake.Handler().ServeHTTP(a, req)
	return a
}

// answer is a response kept in memory.
type answer struct {
	header http.Header
	body   bytes.Buffer
	status int
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }
func (a *answer) WriteHeader(status int)      { a.status = status }
