package gateway

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/producers/deadletters"
	"docstream/schemas"
)

// DeadLetters is where records lie that were set aside.
type DeadLetters interface {
	List(ctx context.Context, f deadletters.Filter, limit int) ([]deadletters.Letter, error)
	Find(ctx context.Context, id string) (deadletters.Letter, bool, error)
	Request(l deadletters.Letter, job *schemas.JobSnapshot, now time.Time) (*schemas.RunRequested, error)
	Close(ctx context.Context, letters []deadletters.Letter, state, by string) error
}

// ServeDeadLetters lets the gateway show what was set aside; call it before Run. Without it the routes answer that they are not available.
func (g *Gateway) ServeDeadLetters(d DeadLetters) { g.letters = d }

// looking bounds how many look at the dead letters at once: each look reads their topics (P6).
var looking = make(chan struct{}, 2)

// letterBody is a dead letter as the API shows it: what the table says of its code, never the text of the error (P8).
type letterBody struct {
	ID          string `json:"id"`
	Stage       string `json:"stage"`
	Class       string `json:"class"`
	Code        string `json:"code"`
	Message     string `json:"message"`
	Attempts    int    `json:"attempts"`
	State       string `json:"state"`
	JobID       string `json:"job_id"`
	Run         int    `json:"run"`
	Page        int    `json:"page,omitempty"`
	DeadAt      string `json:"dead_at"`
	RequestID   string `json:"request_id,omitempty"`
	TraceParent string `json:"traceparent,omitempty"`
}

func showLetter(l deadletters.Letter) letterBody {
	return letterBody{ID: l.ID, Stage: l.Stage, Class: l.Class, Code: l.Code, Message: schemas.Codes[schemas.Code(l.Code)].Meaning, Attempts: l.Attempts, State: l.State,
		JobID: l.JobID, Run: l.Run, Page: l.Page, DeadAt: timestamp(l.At), RequestID: l.Request, TraceParent: l.Trace}
}

// deadLetters lists what of the tenant's was set aside, newest first.
func (g *Gateway) deadLetters(c *gin.Context) error {
	f := deadletters.Filter{Tenant: tenant(c), Stage: c.Query("stage"), Code: c.Query("code"), Job: c.Query("job_id"), State: c.Query("state")}
	if f.State != "" && f.State != deadletters.Open && f.State != deadletters.Redriven && f.State != deadletters.Discarded {
		return invalid("state", "The state is open, redriven or discarded.")
	}
	limit := defaultLimit
	if s := c.Query("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxLimit {
			return invalid("limit", "The limit is a number from 1 to "+strconv.Itoa(maxLimit)+".")
		}
		limit = n
	}
	leave, err := g.look(c.Request.Context())
	if err != nil {
		return err
	}
	defer leave()
	letters, err := g.letters.List(c.Request.Context(), f, limit)
	if err != nil {
		return err
	}
	out := make([]letterBody, 0, len(letters))
	for _, l := range letters {
		out = append(out, showLetter(l))
	}
	g.json(c, http.StatusOK, gin.H{"dead_letters": out})
	return nil
}

// look waits for its turn.
func (g *Gateway) look(ctx context.Context) (leave func(), err error) {
	if g.letters == nil {
		return nil, refuse(schemas.ServiceUnavailable, "")
	}
	select {
	case looking <- struct{}{}:
		return func() { <-looking }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ownLetter finds the letter of the path. Another tenant's and one that does not exist are the same answer (P8).
func (g *Gateway) ownLetter(c *gin.Context) (deadletters.Letter, error) {
	leave, err := g.look(c.Request.Context())
	if err != nil {
		return deadletters.Letter{}, err
	}
	defer leave()
	l, ok, err := g.letters.Find(c.Request.Context(), c.Param("letter_id"))
	if err != nil {
		return l, err
	}
	if !ok || l.Tenant != tenant(c) {
		return l, refuse(schemas.DeadLetterNotFound, "")
	}
	about(c, l.JobID)
	return l, nil
}

// redrive asks for another run of the letter's job, which keeps its finished pages. All open letters of the run go with it.
func (g *Gateway) redrive(c *gin.Context) error {
	l, err := g.ownLetter(c)
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	if err := g.fresh(ctx); err != nil {
		return err
	}
	job, err := g.lookFor(ctx, l.Tenant, l.JobID)
	if err != nil {
		return err
	}
	r, err := g.letters.Request(l, job, time.Now())
	if err != nil {
		return err
	}
	if err := g.producer.Publish(ctx, r, requestID(c)); err != nil {
		return err
	}
	same, err := g.letters.List(ctx, deadletters.Filter{Tenant: l.Tenant, Job: l.JobID, State: deadletters.Open}, maxClosed)
	if err != nil {
		return err
	}
	if err := g.letters.Close(ctx, deadletters.OfRun(same, l.Run), deadletters.Redriven, whoAsks(c).id); err != nil {
		return err
	}
	l.State = deadletters.Redriven
	c.Header("Location", g.statusURL(l.JobID))
	g.json(c, http.StatusAccepted, gin.H{"dead_letter": showLetter(l), "job_id": l.JobID, "after_run": r.AfterRun, "status_url": g.statusURL(l.JobID)})
	return nil
}

// maxClosed is how many letters one redrive closes at most: a run has one for each page at most.
const maxClosed = 10_000

// discard closes a letter for good; its job stays as it is.
func (g *Gateway) discard(c *gin.Context) error {
	l, err := g.ownLetter(c)
	if err != nil {
		return err
	}
	if l.State == deadletters.Open {
		if err := g.letters.Close(c.Request.Context(), []deadletters.Letter{l}, deadletters.Discarded, whoAsks(c).id); err != nil {
			return err
		}
		l.State = deadletters.Discarded
	}
	g.json(c, http.StatusOK, gin.H{"dead_letter": showLetter(l)})
	return nil
}
