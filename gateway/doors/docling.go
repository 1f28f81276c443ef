package doors

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"docstream/internal/fault"
	"docstream/schemas"
)

// Docling is the dialect of docling-serve, version 1 of its API.
type Docling struct{}

// KeyHeader is where its clients send their key.
func (Docling) KeyHeader() string { return "X-Api-Key" }

// Refusal is {"detail": text}, as its framework says errors. A job that runs longer than a request may wait is its 504.
func (Docling) Refusal(code schemas.Code, status int, message string) (int, string, []byte) {
	if code == schemas.ResultNotReady {
		status = http.StatusGatewayTimeout
	}
	b, err := json.Marshal(map[string]string{"detail": coded(code, message)})
	if err != nil {
		panic(err) // two strings: cannot fail
	}
	return status, "application/json", b
}

// Convert is a POST of /v1/convert/file.
type Convert struct {
	formats      []string
	ranges       []string
	languages    []string
	noOCR, force bool
	noTables     bool
}

// conversions are docling's formats in ours; the ones that are missing are not composed here.
var conversions = map[string]string{"md": "markdown", "json": "json", "html": "html", "text": "text"}

// several are the lists among docling's fields.
var several = []string{"from_formats", "to_formats", "ocr_lang", "page_range"}

// enrichments change what a result says; nothing here makes them.
var enrichments = []string{"do_code_enrichment", "do_formula_enrichment", "do_picture_classification", "do_picture_description", "do_chart_extraction"}

// File is the field files, which holds one document here.
func (*Convert) File() string { return "files" }

// Many reports whether a field is a list.
func (*Convert) Many(field string) bool { return slices.Contains(several, field) }

// Field takes one option. Those that only choose or tune docling's own engines are ignored, as docling ignores what it does not know.
func (v *Convert) Field(name, value string) (err error) {
	switch name {
	case "to_formats":
		return v.to(value)
	case "ocr_lang":
		v.languages = append(v.languages, value)
	case "page_range":
		v.ranges = append(v.ranges, strings.TrimSpace(value))
	case "do_ocr":
		do, err := truth(name, value)
		v.noOCR = !do
		return err
	case "force_ocr":
		v.force, err = truth(name, value)
	case "do_table_structure":
		do, err := truth(name, value)
		v.noTables = !do
		return err
	case "target_type":
		if value != "" && value != "inbody" {
			return fault.Document(schemas.OptionNotAvailable, "Results come in the body; target_type %s is not offered.", short(value))
		}
	case "options":
		return fault.Document(schemas.InvalidOption, "Options are fields of the form, one for each.")
	}
	if slices.Contains(enrichments, name) {
		if on, err := truth(name, value); err != nil || on {
			return fault.Document(schemas.OptionNotAvailable, "The option %s is not offered.", name)
		}
	}
	return err
}

func (v *Convert) to(value string) error {
	for f := range strings.SplitSeq(value, ",") {
		ours, ok := conversions[strings.TrimSpace(f)]
		if !ok {
			return fault.Document(schemas.OptionNotAvailable, "The format %s is not offered; md, json, html and text are.", short(f))
		}
		if !slices.Contains(v.formats, ours) {
			v.formats = append(v.formats, ours)
		}
	}
	return nil
}

// Options says what was asked in our words. Markdown is what docling gives where nothing was said.
func (v *Convert) Options() ([]Option, error) {
	if len(v.formats) == 0 {
		v.formats = []string{"markdown"}
	}
	out := []Option{{"output_formats", strings.Join(v.formats, ",")}}
	switch {
	case v.noOCR:
		out = append(out, Option{"ocr", "off"})
	case v.force:
		out = append(out, Option{"ocr", "force"})
	}
	if v.noTables {
		out = append(out, Option{"tables", schemas.Off})
	}
	if len(v.languages) > 0 {
		out = append(out, Option{"languages", strings.Join(v.languages, ",")})
	}
	if len(v.ranges) > 0 {
		pages, err := pageRange(v.ranges)
		if err != nil {
			return nil, err
		}
		out = append(out, Option{"pages", pages})
	}
	return out, nil
}

// endless is from where on docling's clients mean the last page: they send the greatest number their machine has.
const endless = 1 << 30

