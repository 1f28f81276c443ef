package csv

import (
	"bufio"
	"errors"
	"io"
	"strings"

	"docstream/processors/prepare/formats"
)

// records cuts a text into rows of fields.
//
// A field in quotes may hold the separator, line ends and doubled quotes. A quote that no writer of tables would have put there is a sign like
// any other: within a field, behind a field in quotes, or at the start of one whose quotes never end.
type records struct {
	in      *bufio.Reader
	comma   byte
	ahead   []string // lines that were read to find the end of a quote
	single  int      // how many of these are rows of their own: no quote before them ends
	ended   bool
	held    int // bytes ahead
	scratch []string
}

func newRecords(r io.Reader, comma byte) *records {
	return &records{in: bufio.NewReaderSize(&lineEnds{r: r}, 64<<10), comma: comma}
}

// next returns the fields of the next row; they are valid until the row after it is asked for.
func (c *records) next() ([]string, error) {
	row, err := c.line()
	if err != nil {
		return nil, err
	}
	alone := c.single > 0
	if alone {
		c.single--
	}
	fields, end := split(c.scratch[:0], row, c.comma, alone)
	if end == whole {
		c.scratch = fields
		return fields, nil
	}
	n, fields, err := c.longer(row)
	if err != nil {
		return nil, err
	}
	if fields == nil { // the quote never ends
		c.single = n
		fields, _ = split(c.scratch[:0], row, c.comma, true)
		c.scratch = fields
		return fields, nil
	}
	for _, l := range c.ahead[:n] {
		c.held -= len(l)
	}
	c.ahead, c.scratch = c.ahead[n:], fields
	return fields, nil
}

// tries is how often the end of a field in quotes is looked for: where quotes come in pairs it is found at the first.
const tries = 16

// longer adds lines to a row that ends within quotes, until it does not, and returns how many; without fields where it always does.
func (c *records) longer(row string) (lines int, fields []string, err error) {
	var b strings.Builder
	b.WriteString(row)
	odd, tried := strings.Count(row, `"`)%2 == 1, 0
	for n := 0; ; n++ {
		more, err := c.peek(n, maxRow-b.Len())
		if err != nil || more == "" {
			return n, nil, err
		}
		b.WriteByte('\n')
		b.WriteString(strings.TrimSuffix(more, "\n"))
		if odd = odd != (strings.Count(more, `"`)%2 == 1); odd {
			continue
		}
		fields, end := split(c.scratch[:0], b.String(), c.comma, false)
		if end == whole {
			return n + 1, fields, nil
		}
		if tried++; end == lost || tried == tries {
			return n, nil, nil
		}
	}
}

// line returns the next line without its end.
func (c *records) line() (string, error) {
	if len(c.ahead) > 0 {
		l := c.ahead[0]
		c.ahead, c.held = c.ahead[1:], c.held-len(l)
		return strings.TrimSuffix(l, "\n"), nil
	}
	l, err := c.read()
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(l, "\n"), nil
}

// peek returns the nth line ahead with its end; nothing at the end of the text or where room for it is used up.
func (c *records) peek(n, room int) (string, error) {
	for len(c.ahead) <= n {
		if c.held > room {
			return "", nil
		}
		l, err := c.read()
		if errors.Is(err, io.EOF) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		if !strings.HasSuffix(l, "\n") {
			l += "\n"
		}
		c.ahead, c.held = append(c.ahead, l), c.held+len(l)
	}
	return c.ahead[n], nil
}

// read reads a line with its end.
func (c *records) read() (string, error) {
	if c.ended {
		return "", io.EOF
	}
	var b strings.Builder
	for {
		part, err := c.in.ReadSlice('\n')
		if b.Write(part); b.Len() > maxRow {
			return "", formats.TooLarge("a row of more than %d bytes", maxRow)
		}
		switch {
		case err == nil:
			return b.String(), nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			if c.ended = true; b.Len() == 0 {
				return "", io.EOF
			}
			return b.String(), nil
		default:
			return "", formats.Corrupt(err)
		}
	}
}

// How a row, or a field that begins with a quote, ends.
const (
	whole   = iota // as it should
	stray          // with something behind its last quote: the quotes are signs of the field
	endless        // within quotes
	lost           // within quotes that were none: a line further down has others
)

// split cuts a row into fields. Where it is literal, a quote that does not end is a sign.
func split(out []string, row string, comma byte, literal bool) (fields []string, end int) {
	for {
		if len(out) > maxFields {
			return out, whole
		}
		if row == "" || row[0] != '"' {
			field, rest, more := strings.Cut(row, string(comma))
			if out = append(out, field); !more {
				return out, whole
			}
			row = rest
			continue
		}
		field, rest, end := quoted(row, comma)
		if end >= endless && !literal {
			return out, end
		}
		if end != whole {
			field, _, _ = strings.Cut(row, string(comma))
			rest = row[len(field):]
		}
		out = append(out, field)
		if rest == "" {
			return out, whole
		}
		row = rest[1:]
	}
}

// quoted reads a field in quotes. The rest begins with the separator or is empty.
func quoted(row string, comma byte) (field, rest string, end int) {
	var b strings.Builder
	for at := 1; ; {
		n := strings.IndexByte(row[at:], '"')
		if n < 0 {
			return "", "", endless
		}
		b.WriteString(row[at : at+n])
		at += n + 1
		behind := strings.TrimLeft(row[at:], " ")
		switch {
		case behind == "" || behind[0] == comma || behind[0] == '\n': // maybe with blanks before it
			if behind != "" && behind[0] == '\n' {
				return "", "", lost
			}
			return b.String(), behind, whole
		case row[at] == '"':
			b.WriteByte('"')
			at++
		case at > 1 && row[at-2] == comma || !closes(row[at:], comma):
			if strings.Contains(row[:at], "\n") {
				return "", "", lost
			}
			return "", "", stray
		default: // a quote within, that was not doubled
			b.WriteByte('"')
		}
	}
}

// closes reports whether what follows a quote ends with another one of the same field before a further field in quotes begins.
func closes(rest string, comma byte) bool {
	for at := 0; ; at++ {
		n := strings.IndexByte(rest[at:], '"')
		if n < 0 {
			return false
		}
		if at += n; at > 0 && rest[at-1] == comma {
			return false
		}
		if at+1 == len(rest) || rest[at+1] == comma {
			return true
		}
	}
}

// lineEnds writes the line ends of every system as one sign.
type lineEnds struct {
	r    io.Reader
	back bool // the last byte was a carriage return
}

func (e *lineEnds) Read(p []byte) (int, error) {
	for {
		n, err := e.r.Read(p)
		kept := 0
		for _, c := range p[:n] {
			if c == '\n' && e.back {
				e.back = false
				continue
			}
			if e.back = c == '\r'; e.back {
				c = '\n'
			}
			p[kept] = c
			kept++
		}
		if kept > 0 || err != nil || n == 0 {
			return kept, err
		}
	}
}
