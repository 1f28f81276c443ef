package gateway

import (
	"io"
	"math"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/gateway/doors"
	"docstream/gateway/keys"
	"docstream/schemas"
)

// door is one other service's API: its routes, and how they talk.
type door struct {
	dialect doors.Dialect
	routes  []route
}

// doors take the same way in as the front: keys, plans, limits, idempotency; they only answer otherwise.
func (g *Gateway) doors() []door {
	return []door{
		{doors.DocStrange{}, []route{{http.MethodPost, "/api/extract", keys.Documents, g.extract}}},
		{doors.Docling{}, []route{
			{http.MethodPost, "/v1/convert/file", keys.Documents, g.convert},
			{http.MethodPost, "/v1/convert/file/async", keys.Documents, g.convertLater},
			{http.MethodGet, "/v1/status/poll/:task_id", keys.Documents, g.task},
			{http.MethodGet, "/v1/result/:task_id", keys.Documents, g.converted},
		}},
		{doors.Tika{}, []route{{http.MethodPut, "/tika", keys.Documents, g.parse}}},
	}
}

// speaks makes every answer to the request, the refusals first of all, one of the door's service.
func (d door) speaks(c *gin.Context) { requestOf(c).dialect = d.dialect }

// dialect is how a request wants to be answered; nil: as the API does.
func dialect(c *gin.Context) doors.Dialect { return requestOf(c).dialect }

// through takes the document of a door's client and waits until its job has ended. What comes back is where the job stands then, or nil
// where it takes longer than a request may wait; the promise names the job either way.
func (g *Gateway) through(c *gin.Context, u *upload) (*promise, *schemas.JobSnapshot, error) {
	p, err := g.take(c, u)
	if err != nil {
		return nil, nil, err
	}
	s, err := g.outcome(c, p.Answer.JobID, g.cfg.DoorWait)
	if err == nil && !schemas.Terminal(s.Status) {
		s = nil
	}
	return p, s, err
}

// outcome waits until a job has ended, or the wait is over.
func (g *Gateway) outcome(c *gin.Context, job string, wait time.Duration) (*schemas.JobSnapshot, error) {
	if wait > 0 {
		_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(wait + g.cfg.MaxWait + leftover + g.cfg.Stall)) // a recorder has no deadline
	}
	return g.waitFor(c, job, wait, func(s *schemas.JobSnapshot) bool { return schemas.Terminal(s.Status) })
}

// fruit refuses a job that has ended without a result, by what it ended with.
func fruit(s *schemas.JobSnapshot) error {
	switch {
	case hasResult(s):
		return nil
	case schemas.Codes[schemas.Code(s.Code)].HTTP != 0:
		return refuse(schemas.Code(s.Code), s.Message)
	}
	return refuse(schemas.ResultNotAvailable, "").with("status", s.Status)
}

// contents opens the outputs of a job that are in formats, all of them before a byte is answered. done ends them.
func (g *Gateway) contents(c *gin.Context, s *schemas.JobSnapshot, formats ...string) (out doors.Outputs, done func(), err error) {
	var open []io.Closer
	done = func() {
		for _, o := range open {
			_ = o.Close() // read to its end, or given up
		}
	}
	out = doors.Outputs{}
	for _, format := range formats {
		i := slices.IndexFunc(s.Outputs, func(o schemas.Output) bool { return o.Format == format })
		if i < 0 {
			done()
			return nil, nil, refuse(schemas.FormatNotComposed, "")
		}
		body, err := g.open(c.Request.Context(), s.Outputs[i], 0, 0)
		if err != nil {
			done()
			return nil, nil, err
		}
		open = append(open, body)
		out[format] = body
	}
	return out, done, nil
}

// say streams an answer of a door. From its first byte on an error cuts the connection.
func (g *Gateway) say(c *gin.Context, media string, write func(io.Writer) error) error {
	c.Header("Content-Type", media)
	c.Status(http.StatusOK)
	c.Writer.WriteHeaderNow()
	return tolerable(write(writerFunc(func(b []byte) (int, error) {
		g.mayWrite(c) // each piece gets the stall time to be taken
		return c.Writer.Write(b)
	})))
}

// late refuses to keep a request waiting longer, and says where to ask on.
func (g *Gateway) late(c *gin.Context, p *promise, url string) error {
	c.Header("Location", g.link(url))
	r := refuse(schemas.ResultNotReady, "The document takes longer than a request may wait; its job goes on as "+p.Answer.JobID+".")
	r.after = maxRetryAfter
	return r
}

// extract is DocStrange's way: one form, and the content in the answer; or, past the wait, 202 with the job.
func (g *Gateway) extract(c *gin.Context) error {
	ask := &doors.Extract{}
	p, s, err := g.through(c, &upload{g: g, tenant: tenant(c), options: defaultOptions(), door: ask})
	switch {
	case err != nil:
		return err
	case s == nil:
		g.accept(c, p)
		return nil
	}
	if err := fruit(s); err != nil {
		return err
	}
	out, done, err := g.contents(c, s, ask.Format())
	if err != nil {
		return err
	}
	defer done()
	return g.say(c, "application/json", func(w io.Writer) error { return ask.Write(w, s, out) })
}

