// Package csv reads tables written in text: comma- or tab-separated values, in whatever encoding, separated by whatever sign.
//
// The sign is the one that cuts the first lines into rows of the same length most often. Rows are streamed.
package csv

import (
	"errors"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/sheet"
	"docstream/processors/prepare/formats/text"
	"docstream/schemas"
)

// The media types of the format.
const (
	Comma = "text/csv"
	Tab   = "text/tab-separated-values"
)

const (
	sampleBytes = 64 << 10 // looked at to find the encoding and the separator
	maxRow      = 8 << 20  // bytes of one row
	maxFields   = 100_000
)

// Format is values separated by commas, tabs or other signs.
type Format struct{}

// New returns the format.
func New() Format { return Format{} }

// Claims reports whether the media type is one of the two.
func (Format) Claims(media string) bool { return media == Comma || media == Tab }

// Open finds the encoding and the separator, and counts the rows.
func (Format) Open(f *os.File, size int64, media string, l formats.Limits) (formats.Document, error) {
	if size == 0 {
		return nil, fault.Document(schemas.DocumentEmpty, "%s", schemas.Codes[schemas.DocumentEmpty].Meaning)
	}
	head := make([]byte, min(size, sampleBytes))
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, formats.Corrupt(err)
	}
	d := &table{file: f, size: size, charset: text.Detect(head)}
	sample := text.Decode(head)
	if int64(len(head)) < size { // the last line may have been cut
		sample = sample[:strings.LastIndexByte(sample, '\n')+1]
	}
	d.comma, d.hint = separator(sample, media)
	if first, err := d.open(); err == nil {
		if _, err := first.Next(); errors.Is(err, io.EOF) {
			return nil, formats.NoWords()
		}
	}
	return sheet.New([]sheet.Sheet{{Count: d.open, Open: d.open}}, l)
}

// table is an open file.
type table struct {
	file    *os.File
	size    int64
	charset text.Charset
	comma   byte
	hint    bool // the first line only names the separator
}

func (d *table) open() (sheet.Rows, error) {
	r := newRecords(d.charset.Reader(io.NewSectionReader(d.file, 0, d.size)), d.comma)
	if d.hint {
		if _, err := r.next(); err != nil {
			return nil, err
		}
	}
	return &rows{records: r}, nil
}

// rows is a pass over the rows.
type rows struct {
	records *records
	row     int
}

// Close has nothing to free.
func (r *rows) Close() {}

// Next returns the next row with something in it.
func (r *rows) Next() (*sheet.Row, error) {
	for {
		fields, err := r.records.next()
		if err != nil {
			return nil, err
		}
		if len(fields) > maxFields {
			return nil, formats.TooLarge("a row of %d fields", len(fields))
		}
		out := &sheet.Row{Index: r.row, Cells: make([]sheet.Cell, len(fields))}
		for i, f := range fields {
			out.Cells[i] = sheet.Cell{Column: i, Text: strings.Clone(f), Word: !isNumber(f)}
		}
		if out.Blank() {
			continue
		}
		r.row++
		return out, nil
	}
}

// numeric are numbers as people write them: with groups, decimal commas, signs of currencies and per cent.
var numeric = regexp.MustCompile(`^[-+(]?[$€£¥]?\s?[-+]?\d[\d.,' ]*\s?[%€$£¥]?\)?$`)

func isNumber(s string) bool {
	s = strings.TrimSpace(s)
	_, err := strconv.ParseFloat(s, 64)
	return err == nil || len(s) < 64 && numeric.MatchString(s)
}

// separators in the order in which they are preferred.
var separators = []byte{',', ';', '\t', '|'}

// separator finds the sign that separates: the one that the first line names, if it does nothing else; tabs where the type says so and there
// are any; else the sign that gives most rows the same number of fields, two or more.
func separator(sample, media string) (sign byte, hint bool) {
	line, _, _ := strings.Cut(sample, "\n")
	if s, ok := strings.CutPrefix(strings.ToLower(strings.Trim(line, "\r\"\ufeff")), "sep="); ok && len(s) == 1 { // Excel's own hint
		return s[0], true
	}
	if media == Tab && strings.Contains(sample, "\t") {
		return '\t', false
	}
	best, most := byte(','), score{}
	for _, c := range separators {
		if s := evenness(sample, c); s.rows > most.rows || s.rows == most.rows && s.rows > 0 && (s.torn < most.torn || s.torn == most.torn && s.fields > most.fields) {
			best, most = c, s
		}
	}
	return best, false
}

// score says how well a sign separates a sample.
type score struct {
	rows   int // that have as many fields as most have, two or more
	fields int // these
	torn   int // fields with another separator in them, where no number or sentence has one
}

// evenness tries a sign on a sample.
func evenness(sample string, comma byte) score {
	r := newRecords(strings.NewReader(sample), comma)
	lengths, torn := map[int]int{}, 0
	for range 200 {
		f, err := r.next()
		if err != nil {
			break
		}
		if len(f) > 1 {
			lengths[len(f)]++
		}
		for _, x := range f {
			if tears(x, comma) {
				torn++
			}
		}
	}
	best := score{torn: torn}
	for n, rows := range lengths {
		if rows > best.rows || rows == best.rows && n > best.fields {
			best.rows, best.fields = rows, n
		}
	}
	return best
}

// tears reports whether a field holds another separator than the one tried, close between two other signs that are not both digits.
func tears(field string, comma byte) bool {
	for i := 1; i+1 < len(field); i++ {
		c := field[i]
		if c == comma || c != ',' && c != ';' && c != '\t' && c != '|' || field[i+1] == ' ' || field[i-1] == ' ' {
			continue
		}
		if c != ',' || field[i-1] < '0' || field[i-1] > '9' || field[i+1] < '0' || field[i+1] > '9' {
			return true
		}
	}
	return false
}
