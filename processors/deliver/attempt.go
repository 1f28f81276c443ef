package deliver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"docstream/internal/outbound"
	"docstream/internal/seal"
	"docstream/schemas"
)

// The states of a message.
const (
	Due       = "due"
	Delivered = "delivered"
	Failed    = "failed"
)

// maxWait bounds what a receiver may ask for in Retry-After.
const maxWait = 24 * time.Hour

// outcome is how an attempt ended.
type outcome struct {
	status int           // of the answer; 0: there was none
	why    string        // in plain words; empty: delivered
	final  bool          // no attempt more can help
	gone   bool          // the receiver wants no message more
	after  time.Duration // the receiver asked for it
}

// attempt sends a message once.
func (d *Deliver) attempt(ctx context.Context, w *schemas.WebhookDue) outcome {
	address, secrets, why := d.receiver(w, time.Now())
	if why != "" {
		return outcome{why: why, final: true}
	}
	if _, err := d.guard.Parse(address); err != nil {
		return outcome{why: "the address may not be asked", final: true}
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	body, at := d.body(ctx, w), time.Now()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return outcome{why: "the address may not be asked", final: true}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "docstream")
	r.Header.Set("webhook-id", w.DeliveryID)
	r.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	r.Header.Set("webhook-signature", sign(secrets, w.DeliveryID, at, body))
	res, err := d.client.Do(r)
	switch {
	case errors.Is(err, outbound.ErrForbidden):
		return outcome{why: "the address may not be asked", final: true}
	case errors.Is(err, context.DeadlineExceeded):
		return outcome{why: "there was no answer in time"}
	case err != nil:
		return outcome{why: "the receiver cannot be reached"}
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, d.cfg.AnswerBytes)) // the status has said it all
	return judge(res, time.Now())
}

// judge reads an answer: 2xx is delivered, and nothing else is. A redirect is a failure: where it leads nobody agreed to.
func judge(res *http.Response, now time.Time) outcome {
	o := outcome{status: res.StatusCode}
	switch s := res.StatusCode; {
	case s >= 200 && s < 300:
		return o
	case s == http.StatusGone:
		o.why, o.final, o.gone = "the receiver wants no more", true, true
	case s >= 300 && s < 400:
		o.why = "the receiver redirects, which is not followed"
	default:
		o.why = "the receiver answered " + strconv.Itoa(s)
	}
	if after := res.Header.Get("Retry-After"); after != "" && !o.final {
		if n, err := strconv.Atoi(after); err == nil && n >= 0 {
			o.after = min(time.Duration(n)*time.Second, maxWait)
		} else if at, err := http.ParseTime(after); err == nil {
			o.after = min(max(0, at.Sub(now)), maxWait)
		}
	}
	return o
}

// receiver looks up where a message goes and what it is signed with, anew at each attempt: an endpoint may have been removed, or its
// secret rotated.
func (d *Deliver) receiver(w *schemas.WebhookDue, now time.Time) (address string, secrets [][]byte, why string) {
	if w.EndpointID == "" {
		s, err := seal.Derive(d.endpoints.house, Purpose(w.Tenant))
		if err != nil {
			return "", nil, "the message cannot be signed"
		}
		return w.URL, [][]byte{s}, ""
	}
	p, ok := d.endpoints.get(w.Tenant, w.EndpointID)
	switch {
	case !ok || !p.RemovedAt.IsZero():
		return "", nil, "the endpoint was removed"
	case !p.DisabledAt.IsZero():
		return "", nil, "the endpoint is disabled"
	}
	secrets, err := d.endpoints.secrets(p, now)
	if err != nil {
		return "", nil, "the secret of the endpoint cannot be opened"
	}
	return p.URL, secrets, ""
}

// after is the message as it stands after an attempt.
func (d *Deliver) after(w *schemas.WebhookDue, o outcome, now time.Time) *schemas.WebhookDue {
	n := *w
	n.At, n.Attempts, n.LastStatus, n.LastError = now.UTC(), w.Attempts+1, o.status, o.why
	switch {
	case o.why == "":
		n.State, n.EndedAt = Delivered, n.At
	case o.final || w.Attempts >= len(d.cfg.Schedule):
		n.State, n.EndedAt = Failed, n.At
	default:
		n.NextAt = n.At.Add(max(o.after, jitter(d.cfg.Schedule[w.Attempts])))
	}
	n.EventID = schemas.EventIDFor(n.DeliveryID, 0, "deliver", 0, n.Kind(), int64(n.Attempts))
	return &n
}

// jitter spreads waits by a tenth around what was asked for, so that what failed together does not come back together.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}

// host is where an address leads: messages to addresses that jobs name queue by it.
func host(address string) string {
	if u, err := url.Parse(address); err == nil {
		return u.Host
	}
	return ""
}
