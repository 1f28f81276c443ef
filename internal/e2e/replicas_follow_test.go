package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// follow submits a job and follows it over as many connections as it takes: each goes on after the last event of the one before, nothing
// comes twice or out of order, and the last one is the end.
func (m *mixed) follow(n int) {
	id, ok := m.accept("follow", n)
	if !ok {
		return
	}
	f := &follower{m: m, id: id}
	for tries := 0; m.ctx.Err() == nil && !f.over; tries++ {
		if tries == 100 {
			m.p.t.Errorf("%s was not followed to its end in %d connections", id, tries)
			return
		}
		f.connect()
	}
}

// follower is what one client has of a job's events.
type follower struct {
	m       *mixed
	id      string
	last    string // id of the last event
	version int64
	over    bool
}

// connect reads one connection to its end. A connection may end early, as where a gateway goes; it must not begin with a refusal.
func (f *follower) connect() {
	began := time.Now()
	ctx, cancel := context.WithTimeout(f.m.ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.m.p.dev.API+"/api/v1/jobs/"+f.id+"/events", nil)
	if err != nil {
		f.m.p.t.Error(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+f.m.p.dev.APIKey)
	if f.last != "" {
		req.Header.Set("Last-Event-ID", f.last)
	}
	res, err := http.DefaultClient.Do(req)
	if f.m.ctx.Err() != nil {
		return
	}
	if err != nil {
		f.m.mistake("follow", began, err.Error())
		return
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		f.m.count("follow")
		f.read(bufio.NewScanner(res.Body))
	case http.StatusNoContent: // nothing came after the last event: it was the end
		f.m.count("follow")
		f.over = true
		if f.m.status(f.id) == "" {
			f.m.p.t.Errorf("the stream of %s is over before its end", f.id)
		}
	default:
		f.m.mistake("follow", began, fmt.Sprintf("events of %s: %d", f.id, res.StatusCode))
	}
}

func (m *mixed) status(id string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ends[id]
}

func (f *follower) read(lines *bufio.Scanner) {
	at, data := "", ""
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			at = value
		case "data":
			data = value
		case "": // only now it is whole
			if data != "" {
				f.take(data)
			}
			f.last, data = at, ""
		}
		if f.over {
			return
		}
	}
}

func (f *follower) take(data string) {
	var e struct {
		Status  string `json:"status"`
		Version int64  `json:"version"`
	}
	if err := json.Unmarshal([]byte(data), &e); err != nil {
		f.m.p.t.Errorf("an event of %s: %v in %q", f.id, err, data)
		return
	}
	if e.Version < f.version || e.Version == f.version && f.last != "" && f.version > 0 {
		f.m.p.t.Errorf("P4: an event of %s has version %d, after %d", f.id, e.Version, f.version)
	}
	f.version = e.Version
	f.m.saw("follow", f.id, e.Version, 0, e.Status)
	f.over = terminal(e.Status)
}