// convert is docling-serve's synchronous way.
func (g *Gateway) convert(c *gin.Context) error {
	p, s, err := g.through(c, &upload{g: g, tenant: tenant(c), options: defaultOptions(), door: &doors.Convert{}})
	switch {
	case err != nil:
		return err
	case s == nil:
		return g.late(c, p, "/v1/status/poll/"+p.Answer.JobID)
	}
	return g.conversion(c, s)
}

// convertLater is its asynchronous one: the task is the job.
func (g *Gateway) convertLater(c *gin.Context) error {
	p, err := g.take(c, &upload{g: g, tenant: tenant(c), options: defaultOptions(), door: &doors.Convert{}})
	if err != nil {
		return err
	}
	g.json(c, http.StatusOK, doors.NewTask(p.Answer.JobID))
	return nil
}

// task says where a task stands, after waiting for its end as many seconds as the client asks.
func (g *Gateway) task(c *gin.Context) error {
	var wait time.Duration
	if text := c.Query("wait"); text != "" {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || !(n >= 0) || n > maxPoll.Seconds() {
			return invalid("wait", "The wait is a number of seconds, at most 60.")
		}
		wait = time.Duration(n * float64(time.Second))
	}
	s, err := g.outcome(c, c.Param("task_id"), wait)
	if err != nil {
		return err
	}
	g.json(c, http.StatusOK, doors.TaskOf(s))
	return nil
}

// converted answers with the result of a task.
func (g *Gateway) converted(c *gin.Context) error {
	s, err := g.outcome(c, c.Param("task_id"), 0)
	switch {
	case err != nil:
		return err
	case !schemas.Terminal(s.Status):
		return refuse(schemas.JobNotFound, "Task result not found. Please wait for a completion status.")
	}
	return g.conversion(c, s)
}

// wholeDocuments is how many documents may be held at once to be written as docling's, each up to doors.MaxDoclingJSON (P6).
const wholeDocuments = 4

// conversion answers with what a job composed of docling's formats. A failed one says so in the answer, as docling does.
func (g *Gateway) conversion(c *gin.Context, s *schemas.JobSnapshot) error {
	var formats []string
	for _, o := range s.Outputs {
		switch {
		case !hasResult(s) || o.Format == "csv":
		case o.Format == "json" && o.Size > doors.MaxDoclingJSON:
			return refuse(schemas.ResultNotAvailable, "The document is too large to be given as a docling document; fetch the job's own JSON.")
		default:
			formats = append(formats, o.Format)
		}
	}
	if slices.Contains(formats, "json") {
		select {
		case g.whole <- struct{}{}:
			defer func() { <-g.whole }()
		case <-c.Request.Context().Done():
			return c.Request.Context().Err()
		}
	}
	out, done, err := g.contents(c, s, formats...)
	if err != nil {
		return err
	}
	defer done()
	return g.say(c, "application/json", func(w io.Writer) error { return doors.WriteConverted(w, s, out) })
}

// parse is Tika's way: the document is the body, the content is the answer.
func (g *Gateway) parse(c *gin.Context) error {
	ask, err := doors.NewParse(c.Request.Header)
	if err != nil {
		return err
	}
	p, s, err := g.through(c, &upload{g: g, tenant: tenant(c), options: defaultOptions(), bare: ask})
	switch {
	case err != nil:
		return err
	case s == nil:
		return g.late(c, p, "/api/v1/jobs/"+p.Answer.JobID)
	}
	if err := fruit(s); err != nil {
		return err
	}
	out, done, err := g.contents(c, s, ask.Format())
	if err != nil {
		return err
	}
	defer done()
	return g.say(c, ask.Answer(), func(w io.Writer) error { return ask.Write(w, s, out) })
}

// opened reads the body of a request at a door.
func (u *upload) opened(c *gin.Context, body *paced) error {
	if u.bare != nil {
		if err := u.choose(u.bare.Options()); err != nil {
			return err
		}
		body.allow(math.MaxInt64)
		return u.file(c.Request.Context(), body, u.bare.MediaType, u.bare.Filename)
	}
	kind, params, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return refuse(schemas.InvalidRequest, "Send the document as multipart/form-data in a field named "+u.door.File()+".")
	}
	if err := u.form(c, body, params["boundary"]); err != nil {
		return err
	}
	options, err := u.door.Options()
	if err != nil {
		return err
	}
	return u.choose(options)
}

// choose takes options that a door put into our words.
func (u *upload) choose(options []doors.Option) error {
	for _, o := range options {
		if err := u.options.set(o.Name, o.Value); err != nil {
			return err
		}
	}
	return nil
}
