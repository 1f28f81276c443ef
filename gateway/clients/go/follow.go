package docstream

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

// Event is one change of a job.
type Event struct {
	ID       string   `json:"-"` // its place in the log
	JobID    string   `json:"job_id"`
	Status   string   `json:"status"`
	Stage    string   `json:"stage"`
	Run      int      `json:"run"`
	Version  int64    `json:"version"`
	Progress Progress `json:"progress"`
	Code     string   `json:"code"` // why it failed
}

// silence is how long a stream may say nothing: the service says something every five seconds.
const silence = 20 * time.Second

// Follow calls f with how the job stands and then with each change, until it has ended, and returns it. Where a connection ends, or says
// nothing any more, it goes on at another, after the last event it had. An error of f ends it. f may be nil.
func (c *Client) Follow(ctx context.Context, id string, f func(Event) error) (Job, error) {
	last := ""
	for n := 0; ; n++ {
		before := last
		over, err := c.listen(ctx, id, &last, f)
		if err != nil {
			return Job{}, err
		}
		if over {
			return c.Job(ctx, id, 0)
		}
		if last != before {
			n = 0
		}
		select {
		case <-ctx.Done():
			return Job{}, ctx.Err()
		case <-time.After(backoff(n)):
		}
	}
}

// listen reads one connection to its end. over says that the job has ended; an error is f's, or one that coming again does not mend.
func (c *Client) listen(ctx context.Context, id string, last *string, f func(Event) error) (over bool, err error) {
	connection, cut := context.WithCancel(ctx)
	defer cut()
	header := http.Header{"Accept": {"text/event-stream"}}
	if *last != "" {
		header.Set("Last-Event-ID", *last)
	}
	res, err := c.do(connection, call{method: http.MethodGet, path: path(id) + "/events", header: header})
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNoContent {
		return true, nil
	}
	watch := time.AfterFunc(silence, cut)
	defer watch.Stop()
	var data, at string
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		watch.Reset(silence)
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case name == "id":
			at = value
		case name == "data":
			data += value
		case lines.Text() == "" && at != "":
			var e Event
			if data != "" {
				if err := json.Unmarshal([]byte(data), &e); err != nil {
					return false, err
				}
				e.ID = at
				if f != nil {
					if err := f(e); err != nil {
						return false, err
					}
				}
			}
			*last, data = at, ""
			if ended(e.Status) {
				return true, nil
			}
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return false, lines.Err()
	}
	return false, ctx.Err() // the connection ended: come again
}
