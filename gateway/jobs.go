package gateway

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"

	"docstream/gateway/view"
	"docstream/schemas"
)

const (
	defaultLimit = 20
	maxLimit     = 100
)

// jobsBody is a page of jobs, newest first. A page may be shorter than the limit and still have a next.
type jobsBody struct {
	Jobs       []jobBody `json:"jobs"`
	NextCursor string    `json:"next_cursor,omitempty"`
}

// jobs lists a tenant's jobs.
func (g *Gateway) jobs(c *gin.Context) error {
	q := view.Query{Cursor: c.Query("cursor"), Status: c.Query("status"), Limit: defaultLimit}
	if s := c.Query("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxLimit {
			return invalid("limit", "The limit is a number from 1 to "+strconv.Itoa(maxLimit)+".")
		}
		q.Limit = n
	}
	if q.Status != "" && !slices.Contains(schemas.Statuses, q.Status) {
		return invalid("status", "There is no such status.").with("allowed", schemas.Statuses)
	}
	if err := g.fresh(c.Request.Context()); err != nil {
		return err
	}
	page, next, err := g.view.Jobs(tenant(c), q)
	switch {
	case errors.Is(err, view.ErrCursor):
		return invalid("cursor", "The cursor is not one this API gave.")
	case err != nil:
		return refuse(schemas.ServiceUnavailable, "").because(err)
	}
	body := jobsBody{Jobs: make([]jobBody, 0, len(page)), NextCursor: next}
	for _, s := range page {
		b := g.show(s)
		b.Failures, b.Runs = nil, nil // a list stays small: the job itself names them
		body.Jobs = append(body.Jobs, b)
	}
	g.json(c, http.StatusOK, body)
	return nil
}
