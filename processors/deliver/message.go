package deliver

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"docstream/schemas"
)

// message is the body of a webhook, as Standard Webhooks has it: what happened, when, and to what.
type message struct {
	Type      string `json:"type"`
	Timestamp string `json:"timestamp"`
	Data      data   `json:"data"`
}

type data struct {
	JobID     string            `json:"job_id"`
	Run       int               `json:"run"`
	Status    string            `json:"status"`
	StatusURL string            `json:"status_url"`
	ResultURL string            `json:"result_url,omitempty"`
	Formats   []string          `json:"formats,omitempty"`
	Pages     pages             `json:"pages"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	Result    *result           `json:"result,omitempty"`
	Error     *problem          `json:"error,omitempty"`
	RequestID string            `json:"request_id,omitempty"`
}

type pages struct {
	Expected int `json:"expected"`
	Done     int `json:"done"`
	Failed   int `json:"failed"`
}

// result is a small result itself.
type result struct {
	Format    string `json:"format"`
	MediaType string `json:"media_type"`
	Content   string `json:"content"`
}

// problem is why a job has no result, as the API shows it.
type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// body writes a message. The same message has the same body at every attempt, unless the result has gone meanwhile.
func (d *Deliver) body(ctx context.Context, w *schemas.WebhookDue) []byte {
	m := message{Type: w.Type, Timestamp: w.FirstAt.UTC().Format(time.RFC3339Nano), Data: data{
		JobID: w.JobID, Run: w.Run, Status: w.Status, StatusURL: d.link(w.JobID), Metadata: w.Metadata, RequestID: w.RequestID,
		Pages: pages{w.PagesExpected, w.PagesDone, w.PagesFailed},
	}}
	if w.Status == schemas.Completed || w.Status == schemas.Partial {
		m.Data.ResultURL = d.link(w.JobID) + "/result"
		for _, o := range w.Outputs {
			m.Data.Formats = append(m.Data.Formats, o.Format)
		}
		m.Data.Result = d.small(ctx, w)
	}
	if w.Status == schemas.Failed || w.Status == schemas.Expired {
		m.Data.Error = &problem{w.Code, w.Message}
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // our own types: cannot fail
	}
	return b
}

func (d *Deliver) link(job string) string {
	return strings.TrimSuffix(d.cfg.PublicURL, "/") + "/api/v1/jobs/" + job
}

// small reads the first output, where it is small enough to travel along: the first of a result is the one people read. Only what lies
// where the tenant's results lie is read (P8).
func (d *Deliver) small(ctx context.Context, w *schemas.WebhookDue) *result {
	if len(w.Outputs) == 0 || d.objects == nil {
		return nil
	}
	o := w.Outputs[0]
	if o.Size > d.cfg.ResultBytes || !strings.HasPrefix(o.Key, schemas.ResultPrefix(w.Tenant, w.JobID)) {
		return nil
	}
	body, _, err := d.objects.Get(ctx, o.Key, 0, 0)
	if err != nil {
		return nil // the address says where it is, or was
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, d.cfg.ResultBytes+1))
	if err != nil || int64(len(b)) > d.cfg.ResultBytes {
		return nil
	}
	return &result{o.Format, o.MediaType, string(b)}
}

// sign returns the signatures of a message under each secret, as Standard Webhooks writes them.
func sign(secrets [][]byte, id string, at time.Time, body []byte) string {
	var out []string
	for _, s := range secrets {
		h := hmac.New(sha256.New, s)
		h.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		h.Write(body)
		out = append(out, "v1,"+base64.StdEncoding.EncodeToString(h.Sum(nil)))
	}
	return strings.Join(out, " ")
}
