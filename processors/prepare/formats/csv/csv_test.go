package csv_test

import (
	"fmt"
	"strings"
	"testing"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats/csv"
	"docstream/processors/prepare/formats/formatstest"
	"docstream/schemas"
)

func TestSeparatorsAndCharsetsAreFound(t *testing.T) {
	const want = "table 2x2\n 0: |0 *Hafen |1 *Größe\n 1: |0 Kai, 1 |1 2\n"
	for name, c := range map[string]struct{ media, in, want string }{
		"commas and quotes":            {csv.Comma, "Hafen,Größe\n\"Kai, 1\",2\n", want},
		"semicolons":                   {csv.Comma, "Hafen;Größe\r\nKai, 1;2\r\n", want},
		"tabs":                         {csv.Tab, "Hafen\tGröße\nKai, 1\t2", want},
		"bars":                         {csv.Comma, "Hafen|Größe\nKai, 1|2\n", want},
		"Excel's hint":                 {csv.Comma, "sep=;\nHafen;Größe\nKai, 1;2\n", want},
		"Excel's hint of another sign": {csv.Comma, "\xef\xbb\xbfsep=^\r\nHafen^Größe\r\nKai, 1^2\r\n", want},
		"a byte order mark":            {csv.Comma, "\xef\xbb\xbf\"Hafen\",Größe\n\"Kai, 1\",2\n", want},
		"line ends of old Macs":        {csv.Comma, "Hafen,Größe\r\"Kai, 1\",2\r", want},
		"decimal commas":               {csv.Comma, "1,5;2,5\n3,5;4,5\n", "table 2x2\n 0: |0 1,5 |1 2,5\n 1: |0 3,5 |1 4,5\n"},
		"quotes that are signs":        {csv.Comma, "a,b\n5\" pipe,\"x\"\n\"so\" he said,2\n\"12\" pipe, steel\",4\n\"x\" ,5\n", "table 5x2\n 0: |0 *a |1 *b\n 1: |0 5\" pipe |1 x\n 2: |0 \"so\" he said |1 2\n 3: |0 12\" pipe, steel |1 4\n 4: |0 x |1 5\n"},
		"a quote that never ends":      {csv.Comma, "a,b\n\"open,1\nnext,2\nlast,\"3\"\"\"\n", "table 4x2\n 0: |0 *a |1 *b\n 1: |0 \"open |1 1\n 2: |0 next |1 2\n 3: |0 last |1 3\"\n"},
		"Windows-1252":                 {csv.Comma, "Hafen;Gr\xf6\xdfe\nKai, 1;2\n", want},
		"UTF-16":                       {csv.Comma, "\xff\xfeH\x00a\x00f\x00e\x00n\x00,\x00G\x00r\x00\xf6\x00\xdf\x00e\x00\n\x00K\x00,\x002\x00", "table 2x2\n 0: |0 *Hafen |1 *Größe\n 1: |0 K |1 2\n"},
		"lines within quotes":          {csv.Comma, "a,b\n\"x\ny\",2\n", "table 2x2\n 0: |0 *a |1 *b\n 1: |0 x⏎y |1 2\n"},
		"rows of other lengths":        {csv.Comma, "a,b\n1\n\n1,2,3\n", "table 3x3\n 0: |0 *a |1 *b\n 1: |0 1\n 2: |0 1 |1 2 |2 3\n"},
		"a stray quote":                {csv.Comma, "a,b\n1\"2,3\n", "table 2x2\n 0: |0 *a |1 *b\n 1: |0 1\"2 |1 3\n"},
	} {
		t.Run(name, func(t *testing.T) {
			pages, err := formatstest.Read(t, csv.New(), c.media, []byte(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if got := formatstest.Outline(pages); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestALongTableGoesOnOverPages(t *testing.T) {
	var in strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&in, "%d,x\n", i)
	}
	pages, err := formatstest.Read(t, csv.New(), csv.Comma, []byte(in.String()))
	if err != nil || len(pages) != 5 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	rows := 0
	for i, p := range pages {
		rows += p.Blocks[0].Table.Rows
		if p.Blocks[0].Table.Continues != (i > 0) {
			t.Errorf("page %d: continues is wrong", i+1)
		}
	}
	if rows != 50_000 {
		t.Errorf("%d rows", rows)
	}
}

func TestHostileTablesAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		code schemas.Code
	}{
		"nothing":              {"", schemas.DocumentEmpty},
		"a row without end":    {"a,b\n\"" + strings.Repeat("x", 9<<20), schemas.DocumentTooLarge},
		"more fields than any": {strings.Repeat(",", 200_000), schemas.DocumentTooLarge},
	} {
		_, err := formatstest.Open(t, csv.New(), csv.Comma, []byte(c.in), formatstest.Limits)
		if f := fault.Of(err); err == nil || f.Code != c.code {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
}

func FuzzTable(f *testing.F) {
	f.Add([]byte("a;b\n\"x\ny\";2\n"))
	f.Add([]byte("\xff\xfea\x00,\x00b\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, err := formatstest.Read(t, csv.New(), csv.Comma, in); err != nil && fault.KindOf(err) != fault.Permanent {
			t.Fatal(err)
		}
	})
}
