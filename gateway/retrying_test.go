package gateway_test

import (
	"testing"
	"time"

	"docstream/schemas"
)

func TestAJobShowsTheRetryThatIsDueFirst(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	id := schemas.NewJobID(time.Now())
	s := snapshot("acme", id, 3, schemas.Processing)
	s.Retries = []schemas.Retry{
		{Page: 3, Stage: "ocr", Code: "ENGINE_TIMEOUT", Attempt: 2, MaxRetries: 3, Due: time.Now().Add(time.Hour)},
		{Page: 9, Stage: "ocr", Code: "ENGINE_CRASHED", Attempt: 1, MaxRetries: 3, Due: time.Now().Add(100 * time.Second)}}
	w.publish(s)
	var j struct {
		Status string
		Error  *struct {
			Code, Message string
			Details       struct {
				RetryCount int    `json:"retry_count"`
				MaxRetries int    `json:"max_retries"`
				Next       int    `json:"next_retry_in_seconds"`
				Reason     string `json:"reason"`
				Page       int    `json:"page"`
			}
		}
	}
	r.get(token, "/api/v1/jobs/"+id).into(t, &j)
	e := j.Error
	if e == nil || e.Code != "OCR_FAILED" || e.Message != "OCR processing failed. Retrying..." || e.Details.RetryCount != 1 || e.Details.MaxRetries != 3 ||
		e.Details.Next < 1 || e.Details.Next > 100 || e.Details.Reason != "ENGINE_CRASHED" || e.Details.Page != 9 {
		t.Errorf("the job shows %+v", e)
	}
	done := snapshot("acme", id, 4, schemas.Completed)
	done.Retries = s.Retries
	w.publish(done)
	eventually(t, "the job to have ended without an error", func() bool {
		j.Error = nil
		r.get(token, "/api/v1/jobs/"+id).into(t, &j)
		return j.Status == schemas.Completed && j.Error == nil
	})
}
