// Package xlsx reads Excel workbooks: each sheet a page, numbers and dates as Excel shows them, merged cells as spans. What is drawn on a
// sheet follows its cells: pictures, text boxes, the data of charts.
//
// Rows and columns that are hidden are read like others, and a sheet that is hidden is a page that says so. A formula that nobody has worked
// out is shown as it is written. Comments are left out.
//
// Sheets are streamed; shared strings are held, bounded. What a sheet claims of its size is not looked at.
package xlsx

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"

	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/opc"
	"docstream/processors/prepare/formats/sheet"
	"docstream/processors/prepare/formats/xmltree"
)

// MediaType is what the format claims.
const MediaType = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

const (
	maxStrings = 4_000_000
	maxSheets  = 10_000
)

// Format is Excel's format.
type Format struct{}

// New returns the format.
func New() Format { return Format{} }

// Claims reports whether the media type is Excel's.
func (Format) Claims(media string) bool { return media == MediaType }

// Open reads everything but the cells, and counts these.
func (Format) Open(f *os.File, size int64, _ string, l formats.Limits) (formats.Document, error) {
	p, err := opc.Open(f, size, l)
	if err != nil {
		return nil, err
	}
	main, err := p.Main()
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(main, ".bin") {
		return nil, formats.Unsupported("the binary format of Excel")
	}
	b := &book{pkg: p}
	sheets, err := b.open(main)
	if err != nil {
		return nil, err
	}
	return sheet.New(sheets, l)
}

// book is an open workbook.
type book struct {
	pkg     *opc.Package
	strings []string
	shown   *formatter
}

// open reads the parts that all sheets share and lists the sheets. Charts that are sheets have no cells and are left out.
func (b *book) open(main string) ([]sheet.Sheet, error) {
	t, err := b.pkg.Tree(main)
	if err != nil {
		return nil, err
	}
	rels, err := b.pkg.Relations(main)
	if err != nil {
		return nil, err
	}
	old := t.Child("workbookPr").Attr("date1904")
	if b.shown, err = b.readStyles(main, old == "1" || old == "true"); err != nil {
		return nil, err
	}
	if err := b.readStrings(main); err != nil {
		return nil, err
	}
	var out []sheet.Sheet
	for _, n := range t.Child("sheets").All("sheet") {
		rel := rels[n.In("relationships", "id")]
		if rel.Kind != "worksheet" || rel.External {
			continue
		}
		if !b.pkg.Has(rel.Target) {
			return nil, formats.Corrupt(fmt.Errorf("sheet %q is missing", rel.Target))
		}
		if err := b.pkg.Begins(rel.Target, "worksheet"); err != nil {
			return nil, err
		}
		if len(out) == maxSheets {
			return nil, formats.TooLarge("more than %d sheets", maxSheets)
		}
		s := &worksheet{book: b, part: rel.Target}
		state := n.Attr("state")
		out = append(out, sheet.Sheet{Name: n.Attr("name"), Hidden: state == "hidden" || state == "veryHidden", Count: s.count, Open: s.open, Beside: s.drawn})
	}
	if len(out) == 0 {
		return nil, formats.Corrupt(errors.New("no sheets"))
	}
	return out, nil
}

// readStrings reads the strings that cells share.
func (b *book) readStrings(main string) error {
	name := b.pkg.Related(main, "sharedStrings")
	if name == "" {
		return nil
	}
	return b.pkg.Each(name, map[string]bool{"sst": true}, func(n *xmltree.Node) error {
		if len(b.strings) == maxStrings {
			return formats.TooLarge("more than %d strings", maxStrings)
		}
		b.strings = append(b.strings, rich(n))
		return nil
	})
}

// rich is the text of a string: plain, or in pieces that look different. How it is pronounced is left out.
func rich(n *xmltree.Node) string {
	var s strings.Builder
	for _, c := range n.Children {
		switch c.Name {
		case "t":
			s.WriteString(c.Content())
		case "r":
			s.WriteString(c.Child("t").Content())
		}
	}
	return unescaped(s.String())
}

var escaped = regexp.MustCompile(`_x([0-9A-Fa-f]{4})_`)

// unescaped puts in the characters that XML has no place for and that Excel writes as _x000D_.
func unescaped(s string) string {
	if !strings.Contains(s, "_x") {
		return s
	}
	return escaped.ReplaceAllStringFunc(s, func(m string) string {
		n, err := strconv.ParseUint(m[2:6], 16, 16)
		if r := rune(n); err == nil && !utf16.IsSurrogate(r) {
			return string(r)
		}
		return m
	})
}
