package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/errgroup"

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
	if err := narrow(c, &q); err != nil {
		return err
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

// narrow reads the other filters of a list.
func narrow(c *gin.Context, q *view.Query) (err error) {
	q.Media = c.Query("media_type")
	for name, into := range map[string]*time.Time{"from": &q.From, "to": &q.To} {
		if s := c.Query(name); s != "" {
			if *into, err = time.Parse(time.RFC3339, s); err != nil {
				return invalid(name, "A time reads like 2026-11-25T08:00:00Z.")
			}
		}
	}
	for _, tag := range c.QueryArray("tag") {
		k, v, ok := strings.Cut(tag, ":")
		if !ok || k == "" {
			return invalid("tag", "A tag reads like name:value.")
		}
		if q.Tags == nil {
			q.Tags = map[string]string{}
		}
		if has, twice := q.Tags[k]; twice && has != v {
			return invalid("tag", "No job has two values of one tag.")
		}
		q.Tags[k] = v
	}
	return nil
}

// maxBulk bounds how many jobs one request looks up.
const maxBulk = 1000

// bulkBody is many jobs at once, in the order they were asked for; those that do not exist, and those that were deleted, are named apart.
type bulkBody struct {
	Jobs    []jobBody `json:"jobs"`
	Missing []string  `json:"missing"`
	Deleted []string  `json:"deleted"`
}

// bulk answers where many jobs stand, all as of one moment.
func (g *Gateway) bulk(c *gin.Context) error {
	var in struct {
		JobIDs []string `json:"job_ids"`
	}
	d := json.NewDecoder(http.MaxBytesReader(c.Writer, c.Request.Body, 64<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil || len(in.JobIDs) == 0 || len(in.JobIDs) > maxBulk {
		return refuse(schemas.InvalidRequest, "Send {\"job_ids\": [...]} with 1 to 1000 ids.").because(err)
	}
	if err := g.fresh(c.Request.Context()); err != nil {
		return err
	}
	found, err := g.lookForAll(c.Request.Context(), tenant(c), in.JobIDs)
	if err != nil {
		return err
	}
	out := bulkBody{Jobs: []jobBody{}, Missing: []string{}, Deleted: []string{}}
	for i, id := range in.JobIDs {
		s := found[i]
		if s == nil {
			out.Missing = append(out.Missing, clip(id, 40))
			continue
		}
		if !s.DeletedAt.IsZero() {
			out.Deleted = append(out.Deleted, id)
			continue
		}
		b := g.show(s)
		b.Failures, b.Runs = nil, nil
		out.Jobs = append(out.Jobs, b)
	}
	g.json(c, http.StatusOK, out)
	return nil
}

// lookingUp bounds how many jobs of one request are looked up in the object store at once.
const lookingUp = 16

// lookForAll looks many jobs up, in the order they are asked for; nil: there is no such job.
func (g *Gateway) lookForAll(ctx context.Context, tenant string, ids []string) ([]*schemas.JobSnapshot, error) {
	found := make([]*schemas.JobSnapshot, len(ids))
	each, ctx := errgroup.WithContext(ctx)
	each.SetLimit(lookingUp)
	for i, id := range ids {
		if s, ok := g.view.Job(tenant, id); ok {
			found[i] = s
			continue
		}
		each.Go(func() (err error) {
			found[i], err = g.lookFor(ctx, tenant, id)
			return err
		})
	}
	return found, each.Wait()
}