// pageRange reads a first and a last page. All pages are no selection.
func pageRange(ends []string) (string, error) {
	if len(ends) == 1 {
		ends = strings.Split(strings.Trim(ends[0], "[]()"), ",")
	}
	if len(ends) != 2 {
		return "", invalid("page_range")
	}
	first, err1 := strconv.ParseUint(strings.TrimSpace(ends[0]), 10, 64)
	last, err2 := strconv.ParseUint(strings.TrimSpace(ends[1]), 10, 64)
	switch {
	case err1 != nil || err2 != nil || first < 1 || first > last || first > endless:
		return "", invalid("page_range")
	case last >= endless && first == 1:
		return "", nil
	case last >= endless:
		return strconv.FormatUint(first, 10) + "-", nil
	}
	return strconv.FormatUint(first, 10) + "-" + strconv.FormatUint(last, 10), nil
}

// short is what a client wrote, short enough to be said back.
func short(s string) string {
	s = strings.ToValidUTF8(strings.TrimSpace(s), "?")
	if len(s) > 40 {
		s = strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}

// conversionStatus says how a conversion ended.
func conversionStatus(job *schemas.JobSnapshot) string {
	switch job.Status {
	case schemas.Completed:
		return "success"
	case schemas.Partial:
		return "partial_success"
	}
	return "failure"
}

// doclingError is one of the errors of a conversion.
type doclingError struct {
	Component string `json:"component_type"`
	Module    string `json:"module_name"`
	Message   string `json:"error_message"`
}

// WriteConverted answers with what a job that has ended composed; a failed one has no document, and says why. The JSON among the outputs is
// ours, and is written as docling's document.
func WriteConverted(w io.Writer, job *schemas.JobSnapshot, out Outputs) error {
	problems := []doclingError{}
	if job.Code != "" {
		problems = append(problems, doclingError{"document_backend", job.Code, job.Message})
	}
	for _, f := range job.Failures {
		problems = append(problems, doclingError{"model", f.Code, "Page " + strconv.Itoa(f.Page) + ": " + f.Message})
	}
	s := newSheet(w)
	s.begin()
	s.name("document")
	s.begin()
	s.value("filename", job.Source.Filename)
	s.text("md_content", out["markdown"])
	s.docling("json_content", job, out["json"])
	s.text("html_content", out["html"])
	s.text("text_content", out["text"])
	s.value("doctags_content", nil)
	s.end()
	s.value("status", conversionStatus(job))
	s.value("errors", problems)
	s.value("processing_time", seconds(job))
	s.value("timings", struct{}{})
	s.end()
	return s.close()
}

// Task is where a job stands, as docling's clients poll it.
type Task struct {
	ID       string    `json:"task_id"`
	Type     string    `json:"task_type"`
	Status   string    `json:"task_status"`
	Position *int      `json:"task_position"`
	Meta     *TaskMeta `json:"task_meta"`
	Error    string    `json:"error_message,omitempty"`
}

// TaskMeta counts the documents of a task: one.
type TaskMeta struct {
	Docs      int `json:"num_docs"`
	Processed int `json:"num_processed"`
	Succeeded int `json:"num_succeeded"`
	Failed    int `json:"num_failed"`
}

// NewTask is a task that was just taken.
func NewTask(id string) Task { return Task{ID: id, Type: "convert", Status: "pending"} }

// TaskOf shows a job as a task. One that was cancelled or ran out of time has failed: docling knows nothing else.
func TaskOf(job *schemas.JobSnapshot) Task {
	t := NewTask(job.JobID)
	t.Meta = &TaskMeta{Docs: 1}
	switch {
	case job.Status == schemas.Pending:
	case !schemas.Terminal(job.Status):
		t.Status = "started"
	case job.Status == schemas.Completed || job.Status == schemas.Partial:
		t.Status = "success"
		t.Meta.Processed, t.Meta.Succeeded = 1, 1
	default:
		t.Status = "failure"
		t.Meta.Processed, t.Meta.Failed = 1, 1
		if job.Code != "" {
			t.Error = coded(schemas.Code(job.Code), job.Message)
		}
	}
	return t
}
