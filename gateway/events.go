package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/gateway/view"
	"docstream/schemas"
)

// maxPoll bounds how long a request may ask to wait.
const maxPoll = time.Minute

// awaited looks the job of the path up and, where the query asks for it, waits until it is what was waited for, or the wait is over: then
// the answer is how it stands.
func (g *Gateway) awaited(c *gin.Context, until func(*schemas.JobSnapshot) bool) (*schemas.JobSnapshot, error) {
	wait, err := patience(c)
	if err != nil {
		return nil, err
	}
	return g.waitFor(c, c.Param("job_id"), wait, until)
}

// waitFor looks a job up and waits, if so long, until it is what was waited for; then it comes as it stands.
func (g *Gateway) waitFor(c *gin.Context, job string, wait time.Duration, until func(*schemas.JobSnapshot) bool) (*schemas.JobSnapshot, error) {
	if wait == 0 || !schemas.ValidJobID(job) {
		return g.lookUp(c, job)
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		changed, done := g.view.Watch(tenant(c), job)
		s, err := g.lookUp(c, job)
		if err != nil || until(s) {
			done()
			return s, err
		}
		select {
		case <-changed:
			done()
		case <-over.C:
			done()
			return s, nil
		case <-g.ending:
			done()
			return s, nil
		case <-c.Request.Context().Done():
			done()
			return nil, c.Request.Context().Err()
		}
	}
}

// patience reads wait, such as 30s.
func patience(c *gin.Context) (time.Duration, error) {
	if c.Request.URL.RawQuery == "" {
		return 0, nil
	}
	text := c.Query("wait")
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxPoll {
		return 0, invalid("wait", "The wait is a time such as 30s, at most 60s.")
	}
	_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(d + leftover)) // a recorder has no deadline
	return d, nil
}

// eventBody is one change of a job.
type eventBody struct {
	JobID     string       `json:"job_id"`
	Status    string       `json:"status"`
	Stage     string       `json:"stage"`
	Run       int          `json:"run"`
	Version   int64        `json:"version"`
	Progress  progressBody `json:"progress"`
	Code      string       `json:"code,omitempty"`
	At        string       `json:"at"`
	ResultURL string       `json:"result_url,omitempty"`
}

func (g *Gateway) eventOf(e *schemas.JobChanged) eventBody {
	s := &schemas.JobSnapshot{Head: e.Head, Status: e.Status, Stage: e.Stage, Version: e.Version, PagesExpected: e.PagesExpected, PagesDone: e.PagesDone,
		PagesFailed: e.PagesFailed, Code: e.Code}
	return g.stateOf(s)
}

func (g *Gateway) stateOf(s *schemas.JobSnapshot) eventBody {
	b := eventBody{JobID: s.JobID, Status: s.Status, Stage: s.Stage, Run: s.Run, Version: s.Version, Progress: progress(s), Code: s.Code, At: timestamp(s.At)}
	if served(s.Status) {
		b.ResultURL = g.resultURL(s.JobID)
	}
	return b
}

// stream is one follower's connection: Server-Sent Events whose ids are places in the log.
type stream struct {
	g    *Gateway
	c    *gin.Context
	at   view.Positions // what the client has
	seen int64          // version of the job it has; 0 where it follows many
}

// jobEvents streams the changes of a job until it has ended.
func (g *Gateway) jobEvents(c *gin.Context) error {
	s, err := g.find(c)
	if err != nil {
		return err
	}
	return g.follow(c, s)
}

// events streams the changes of all of a tenant's jobs.
func (g *Gateway) events(c *gin.Context) error {
	if err := g.fresh(c.Request.Context()); err != nil {
		return err
	}
	return g.follow(c, nil)
}

// follow begins a stream. It is the same on every replica: what the client missed since Last-Event-ID comes from the log, what happens
// from then on from the replica's own reading of it, and the seam between the two is one place in the log. So nothing is missing and
// nothing comes twice.
func (g *Gateway) follow(c *gin.Context, job *schemas.JobSnapshot) error {
	select {
	case g.follows <- struct{}{}:
		defer func() { <-g.follows }()
	default:
		return refuse(schemas.ServiceUnavailable, "Too many streams are open; try again.")
	}
	from, resumed, seen := view.Positions(nil), false, int64(0)
	if last := c.GetHeader("Last-Event-ID"); last != "" {
		var place, version string
		place, version, _ = strings.Cut(last, "@")
		seen, _ = strconv.ParseInt(version, 10, 64) // 0, where there is none, holds nothing back
		if from, resumed = view.ParsePositions(place); !resumed {
			return invalid("Last-Event-ID", "The id is not one this API gave.")
		}
	}
	id := ""
	if job != nil {
		id = job.JobID
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), g.cfg.MaxWait)
	defer cancel()
	f, err := g.view.Follow(ctx, tenant(c), id)
	if err != nil {
		return refuse(schemas.ServiceUnavailable, "").because(err)
	}
	defer f.Close()
	s := &stream{g: g, c: c, at: view.Positions{}, seen: seen}
	for p, o := range f.Since {
		s.at[p] = o
	}
	var missed []view.Told
	if resumed {
		if missed, err = s.missed(ctx, f, from); errors.Is(err, view.ErrForgotten) {
			resumed, s.seen = false, 0
		} else if err != nil {
			return refuse(schemas.ServiceUnavailable, "").because(err)
		}
	}
	if !resumed && job != nil {
		if err := g.view.Covered(ctx); err != nil { // so that what lies before Since is in the state
			return refuse(schemas.ServiceUnavailable, "").because(err)
		}
		if now, ok := g.view.Job(tenant(c), id); ok {
			job = now
		}
	}
	if resumed && job != nil && len(missed) == 0 && schemas.Terminal(job.Status) {
		c.Status(http.StatusNoContent) // tells an EventSource to stop
		c.Writer.WriteHeaderNow()
		return nil
	}
	return s.run(f, job, resumed, from, missed)
}

