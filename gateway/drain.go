package gateway

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// drain ends the service without failing a request. First it only says that it will go: /readyz refuses, streams and long polls end, every
// answer closes its connection, and new connections are taken as long as the configuration says, so that whoever asks /readyz sends no more.
// Then it takes no new connection: a proxy that is refused asks another gateway, a POST too, because nothing of it was sent. A connection that
// is kept open between two requests is the only one on which a request could meet the end: each is waited for, a little, until its next
// request closes it. At last what is in flight is finished, within the drain time.
func (g *Gateway) drain(ctx context.Context, s *http.Server, l net.Listener) error {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.DrainDelay+g.cfg.DrainTimeout)
	defer cancel()
	close(g.ending)
	g.log.Info("the gateway drains", "delay", g.cfg.DrainDelay.String())
	pause(ctx, g.cfg.DrainDelay, nil)
	_ = l.Close() // it may have failed before
	pause(ctx, lastRequests, g.quiet.none())
	if err := s.Shutdown(ctx); err != nil {
		g.log.Warn("requests were cut off at the end of the drain time", "error", err)
		return s.Close()
	}
	return nil
}

// lastRequests is how long connections without a request are waited for.
const lastRequests = 2 * time.Second

func pause(ctx context.Context, d time.Duration, over <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-over:
	case <-ctx.Done():
	}
}

// drains reports whether the gateway has been told to stop.
func (g *Gateway) drains() bool {
	select {
	case <-g.ending:
		return true
	default:
		return false
	}
}

// parting closes each connection with its answer once the gateway drains.
func (g *Gateway) parting(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.drains() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

// quiet counts the open connections: on one whose request is being answered, too, another can follow, where the head of the answer was on its
// way before the end.
type quiet struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
	empty chan struct{} // closed when there is none; nil: nobody waits
}

func (q *quiet) state(c net.Conn, s http.ConnState) {
	if s == http.StateActive || s == http.StateIdle {
		return // twice with every request, of a connection that is counted
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if s == http.StateNew {
		if q.conns == nil {
			q.conns = map[net.Conn]bool{}
		}
		q.conns[c] = true
		return
	}
	delete(q.conns, c)
	if len(q.conns) == 0 && q.empty != nil {
		close(q.empty)
		q.empty = nil
	}
}

// none is closed once there is no open connection.
func (q *quiet) none() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := make(chan struct{})
	if len(q.conns) == 0 {
		close(c)
	} else {
		q.empty = c
	}
	return c
}
