package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/internal/blob"
)

// healthz says that the process answers.
func (g *Gateway) healthz(c *gin.Context) error {
	g.json(c, http.StatusOK, gin.H{"status": "ok"})
	return nil
}

// readyTimeout bounds what /readyz asks of each part.
const readyTimeout = 2 * time.Second

// readyz says whether this replica can accept and answer, part by part. It says that a part fails, never how: that is in the log.
func (g *Gateway) readyz(c *gin.Context) error {
	ctx, cancel := context.WithTimeout(c.Request.Context(), readyTimeout)
	defer cancel()
	var kafka, objects error
	var both sync.WaitGroup
	both.Go(func() { kafka = g.producer.Ready(ctx) })
	both.Go(func() { objects = g.objectsReady(ctx) })
	both.Wait()
	parts := gin.H{"view": state(g.view.Ready() && !g.drains()), "kafka": state(kafka == nil), "objects": state(objects == nil)}
	status, word := http.StatusOK, "ready"
	if err := errors.Join(kafka, objects); err != nil || !g.view.Ready() || g.drains() {
		status, word = http.StatusServiceUnavailable, "not ready"
		g.log.InfoContext(ctx, "not ready", "view", g.view.Ready(), "kafka", kafka == nil, "objects", objects == nil, "error", err)
	}
	g.json(c, status, gin.H{"status": word, "parts": parts})
	return nil
}

func state(ok bool) string {
	if ok {
		return "ready"
	}
	return "not ready"
}

// objectsReady asks the store whether it answers, by its own means where it has some.
func (g *Gateway) objectsReady(ctx context.Context) error {
	if s, ok := g.objects.(interface{ Ready(context.Context) error }); ok {
		return s.Ready(ctx)
	}
	if _, err := g.objects.Head(ctx, "readyz"); err != nil && !errors.Is(err, blob.ErrNotFound) {
		return err
	}
	return nil
}
