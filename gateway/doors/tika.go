package doors

import (
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"docstream/internal/fault"
	"docstream/schemas"
)

// Tika is the dialect of the Tika server.
type Tika struct{}

// KeyHeader is empty: Tika knows no keys.
func (Tika) KeyHeader() string { return "" }

// Refusal is a status with a line of text. A job that runs longer than a request may wait is a 503, as Tika answers a parse that timed out.
func (Tika) Refusal(code schemas.Code, status int, message string) (int, string, []byte) {
	if code == schemas.ResultNotReady {
		status = http.StatusServiceUnavailable
	}
	return status, "text/plain; charset=utf-8", []byte(coded(code, message) + "\n")
}

// Parse is a PUT of /tika.
type Parse struct {
	Filename  string // of the document
	MediaType string // as the client declares it; empty: it does not
	answer    string // media type of the answer
	ocr       string
	languages string
}

// tikaTypes are the media types of the answer and the formats they are made from.
var tikaTypes = map[string]string{"text/plain": "text", "text/html": "html", "application/json": "html"}

// strategies are Tika's ways with the pages of a PDF in ours.
var strategies = map[string]string{"": "", "auto": "auto", "no_ocr": "off", "ocr_only": "force", "ocr_and_text_extraction": "force"}

// NewParse reads the head of a request.
func NewParse(h http.Header) (*Parse, error) {
	p := &Parse{answer: accepted(h.Get("Accept"))}
	if p.answer == "" {
		return nil, fault.Document(schemas.FormatNotComposed, "Ask for text/plain, text/html or application/json.")
	}
	if kind, _, err := mime.ParseMediaType(h.Get("Content-Type")); err == nil && kind != "application/octet-stream" && kind != "application/x-www-form-urlencoded" {
		p.MediaType = kind // the other two are what clients send who say nothing
	}
	if kind, params, err := mime.ParseMediaType(h.Get("Content-Disposition")); err == nil && kind == "attachment" {
		p.Filename = params["filename"]
	}
	if p.Filename == "" {
		p.Filename = h.Get("File-Name")
	}
	ocr, ok := strategies[strings.ToLower(h.Get("X-Tika-PDFOcrStrategy"))]
	if !ok {
		return nil, invalid("X-Tika-PDFOcrStrategy")
	}
	p.ocr, p.languages = ocr, strings.ReplaceAll(h.Get("X-Tika-OCRLanguage"), "+", ",")
	return p, nil
}

// accepted is the first media type of an Accept header that Tika's door gives; empty: none is. Text is what is given to who takes anything.
func accepted(header string) string {
	if strings.TrimSpace(header) == "" {
		return "text/plain"
	}
	for entry := range strings.SplitSeq(header, ",") {
		kind, _, err := mime.ParseMediaType(entry)
		switch {
		case err != nil:
		case kind == "*/*" || kind == "text/*":
			return "text/plain"
		case tikaTypes[kind] != "":
			return kind
		}
	}
	return ""
}

// Format is the format of ours that is wanted.
func (p *Parse) Format() string { return tikaTypes[p.answer] }

// Options asks for the one format.
func (p *Parse) Options() []Option {
	return []Option{{"output_formats", p.Format()}, {"ocr", p.ocr}, {"languages", p.languages}}
}

// Answer is the media type of the answer.
func (p *Parse) Answer() string {
	if strings.HasPrefix(p.answer, "text/") {
		return p.answer + "; charset=utf-8"
	}
	return p.answer
}

// Write answers with the content of a job that has ended: bare, or as JSON with Tika's names of what is known of the document.
func (p *Parse) Write(w io.Writer, job *schemas.JobSnapshot, out Outputs) error {
	if p.answer != "application/json" {
		_, err := io.Copy(w, out[p.Format()])
		return err
	}
	s := newSheet(w)
	s.begin()
	s.value("Content-Type", job.Source.MediaType)
	s.value("Content-Length", strconv.FormatInt(job.Source.Size, 10))
	if job.Source.Filename != "" {
		s.value("resourceName", job.Source.Filename)
	}
	s.value("xmpTPg:NPages", strconv.Itoa(job.PagesTotal))
	s.value("docstream:job_id", job.JobID)
	s.text("X-TIKA:content", out[p.Format()])
	s.end()
	return s.close()
}
