package xlsx_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/formatstest"
	"docstream/processors/prepare/formats/xlsx"
	"docstream/schemas"
)

const kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"

// book packs sheets, each the XML of its inside.
func book(sheets ...string) []byte {
	return bookWith(`<styleSheet><numFmts><numFmt numFmtId="170" formatCode="&quot;€&quot;\ #,##0.00"/></numFmts><cellXfs>`+
		`<xf numFmtId="0"/><xf numFmtId="4"/><xf numFmtId="10"/><xf numFmtId="170"/><xf numFmtId="20"/></cellXfs></styleSheet>`, sheets...)
}

// bookWith is a book with styles.
func bookWith(styles string, sheets ...string) []byte {
	parts := []formatstest.Part{
		{Name: "[Content_Types].xml", Body: "<Types/>"},
		{Name: "_rels/.rels", Body: `<Relationships><Relationship Id="a" Type="` + kind + `officeDocument" Target="xl/workbook.xml"/></Relationships>`},
	}
	list, rels := "", `<Relationship Id="s" Type="`+kind+`styles" Target="styles.xml"/><Relationship Id="t" Type="`+kind+`sharedStrings" Target="strings.xml"/>`
	for i, s := range sheets {
		state := map[int]string{1: ` state="hidden"`}[i]
		list += fmt.Sprintf(`<sheet name="Sheet %d" r:id="r%d"%s/>`, i+1, i, state)
		rels += fmt.Sprintf(`<Relationship Id="r%d" Type="%sworksheet" Target="worksheets/%d.xml"/>`, i, kind, i)
		parts = append(parts, formatstest.Part{Name: fmt.Sprintf("xl/worksheets/%d.xml", i), Body: "<worksheet>" + s + "</worksheet>"})
	}
	return formatstest.Zip(append(parts,
		formatstest.Part{Name: "xl/workbook.xml", Body: `<workbook xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>` + list + `</sheets></workbook>`},
		formatstest.Part{Name: "xl/_rels/workbook.xml.rels", Body: "<Relationships>" + rels + "</Relationships>"},
		formatstest.Part{Name: "xl/strings.xml", Body: `<sst><si><t>ship</t></si><si><r><t>rich </t></r><r><t>text</t></r><rPh><t>spoken</t></rPh></si><si><t>a_x000D_&#10;b _x0041_ _xyz_</t></si></sst>`},
		formatstest.Part{Name: "xl/styles.xml", Body: styles},
	)...)
}

func data(rows string) string { return "<sheetData>" + rows + "</sheetData>" }

