package doors

import (
	"encoding/json"
	"io"
	"net/http"
	"path"
	"strings"

	"docstream/schemas"
)

// DocStrange is the dialect of DocStrange's web app.
type DocStrange struct{}

// KeyHeader is empty: the web app knows no keys.
func (DocStrange) KeyHeader() string { return "" }

// Refusal is the flat {"error": text}. A type nobody reads is the web app's 400.
func (DocStrange) Refusal(code schemas.Code, status int, message string) (int, string, []byte) {
	if status == http.StatusUnsupportedMediaType {
		status = http.StatusBadRequest
	}
	b, err := json.Marshal(map[string]string{"error": coded(code, message)})
	if err != nil {
		panic(err) // two strings: cannot fail
	}
	return status, "application/json", b
}

// Extract is a POST of /api/extract.
type Extract struct{ format, mode string }

// extracts are the web app's formats in ours; any other is Markdown there.
var extracts = map[string]string{"markdown": "markdown", "html": "html", "json": "json", "flat-json": "json", "csv": "csv", "text": "text"}

// File is the field file.
func (*Extract) File() string { return "file" }

// Many reports false: every field comes once.
func (*Extract) Many(string) bool { return false }

// Field takes output_format and processing_mode. The mode chooses nothing: lanes go by the document. It is told back as the web app does.
func (e *Extract) Field(name, value string) error {
	switch name {
	case "output_format":
		e.format = value
	case "processing_mode":
		e.mode = strings.ToLower(strings.TrimSpace(value))
	}
	return nil
}

// Format is the format of ours that is wanted.
func (e *Extract) Format() string {
	if f, ok := extracts[e.format]; ok {
		return f
	}
	return "markdown"
}

// Options asks for the one format.
func (e *Extract) Options() ([]Option, error) {
	return []Option{{"output_formats", e.Format()}}, nil
}

// Write answers with the content of a job that has ended.
func (e *Extract) Write(w io.Writer, job *schemas.JobSnapshot, out Outputs) error {
	if e.format == "" {
		e.format = "markdown"
	}
	if e.mode != "gpu" {
		e.mode = "cpu"
	}
	s := newSheet(w)
	s.begin()
	s.value("success", true)
	s.text("content", out[e.Format()])
	s.value("metadata", map[string]any{
		"file_type": strings.ToLower(path.Ext(job.Source.Filename)), "file_name": job.Source.Filename, "file_size": job.Source.Size,
		"pages_processed": job.PagesDone, "processing_time": seconds(job), "output_format": e.format, "processing_mode": e.mode, "job_id": job.JobID})
	s.end()
	return s.close()
}

// seconds is how long a job that has ended took since it was opened.
func seconds(job *schemas.JobSnapshot) float64 {
	if job.OpenedAt.IsZero() || job.EndedAt.Before(job.OpenedAt) {
		return 0
	}
	return job.EndedAt.Sub(job.OpenedAt).Seconds()
}
