package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"docstream/internal/fault"
	"docstream/internal/telemetry"
	"docstream/schemas"
)

// refusal is an error a client sees. What it says comes from the closed table or is written for clients; the cause is for the log only.
type refusal struct {
	code    schemas.Code
	message string
	details map[string]any
	after   time.Duration // Retry-After; 0: none
	hangs   bool          // the connection is closed rather than its body read to the end
	cause   error
}

// refuse returns the refusal of a code. message may be empty: then the table's sentence stands.
func refuse(code schemas.Code, message string) *refusal {
	r := &refusal{code: code, message: message}
	if message == "" {
		r.message = schemas.Codes[code].Meaning
	}
	if code == schemas.ServiceUnavailable {
		r.after = time.Second
	}
	return r
}

func (r *refusal) Error() string {
	if r.cause != nil {
		return string(r.code) + ": " + r.cause.Error()
	}
	return string(r.code)
}

func (r *refusal) Unwrap() error { return r.cause }

// with adds a detail.
func (r *refusal) with(name string, value any) *refusal {
	if r.details == nil {
		r.details = map[string]any{}
	}
	r.details[name] = value
	return r
}

// hangUp closes the connection with the answer.
func (r *refusal) hangUp() *refusal { r.hangs = true; return r }

// because adds the cause, for the log.
func (r *refusal) because(err error) *refusal { r.cause = err; return r }

// refusalOf turns any error into one a client may see. Text of an error nobody wrote for clients is never shown (P8).
func refusalOf(err error) *refusal {
	var r *refusal
	var f *fault.Error
	switch {
	case errors.As(err, &r):
		return r
	case errors.As(err, &f) && f.Kind == fault.Unavailable:
		return refuse(schemas.ServiceUnavailable, f.Message).because(err)
	case errors.As(err, &f) && schemas.Codes[f.Code].HTTP != 0:
		return refuse(f.Code, f.Message).because(err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return refuse(schemas.ServiceUnavailable, "").because(err)
	}
	return refuse(schemas.Internal, "").because(err)
}

// errorBody is what every error looks like.
type errorBody struct {
	Error struct {
		Code    schemas.Code   `json:"code"`
		Message string         `json:"message"`
		Details map[string]any `json:"details"`
	} `json:"error"`
	RequestID string `json:"request_id"`
	JobID     string `json:"job_id,omitempty"`
	Timestamp string `json:"timestamp"`
}

// fail answers with an error. Where an answer has begun already only the log hears of it, and the connection is cut so that the client
// does not take half a result for a whole one.
func (g *Gateway) fail(c *gin.Context, err error) {
	r := refusalOf(err)
	ctx := c.Request.Context()
	status := schemas.Codes[r.code].HTTP
	if r.cause != nil && status >= http.StatusInternalServerError {
		g.log.WarnContext(ctx, "request refused", "code", r.code, "error", r.cause)
	}
	requestOf(c).code = r.code
	if c.Writer.Written() {
		panic(http.ErrAbortHandler)
	}
	job := telemetry.JobOf(ctx)
	b := errorBody{RequestID: job.RequestID, JobID: job.JobID, Timestamp: timestamp(time.Now())}
	b.Error.Code, b.Error.Message, b.Error.Details = r.code, r.message, r.details
	if b.Error.Details == nil {
		b.Error.Details = map[string]any{}
	}
	if r.hangs {
		c.Header("Connection", "close")
	}
	if r.after > 0 {
		c.Header("Retry-After", seconds(r.after))
	}
	if r.code == schemas.Unauthenticated {
		c.Header("WWW-Authenticate", `Bearer realm="docstream"`)
	}
	if d := dialect(c); d != nil {
		status, media, body := d.Refusal(r.code, status, r.message)
		g.reply(c, status, media, body)
		return
	}
	if wantsProblem(c.GetHeader("Accept")) {
		g.write(c, status, problemJSON, problemBody{errorBody: b, Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: r.message,
			Instance: "urn:docstream:" + job.RequestID})
		return
	}
	g.json(c, status, b)
}

// problemJSON is the media type of RFC 9457.
const problemJSON = "application/problem+json"

// problemBody is an error as RFC 9457 has it, for clients that ask for it; what every error says is in it too.
type problemBody struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	Instance string `json:"instance"`
	errorBody
}

// wantsProblem reports whether a client named the media type of problems, and did not refuse it.
func wantsProblem(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		if kind, q := preference(part); kind == problemJSON && q > 0 {
			return true
		}
	}
	return false
}

// seconds writes a duration as Retry-After does, at least 1.
func seconds(d time.Duration) string { return strconv.Itoa(max(1, int(math.Ceil(d.Seconds())))) }

// json answers with a body. Every answer gets a time to be read in.
func (g *Gateway) json(c *gin.Context, status int, body any) {
	g.write(c, status, "application/json", body)
}

func (g *Gateway) write(c *gin.Context, status int, media string, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err) // our own types: cannot fail
	}
	g.reply(c, status, media, b)
}

func (g *Gateway) reply(c *gin.Context, status int, media string, b []byte) {
	g.put(c, status, []string{media}, []string{strconv.Itoa(len(b))}, b)
}

// put is reply for who has the head's values at hand. They may be shared: they are replaced, never written to.
func (g *Gateway) put(c *gin.Context, status int, media, length []string, b []byte) {
	g.mayWrite(c)
	h := c.Writer.Header()
	h["Content-Type"], h["Content-Length"] = media, length
	c.Status(status)
	_, _ = c.Writer.Write(b) // who does not read it hears nothing more
}

// mayWrite gives the client the stall time to take what is written next. The wait for what is left of its body comes before that.
func (g *Gateway) mayWrite(c *gin.Context) {
	_ = http.NewResponseController(c.Writer).SetWriteDeadline(time.Now().Add(leftover + g.cfg.Stall)) // a recorder has no deadline
}