// maxMissed bounds what is held of what a follower missed; a longer gap is closed in several connections.
const maxMissed = 10_000

var errEnough = errors.New("enough")

// missed reads what lies between the client's place and the live part. Where it is too much the stream ends after it: the client comes
// again with the id it then has.
func (s *stream) missed(ctx context.Context, f *view.Following, from view.Positions) (out []view.Told, err error) {
	err = s.g.view.Missed(ctx, f, from, func(t view.Told) error {
		if len(out) == maxMissed {
			return errEnough
		}
		out = append(out, t)
		return nil
	})
	if errors.Is(err, errEnough) {
		f.Close()
		err = nil
	}
	return out, err
}

// keepAlive is how often a silent stream says that it lives, and looks whether its key still opens.
const keepAlive = 5 * time.Second

// run writes until the job has ended, the client has gone, its key no longer opens, or the gateway stops.
func (s *stream) run(f *view.Following, job *schemas.JobSnapshot, resumed bool, from view.Positions, missed []view.Told) error {
	h := s.c.Writer.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // or nginx would hold it back
	s.c.Status(http.StatusOK)
	s.c.Writer.WriteHeaderNow()
	live := s.at
	switch {
	case resumed:
		s.at = view.Positions{}
		for p, o := range live {
			s.at[p] = o
			if was, ok := from[p]; ok {
				s.at[p] = was
			}
		}
		for _, t := range missed {
			if ended, err := s.tell(t, job != nil); ended || err != nil {
				return err
			}
		}
		for p, o := range live {
			if len(missed) < maxMissed {
				s.at[p] = max(s.at[p], o) // this replica may have read less than the one before
			}
		}
	case job != nil:
		s.seen = job.Version
		if err := s.write("job", s.g.stateOf(job)); err != nil || schemas.Terminal(job.Status) {
			return err
		}
	}
	if err := s.mark(); err != nil { // a place to come back to, before anything happens
		return err
	}
	beat := time.NewTicker(keepAlive)
	defer beat.Stop()
	for {
		select {
		case t, ok := <-f.Events:
			if !ok {
				return nil
			}
			if ended, err := s.tell(t, job != nil); ended || err != nil {
				return err
			}
		case <-beat.C:
			if !s.g.opens(s.c) {
				return nil
			}
			if err := s.raw(":\n\n"); err != nil {
				return err
			}
		case <-s.g.ending:
			return nil
		case <-s.c.Request.Context().Done():
			return nil
		}
	}
}

// tell writes one event of the log; ended says that the followed job needs no following any more.
func (s *stream) tell(t view.Told, one bool) (ended bool, err error) {
	if was, ok := s.at[t.Partition]; ok && t.Offset <= was {
		return false, nil
	}
	s.at[t.Partition] = t.Offset
	if one && t.Event.Version <= s.seen {
		return false, nil
	}
	if one {
		s.seen = t.Event.Version
	}
	return one && schemas.Terminal(t.Event.Status), s.write("job", s.g.eventOf(t.Event))
}

func (s *stream) write(name string, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err) // our own types: cannot fail
	}
	return s.raw(fmt.Sprintf("id: %s\nevent: %s\ndata: %s\n\n", s.id(), name, b))
}

func (s *stream) mark() error { return s.raw("id: " + s.id() + "\n\n") }

// id is what the client has: places in the log, and of one job the version, because its state may be newer than the place.
func (s *stream) id() string {
	if s.seen == 0 {
		return s.at.String()
	}
	return s.at.String() + "@" + strconv.FormatInt(s.seen, 10)
}

// raw writes at once. A client that takes nothing for the stall time is cut off.
func (s *stream) raw(text string) error {
	s.g.mayWrite(s.c)
	if _, err := s.c.Writer.WriteString(text); err != nil {
		return nil // it has gone: nobody is left to tell
	}
	_ = http.NewResponseController(s.c.Writer).Flush() // an error shows at the next write
	return nil
}
