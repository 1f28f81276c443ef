package gateway

import (
	"math"
	"strings"
	"time"

	"docstream/schemas"
)

// stageErrors says what of a job failed, by stage: the code of the work and its name in a sentence.
var stageErrors = map[string]struct {
	code schemas.Code
	name string
}{
	"prepare": {schemas.PrepareFailed, "Preparing"},
	"fetch":   {schemas.URLUnreachable, "Fetching"},
	"layout":  {schemas.LayoutFailed, "Layout"},
	"ocr":     {schemas.OCRFailed, "OCR"},
	"compose": {schemas.ComposeFailed, "Output"},
}

// retrying is the error a job shows while work of it waits for its next attempt: of several the one that is due first.
func retrying(s *schemas.JobSnapshot, now time.Time) *jobError {
	if schemas.Terminal(s.Status) || len(s.Retries) == 0 {
		return nil
	}
	r := s.Retries[0]
	for _, x := range s.Retries[1:] {
		if x.Due.Before(r.Due) {
			r = x
		}
	}
	e, ok := stageErrors[r.Stage]
	if !ok {
		e.code, e.name = schemas.StageFailed, strings.ToUpper(r.Stage[:min(1, len(r.Stage))])+r.Stage[min(1, len(r.Stage)):]
	}
	details := map[string]any{"retry_count": r.Attempt, "max_retries": r.MaxRetries, "next_retry_in_seconds": int(math.Ceil(max(0, r.Due.Sub(now).Seconds()))),
		"reason": r.Code, "waiting": len(s.Retries)}
	if r.Page > 0 {
		details["page"] = r.Page
	}
	return &jobError{Code: string(e.code), Message: e.name + " processing failed. Retrying...", Details: details}
}
