package gateway

import (
	"context"
	"net/http"
	"path"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/sync/errgroup"

	"docstream/internal/blob"
	"docstream/schemas"
)

// remove deletes a job: results, work and source go now, and every replica answers 410 from here on. First the log knows it, so that a
// deletion that breaks off is only finished by asking again, never undone. A worker may be in the middle of a run: what it wrote before the
// fold ended that run is looked for a second time.
func (g *Gateway) remove(c *gin.Context) error {
	s, err := g.known(c)
	if err != nil {
		return err
	}
	if !s.DeletedAt.IsZero() {
		return g.removed(c, g.erase(c.Request.Context(), s))
	}
	f := &schemas.DeletionRequested{RequestedBy: whoAsks(c).id}
	f.SourceKey, f.Version, f.Status, f.EndedAt = ownKey(s), s.Version, s.Status, s.EndedAt // the fold may have let the job go
	f.Head = schemas.Head{EventID: schemas.EventIDFor(s.JobID, s.Run, "gateway", 0, f.Kind(), 0), Tenant: s.Tenant, JobID: s.JobID, Run: s.Run,
		At: time.Now().UTC().Truncate(time.Microsecond), SubmittedAt: s.SubmittedAt}
	if err := g.producer.Publish(c.Request.Context(), f, requestID(c)); err != nil {
		return err
	}
	if err := g.erase(c.Request.Context(), s); err != nil {
		return err
	}
	now, err := g.until(c, g.cfg.MaxWait, func(s *schemas.JobSnapshot) bool { return !s.DeletedAt.IsZero() })
	if err != nil {
		return err
	}
	if now.DeletedAt.IsZero() {
		return refuse(schemas.ServiceUnavailable, "The deletion is asked for; ask again to see it done.")
	}
	if !schemas.Terminal(s.Status) {
		err = g.erase(c.Request.Context(), s)
	}
	return g.removed(c, err)
}

// removed answers that a job is deleted.
func (g *Gateway) removed(c *gin.Context, err error) error {
	if err != nil {
		return err
	}
	g.mayWrite(c)
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}

// erasing bounds how many objects of one job are removed at once.
const erasing = 16

// erase removes every object of a job. A source that lies in a bucket of the tenant's own is the tenant's, and stays.
func (g *Gateway) erase(ctx context.Context, s *schemas.JobSnapshot) error {
	for _, prefix := range []string{schemas.ResultPrefix(s.Tenant, s.JobID), schemas.WorkPrefix(s.Tenant, s.JobID)} {
		each, ctx := errgroup.WithContext(ctx)
		each.SetLimit(erasing)
		listed := g.objects.List(ctx, prefix, func(o blob.Object) bool {
			each.Go(func() error { return g.objects.Delete(ctx, o.Key) })
			return ctx.Err() == nil
		})
		if err := each.Wait(); err != nil {
			return err
		}
		if listed != nil {
			return listed
		}
	}
	key := ownKey(s)
	if key == "" {
		return nil
	}
	if direct := "upl_" + path.Base(key); schemas.ValidUploadID(direct) { // what was said of it, where it was an upload of its own, has its name in it
		if err := g.objects.Delete(ctx, schemas.UploadKey(s.Tenant, direct)); err != nil {
			return err
		}
	}
	return g.objects.Delete(ctx, key)
}

// ownKey is where the source of a job lies that is the platform's own; empty where none is. Of one that is fetched from an address the place is
// known before the fold has heard that anything lies there.
func ownKey(s *schemas.JobSnapshot) string {
	source := s.Source
	if source.Key == "" && source.URL != "" {
		source.Key = schemas.FetchedKey(s.Tenant, s.JobID)
	}
	if !schemas.OwnSource(s.Tenant, source) {
		return ""
	}
	return source.Key
}

// until looks at the job of the path until it is what is waited for, or the wait is over: then as it stands.
func (g *Gateway) until(c *gin.Context, wait time.Duration, is func(*schemas.JobSnapshot) bool) (*schemas.JobSnapshot, error) {
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		changed, done := g.view.Watch(tenant(c), c.Param("job_id"))
		s, err := g.known(c)
		if err != nil || is(s) {
			done()
			return s, err
		}
		select {
		case <-changed:
			done()
			continue
		case <-over.C:
		case <-g.ending:
		case <-c.Request.Context().Done():
			err = c.Request.Context().Err()
		}
		done()
		return s, err
	}
}