func TestSheetsAreReadAsTheyAreShown(t *testing.T) {
	for name, c := range map[string]struct {
		sheets []string
		want   string
	}{
		"kinds of cells": {[]string{data(`<row r="2"><c r="B2" t="s"><v>0</v></c><c r="C2" t="s"><v>1</v></c><c r="D2" t="inlineStr"><is><t>inline</t></is></c></row>` +
			`<row r="3"><c r="B3"><v>0.30000000000000004</v></c><c r="C3" t="b"><v>1</v></c><c r="D3" t="e"><v>#DIV/0!</v></c></row>`)},
			"part Sheet 1\ntable 2x3\n 0: |0 *ship |1 *rich text |2 *inline\n 1: |0 0.3 |1 TRUE |2 #DIV/0!\n"},
		"numbers as shown": {[]string{data(`<row r="1"><c r="A1" s="1"><v>1599.5</v></c><c r="B1" s="2"><v>0.025</v></c><c r="C1" s="3"><v>1234.5</v></c><c r="D1" s="4"><v>0.75</v></c><c r="E1"><v>12345678901234</v></c></row>`)},
			"part Sheet 1\ntable 1x5\n 0: |0 1,599.50 |1 2.50% |2 € 1,234.50 |3 18:00 |4 12345678901234\n"},
		"characters that XML has no place for": {[]string{data(`<row r="1"><c r="A1" t="s"><v>2</v></c><c r="B1"><v>1</v></c></row>`)},
			"part Sheet 1\ntable 1x2\n 0: |0 a⏎b A _xyz_ |1 1\n"},
		"merged cells": {[]string{data(`<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="str"><v>under</v></c><c r="C1" t="str"><v>c</v></c></row><row r="2"><c r="A2" t="str"><v>under</v></c><c r="C2"><v>1</v></c></row>`) +
			`<mergeCells><mergeCell ref="A1:B2"/></mergeCells>`},
			"part Sheet 1\ntable 2x3\n 0: |0 *ship (2x2) |2 *c\n 1: |2 1\n"},
		"a gap parts tables, one word is a paragraph": {[]string{data(`<row r="1"><c r="A1" t="str"><v>Title</v></c></row><row r="5"><c r="A5"><v>1</v></c><c r="B5"><v>2</v></c></row><row r="7"><c r="A7"><v>3</v></c></row>`)},
			"part Sheet 1\nparagraph: Title\ntable 2x2\n 0: |0 1 |1 2\n 1: |0 3\n"},
		"several sheets, one hidden": {[]string{data(`<row><c><v>1</v></c><c><v>2</v></c></row>`), data(`<row><c><v>3</v></c><c><v>4</v></c></row>`)},
			"part Sheet 1\nheading2: Sheet 1\ntable 1x2\n 0: |0 1 |1 2\n---\npart Sheet 2 (hidden)\nheading2: Sheet 2\ntable 1x2\n 0: |0 3 |1 4\n"},
		"formulas that nobody has worked out": {[]string{data(`<row r="1"><c r="A1"><f>SUM(B1:B2)</f></c><c r="B1"><f>1+1</f><v>2</v></c><c r="C1" t="str"><f>T("")</f><v></v></c><c r="D1"><f t="shared" si="0"/></c></row>`)},
			"part Sheet 1\ntable 1x4\n 0: |0 =SUM(B1:B2) |1 2 |2  |3 \n"},
		"dates in words": {[]string{data(`<row r="1"><c r="A1" t="d" s="4"><v>2024-01-01T18:30</v></c><c r="B1" t="d" s="1"><v>2024-01-01</v></c></row>`)},
			"part Sheet 1\ntable 1x2\n 0: |0 18:30 |1 45,292.00\n"},
		"what is hidden among cells": {[]string{`<cols><col min="2" max="2" hidden="1"/></cols>` + data(`<row r="1" hidden="1"><c r="A1"><v>1</v></c><c r="B1"><v>2</v></c></row>`)}, "part Sheet 1\ntable 1x2\n 0: |0 1 |1 2\n"},
		"an empty sheet":             {[]string{data("")}, "part Sheet 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			pages, err := formatstest.Read(t, xlsx.New(), xlsx.MediaType, book(c.sheets...))
			if err != nil {
				t.Fatal(err)
			}
			if got := formatstest.Outline(pages); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestNumbersAreShownAsTheirFormatSays(t *testing.T) {
	for _, c := range []struct {
		code  string // or the number of a built-in one
		value string
		want  string
	}{
		{"5", "-1234", "($1,234)"}, {"7", "1234.5", "$1,234.50"}, {"8", "-1234.5", "($1,234.50)"}, {"44", "-1234.5", "$(1,234.50)"}, {"46", "1.5", "36:00:00"},
		{"48", "39219.85", "39.2E+3"}, {"48", "1234567", "1.2E+6"}, {"48", "999.96", "1.0E+3"}, {"48", "0.00012", "120.0E-6"}, {"48", "-5", "-5.0E+0"}, {"48", "0", "0.0E+0"}, {"#0.00E-00", "123", "1.23E02"}, {"##0E+00", "1e300", "1E+300"},
		{"41", "0", "-"}, {"42", "-1234", "$(1,234)"}, {"44", "0", "$-"}, {"12", "0.25", "1/4"}, {"12", "2.5", "2 1/2"}, {"13", "0", "0"}, {"31", "45292", "2024年1月1日"}, {"57", "45292", "2024年1月"},
		{`General" units"`, "3", "3 units"}, {"General;(General)", "-2.5", "(2.5)"}, {"#,###", "0", ""}, {"#,###", "1234", "1,234"}, {"# ??/??", "0.3125", "5/16"}, {"# ?/8", "1.375", "1 3/8"},
		{`0.00;-0.00;"zero"`, "0", "zero"}, {`#,##0_);(#,##0);\-_)`, "0", "-"}, {`0;-0;;@`, "0", ""}, {`+0;-0;0`, "0", "0"}, {`0;-0;[Red]"none"`, "0", "none"},
		{"0.##", "1.5", "1.5"}, {"0.##", "1.256", "1.26"}, {"0.0#", "2", "2.0"}, {"#,##0.###", "1234.5", "1,234.5"}, {"0.??", "1.5", "1.5"}, {"0.#%", "0.125", "12.5%"}, {"0.00#", "-1.5", "-1.50"},
		{"[$-407]d. mmmm yyyy", "45292", "1. Januar 2024"}, {"[h]:mm", "1.5", "36:00"}, {"#,##0.00 [$€-407]", "-1234.5", "-1,234.50 €"},
		{`_(* #,##0.00_);_(* (#,##0.00);_(* "-"??_);_(@_)`, "-1234.5", "(1,234.50)"}, {"[>1000]\"big\";\"small\"", "1500", "big"}, {"# ?/?", "2.5", "2 1/2"}, {"00000", "42", "00042"},
	} {
		id, formats := c.code, ""
		if len(c.code) > 2 {
			var b bytes.Buffer
			_ = xml.EscapeText(&b, []byte(c.code))
			id, formats = "170", `<numFmts><numFmt numFmtId="170" formatCode="`+b.String()+`"/></numFmts>`
		}
		file := bookWith(`<styleSheet>`+formats+`<cellXfs><xf numFmtId="0"/><xf numFmtId="`+id+`"/></cellXfs></styleSheet>`,
			data(`<row r="1"><c r="A1" s="1"><v>`+c.value+`</v></c><c r="B1" t="str"><v>x</v></c></row>`))
		pages, err := formatstest.Read(t, xlsx.New(), xlsx.MediaType, file)
		if err != nil {
			t.Fatal(err)
		}
		if got := pages[0].Blocks[0].Table.Cells[0].Text; got != c.want {
			t.Errorf("%s of %s: got %q, want %q", c.code, c.value, got, c.want)
		}
	}
}

// TestWorkbooksOfAnotherWriterAreReadTheSame compares with the library on workbooks that it wrote.
func TestWorkbooksOfAnotherWriterAreReadTheSame(t *testing.T) {
	f := excelize.NewFile()
	formats := []int{0, 1, 2, 3, 4, 9, 10, 11, 15, 16, 17, 18, 19, 37, 38, 39, 40, 45, 46, 47}
	var want []string
	for i, id := range formats {
		s, err := f.NewStyle(&excelize.Style{NumFmt: id})
		if err != nil {
			t.Fatal(err)
		}
		name, _ := excelize.CoordinatesToCellName(1, i+1)
		_ = f.SetCellValue("Sheet1", name, 39219.847924803238)
		_ = f.SetCellStyle("Sheet1", name, name, s)
		name, _ = excelize.CoordinatesToCellName(2, i+1)
		_ = f.SetCellStr("Sheet1", name, "x")
	}
	for i, id := range formats[1:] {
		name, _ := excelize.CoordinatesToCellName(1, i+2)
		v, err := f.GetCellValue("Sheet1", name)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprint(id, " ", strings.TrimSpace(v)))
	}
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	pages, err := formatstest.Read(t, xlsx.New(), xlsx.MediaType, b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range pages[0].Blocks[0].Table.Cells {
		if c.Column == 0 && c.Row > 0 {
			got = append(got, fmt.Sprint(formats[c.Row], " ", c.Text))
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestALongSheetIsReadInBoundedMemory reads 300,000 rows; what is held must not grow with them.
func TestALongSheetIsReadInBoundedMemory(t *testing.T) {
	var rows strings.Builder
	rows.WriteString(`<dimension ref="A1:XFD10000000"/><sheetData>`)
	const n = 300_000
	for i := range n {
		fmt.Fprintf(&rows, `<row r="%d"><c r="A%d"><v>%d</v></c><c r="B%d" t="s"><v>0</v></c></row>`, i+1, i+1, i, i+1)
	}
	rows.WriteString("</sheetData>")
	d, err := formatstest.Open(t, xlsx.New(), xlsx.MediaType, book(rows.String()), formatstest.Limits)
	if err != nil {
		t.Fatal(err)
	}
	rows.Reset()
	read, peak := 0, uint64(0)
	var m runtime.MemStats
	for i := range d.Pages() {
		p, err := d.Read(i+1, formats.Want{})
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range p.Text.Blocks {
			read += b.Table.Rows
			if b.Table.Continues != (i > 0) {
				t.Fatalf("page %d: continues is %t", i+1, b.Table.Continues)
			}
		}
		if i%5 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
	}
	if read != n || d.Pages() != 30 {
		t.Errorf("%d rows on %d pages", read, d.Pages())
	}
	if peak > 100<<20 {
		t.Errorf("%d MB are held", peak>>20)
	}
	again, err := d.Read(3, formats.Want{})
	if err != nil || again.Text.Blocks[0].Table.Cells[0].Text != "20000" {
		t.Errorf("page 3 again: %v", err)
	}
}

func TestHostileWorkbooksAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		file []byte
		code schemas.Code
	}{
		"a row beyond the sheet":    {book(data(`<row r="10000000"><c><v>1</v></c></row>`)), schemas.DocumentCorrupt},
		"rows that go back":         {book(data(`<row r="5"><c><v>1</v></c></row><row r="2"><c><v>1</v></c></row>`)), schemas.DocumentCorrupt},
		"a column beyond it":        {book(data(`<row>` + strings.Repeat(`<c><v>1</v></c>`, 16_385) + `</row>`)), schemas.DocumentCorrupt},
		"entities":                  {formatstest.Zip(formatstest.Part{Name: "_rels/.rels", Body: `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`}), schemas.DocumentEntities},
		"a workbook without sheets": {book(), schemas.DocumentCorrupt},
		"no container":              {[]byte("PK\x03\x04 nothing"), schemas.DocumentCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := formatstest.Open(t, xlsx.New(), xlsx.MediaType, c.file, formatstest.Limits)
			if f := fault.Of(err); err == nil || f.Code != c.code {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
}

// TestManyMergedRangesCostLittle: ranges over one another must not multiply.
func TestManyMergedRangesCostLittle(t *testing.T) {
	merged := strings.Repeat(`<mergeCell ref="A1:XFD1000"/>`, 2000)
	pages, err := formatstest.Read(t, xlsx.New(), xlsx.MediaType, book(data(`<row r="1"><c r="A1"><v>1</v></c><c r="B1"><v>2</v></c></row><row r="2"><c r="A2"><v>1</v></c></row>`)+
		"<mergeCells>"+merged+"</mergeCells>"))
	if err != nil || len(pages) != 1 {
		t.Errorf("%d pages, %v", len(pages), err)
	}
}

func FuzzSheet(f *testing.F) {
	f.Add([]byte(data(`<row r="1"><c r="A1" t="s"><v>0</v></c><c r="C1" s="3"><v>1e300</v></c></row>`) + `<mergeCells><mergeCell ref="A1:B2"/></mergeCells>`))
	f.Fuzz(func(t *testing.T, sheet []byte) {
		if _, err := formatstest.Read(t, xlsx.New(), xlsx.MediaType, book(string(sheet))); err != nil && fault.KindOf(err) != fault.Permanent {
			t.Fatal(err)
		}
	})
}
