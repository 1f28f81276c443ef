// Package doors speaks the APIs of other services, so that what was written for them works on this one: DocStrange's web app, docling-serve
// and Tika. It only translates: what their clients ask into options of ours, a job that has ended into an answer of theirs, a refusal into
// an error of theirs. Who may ask, how much and how long is the gateway's, the same as at the front.
//
// What changes what comes back is honoured or refused, never silently dropped; what only tunes another service's engine is ignored.
package doors

import (
	"bufio"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"docstream/internal/fault"
	"docstream/schemas"
)

// Dialect is how a service talks to its clients.
type Dialect interface {
	// KeyHeader names the header its clients send an API key in, beside Authorization; empty: none.
	KeyHeader() string
	// Refusal is how it says an error: the status, the media type and the body.
	Refusal(code schemas.Code, status int, message string) (int, string, []byte)
}

// Ask is what one client asks, read field by field as its form comes in. The errors are refusals, fit for the client.
type Ask interface {
	// File names the field with the document.
	File() string
	// Many reports whether a field may come several times.
	Many(field string) bool
	// Field takes one field.
	Field(name, value string) error
	// Options says in the options of the API what was asked. It is called once, when all fields have come.
	Options() ([]Option, error)
}

// Option is one option of the API.
type Option struct{ Name, Value string }

// Outputs are the results of a job by format. They are read once, in any order.
type Outputs map[string]io.Reader

// coded is a message with its stable code: these services' errors have no other place for it.
func coded(code schemas.Code, message string) string { return message + " (" + string(code) + ")" }

func invalid(field string) error {
	return fault.Document(schemas.InvalidOption, "The value of the field %s is not one of those allowed.", field)
}

// truth reads a switch as forms write it.
func truth(field, value string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(value)) {
	case "true", "1", "yes", "on", "t", "y":
		return true, nil
	case "false", "0", "no", "off", "f", "n", "":
		return false, nil
	}
	return false, invalid(field)
}

// sheet writes JSON piece by piece, so that an answer of any size is never held (P6). The first error stays.
type sheet struct {
	w     *bufio.Writer
	comma bool
	err   error
}

func newSheet(w io.Writer) *sheet { return &sheet{w: bufio.NewWriterSize(w, 32<<10)} }

func (s *sheet) raw(text string) {
	if s.err == nil {
		_, s.err = s.w.WriteString(text)
	}
}

func (s *sheet) begin() { s.raw("{"); s.comma = false }
func (s *sheet) end()   { s.raw("}"); s.comma = true }

func (s *sheet) name(name string) {
	if s.comma {
		s.raw(",")
	}
	s.comma = true
	s.raw(strconv.Quote(name) + ":") // names are ours: plain ASCII
}

// value writes a field that is small.
func (s *sheet) value(name string, v any) {
	s.name(name)
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // our own types: cannot fail
	}
	s.raw(string(b))
}

// text writes a field whose value is a text that streams by; nil is null. Bytes that are no UTF-8 cannot be in it: compose writes none.
func (s *sheet) text(name string, from io.Reader) {
	s.name(name)
	if from == nil {
		s.raw("null")
		return
	}
	s.raw(`"`)
	if s.err == nil {
		_, s.err = io.Copy(escaper{s.w}, from)
	}
	s.raw(`"`)
}

func (s *sheet) close() error {
	if s.err == nil {
		s.err = s.w.Flush()
	}
	return s.err
}

// escaper writes what may stand within a JSON string.
type escaper struct{ w *bufio.Writer }

const hexadecimal = "0123456789abcdef"

func (e escaper) Write(p []byte) (int, error) {
	from := 0
	for i, c := range p {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		_, _ = e.w.Write(p[from:i]) // an error stays: the last write tells of it
		switch c {
		case '"', '\\':
			_, _ = e.w.Write([]byte{'\\', c})
		case '\n':
			_, _ = e.w.WriteString(`\n`)
		default:
			_, _ = e.w.Write([]byte{'\\', 'u', '0', '0', hexadecimal[c>>4], hexadecimal[c&15]})
		}
		from = i + 1
	}
	if _, err := e.w.Write(p[from:]); err != nil {
		return 0, err
	}
	return len(p), nil
}
