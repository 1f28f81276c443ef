package gateway

import (
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/schemas"
)

// intake bounds what is being uploaded at once, in bytes, and learns how long an upload takes.
type intake struct {
	mu    sync.Mutex
	bytes int64
	took  float64 // seconds of an upload, moving average
}

// enter takes a place for so many bytes; false where there is none. Alone, any size fits: the limit of one file holds anyhow.
func (i *intake) enter(bytes, limit int64) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.bytes > 0 && i.bytes+bytes > limit {
		return false
	}
	i.bytes += bytes
	return true
}

func (i *intake) leave(bytes int64, took time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.bytes -= bytes
	if i.took == 0 {
		i.took = took.Seconds()
	}
	i.took += (took.Seconds() - i.took) / 8
}

// now returns the bytes under way and how long an upload takes.
func (i *intake) now() (bytes int64, took time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.bytes, time.Duration(i.took * float64(time.Second))
}

// busy refuses one upload more: it is the service that cannot, so 503. With all places taken, one is free after an upload's time shared by
// the places.
func (g *Gateway) busy() *refusal {
	r := refuse(schemas.ServiceUnavailable, "Too many uploads are in flight; try again.").with("uploads", g.cfg.Uploads).with("upload_bytes", g.cfg.UploadBytes)
	_, took := g.intake.now()
	r.after = max(time.Second, took/time.Duration(g.cfg.Uploads))
	return r
}

// overloaded refuses new work while the backlog would take longer than configured; the time to wait is until it is down to that again.
func (g *Gateway) overloaded() error {
	jobs, drain := g.view.Backlog()
	if g.cfg.MaxBacklog == 0 || drain <= g.cfg.MaxBacklog {
		return nil
	}
	r := refuse(schemas.ServiceUnavailable, "The backlog is too long; try again later.").with("backlog_jobs", jobs).with("backlog_seconds", int64(drain.Seconds()))
	r.after = drain - g.cfg.MaxBacklog
	return r
}

// capacityBody says how much more this service can take. Uploads are this replica's, the backlog is everybody's.
type capacityBody struct {
	Accepting  bool  `json:"accepting"`
	RetryAfter int64 `json:"retry_after_seconds"` // 0 while accepting
	Replicas   int   `json:"replicas"`
	Uploads    struct {
		Active     int   `json:"active"`
		Limit      int   `json:"limit"`
		Bytes      int64 `json:"bytes"`
		BytesLimit int64 `json:"bytes_limit"`
	} `json:"uploads"`
	Backlog struct {
		Jobs         int     `json:"jobs"`
		Seconds      float64 `json:"seconds"`
		LimitSeconds float64 `json:"limit_seconds"` // 0: none
	} `json:"backlog"`
}

// capacity answers how much more can be taken now.
func (g *Gateway) capacity(c *gin.Context) error {
	b := capacityBody{Accepting: true, Replicas: g.view.Replicas()}
	b.Uploads.Active, b.Uploads.Limit, b.Uploads.BytesLimit = len(g.slots), g.cfg.Uploads, g.cfg.UploadBytes
	b.Uploads.Bytes, _ = g.intake.now()
	jobs, drain := g.view.Backlog()
	b.Backlog.Jobs, b.Backlog.Seconds, b.Backlog.LimitSeconds = jobs, drain.Seconds(), g.cfg.MaxBacklog.Seconds()
	var why *refusal
	if err := g.overloaded(); err != nil {
		why = refusalOf(err)
	} else if b.Uploads.Active >= b.Uploads.Limit {
		why = g.busy()
	}
	if why != nil {
		b.Accepting, b.RetryAfter = false, int64(max(time.Second, why.after)/time.Second)
	}
	g.json(c, http.StatusOK, b)
	return nil
}
