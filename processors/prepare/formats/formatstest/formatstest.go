// Package formatstest makes documents for the tests of the formats and shows what was read of them.
package formatstest

import (
	"archive/zip"
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/image/bmp"

	"docstream/processors/prepare/formats"
	"docstream/schemas/document"
)

// Limits suit every document of a test.
var Limits = formats.Limits{Pages: 1000, Side: 10_000, Pixels: 64_000_000, Text: 8 << 20, Unpacked: 64 << 20, Parts: 1000, Depth: 128,
	Attachments: 20, Letters: 3}

// Part is one file of a container.
type Part struct{ Name, Body string }

// Zip packs parts, the first without packing, as e-books want it. The bytes are the same each time.
func Zip(parts ...Part) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i, p := range parts {
		h := &zip.FileHeader{Name: p.Name, Method: zip.Deflate}
		if i == 0 {
			h.Method = zip.Store
		}
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = w.Write([]byte(p.Body))
		}
		if err != nil {
			panic(err) // a buffer takes everything
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// T is what a test and a fuzz target have in common here.
type T interface {
	Helper()
	TempDir() string
	Fatal(...any)
	Cleanup(func())
}

// Open opens bytes as a document of a format.
func Open(t T, f formats.Format, media string, b []byte, l formats.Limits) (formats.Document, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "document")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	d, err := f.Open(file, int64(len(b)), media, l)
	if err == nil {
		t.Cleanup(d.Close)
	}
	return d, err
}

// Read reads all pages of a document of a format.
func Read(t T, f formats.Format, media string, b []byte) ([]*document.Page, error) {
	t.Helper()
	d, err := Open(t, f, media, b, Limits)
	if err != nil {
		return nil, err
	}
	return Pages(d)
}

// Pages reads all pages of a document, which have to be text.
func Pages(d formats.Document) ([]*document.Page, error) {
	var out []*document.Page
	for n := range d.Pages() {
		p, err := d.Read(n+1, formats.Want{OCR: formats.Auto, DPI: 150, Side: 4096})
		if err != nil {
			return out, err
		}
		if p.Text == nil {
			return out, fmt.Errorf("page %d is a picture", n+1)
		}
		if p.Text.Number != n+1 {
			return out, fmt.Errorf("page %d says it is %d", n+1, p.Text.Number)
		}
		out = append(out, p.Text)
	}
	return out, nil
}

// Dot is a picture file of one colour, side by side pixels, in one of the formats that office programs write.
func Dot(kind string, side int) []byte {
	m := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	var b bytes.Buffer
	var err error
	switch kind {
	case "png":
		err = png.Encode(&b, m)
	case "jpeg":
		err = jpeg.Encode(&b, m, nil)
	case "gif":
		err = gif.Encode(&b, m, nil)
	case "bmp":
		err = bmp.Encode(&b, m)
	}
	if err != nil {
		panic(err) // a buffer takes everything
	}
	return b.Bytes()
}

// Figures reads all pages with their pictures: a line for each figure, with what is said of it and the type and size of what it shows.
func Figures(t T, f formats.Format, media string, b []byte) string {
	t.Helper()
	d, err := Open(t, f, media, b, Limits)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for n := range d.Pages() {
		p, err := d.Read(n+1, formats.Want{OCR: formats.Auto, DPI: 150, Side: 4096, Figures: true})
		if err != nil || p.Text == nil {
			t.Fatal(err, "or no text")
		}
		for i, k := range p.Text.Blocks {
			if k.Kind != document.Figure {
				continue
			}
			fmt.Fprintf(&out, "%d %q", n+1, k.Text)
			for _, x := range p.Pictures {
				if x.Block == i {
					fmt.Fprintf(&out, " %s %dx%d", x.MediaType, x.Width, x.Height)
					if c, _, err := image.DecodeConfig(bytes.NewReader(x.Data)); err != nil || c.Width != x.Width || c.Height != x.Height {
						t.Fatal("the picture is not what it says: ", c, err)
					}
				}
			}
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// Outline writes pages so that a test can say what it expects: a line for each block, "---" between pages.
func Outline(pages []*document.Page) string {
	var b strings.Builder
	for i, p := range pages {
		if i > 0 {
			b.WriteString("---\n")
		}
		if p.Title != "" || p.Hidden {
			fmt.Fprintf(&b, "part %s%s\n", p.Title, map[bool]string{true: " (hidden)"}[p.Hidden])
		}
		for _, k := range p.Blocks {
			b.WriteString(block(k))
		}
	}
	return b.String()
}

func block(k document.Block) string {
	if k.Table != nil {
		return table(k.Table)
	}
	kind := k.Kind
	if k.Level > 0 {
		kind += fmt.Sprint(k.Level)
	}
	if k.Label != "" {
		kind += "[" + k.Label + "]"
	}
	return kind + ": " + strings.ReplaceAll(k.Text, "\n", "⏎") + spans(k.Text, k.Spans) + "\n"
}

func spans(text string, all []document.Span) string {
	var b strings.Builder
	for _, s := range all {
		fmt.Fprintf(&b, " {%s %q %s}", s.Kind, string([]rune(text)[s.Start:s.End]), s.Target)
	}
	return strings.ReplaceAll(b.String(), " }", "}")
}

// table writes a row a line: cells between bars, * for a header, the size of what spans.
func table(t *document.Table) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table %dx%d%s\n", t.Rows, t.Columns, map[bool]string{true: " continues"}[t.Continues])
	row := -1
	for _, c := range t.Cells {
		if c.Row != row {
			if row >= 0 {
				b.WriteString("\n")
			}
			row = c.Row
			fmt.Fprintf(&b, " %d:", row)
		}
		fmt.Fprintf(&b, " |%d ", c.Column)
		if c.Header {
			b.WriteString("*")
		}
		b.WriteString(strings.ReplaceAll(c.Text, "\n", "⏎") + spans(c.Text, c.Spans))
		if c.RowSpan > 1 || c.ColumnSpan > 1 {
			fmt.Fprintf(&b, " (%dx%d)", max(1, c.RowSpan), max(1, c.ColumnSpan))
		}
	}
	return b.String() + "\n"
}
