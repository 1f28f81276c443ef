// Package csv reads tables written in text: comma- or tab-separated values, in whatever encoding, separated by whatever sign.
//
// The sign is the one that cuts the first lines into rows of the same length most often. Rows are streamed.
package csv

import (
	"bufio"
	"encoding/csv"
	"errors"
	"io"
	"os"
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
	d.comma = separator(sample, media)
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
	comma   rune
}

func (d *table) open() (sheet.Rows, error) {
	in := &bounded{r: bufio.NewReaderSize(d.charset.Reader(io.NewSectionReader(d.file, 0, d.size)), 64<<10)}
	r := csv.NewReader(in)
	r.Comma, r.FieldsPerRecord, r.LazyQuotes, r.ReuseRecord = d.comma, -1, true, true
	return &rows{in: in, csv: r}, nil
}

// rows is a pass over the rows.
type rows struct {
	in  *bounded
	csv *csv.Reader
	row int
}

// Close has nothing to free.
func (r *rows) Close() {}

// Next returns the next row with something in it.
func (r *rows) Next() (*sheet.Row, error) {
	for {
		r.in.left = maxRow
		fields, err := r.csv.Read()
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		if err != nil {
			return nil, formats.Corrupt(err)
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

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return err == nil
}

// bounded refuses a row that does not end.
type bounded struct {
	r    io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, formats.TooLarge("a row of more than %d bytes", maxRow)
	}
	return n, err
}

// separators in the order in which they are preferred.
var separators = []rune{',', ';', '\t', '|'}

// separator finds the sign that separates: tabs where the type says so and there are any; else the sign that gives most rows the same
// number of fields, two or more.
func separator(sample, media string) rune {
	if media == Tab && strings.Contains(sample, "\t") {
		return '\t'
	}
	if line, _, ok := strings.Cut(sample, "\n"); ok { // Excel's own hint
		if s, ok := strings.CutPrefix(strings.TrimSpace(line), "sep="); ok && len(s) == 1 {
			return rune(s[0])
		}
	}
	best, most := ',', 0
	for _, c := range separators {
		if s := evenness(sample, c); s > most {
			best, most = c, s
		}
	}
	return best
}

// evenness is how many rows of the sample have as many fields as most have, times these fields less one; rows of one field do not count.
func evenness(sample string, comma rune) int {
	r := csv.NewReader(strings.NewReader(sample))
	r.Comma, r.FieldsPerRecord, r.LazyQuotes, r.ReuseRecord = comma, -1, true, true
	lengths := map[int]int{}
	for range 200 {
		f, err := r.Read()
		if err != nil {
			break
		}
		if len(f) > 1 {
			lengths[len(f)]++
		}
	}
	best := 0
	for n, rows := range lengths {
		best = max(best, rows*1000+min(n, 999))
	}
	return best
}
