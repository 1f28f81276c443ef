package rtf_test

import (
	"strings"
	"testing"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats/formatstest"
	"docstream/processors/prepare/formats/rtf"
	"docstream/schemas"
)

func TestRichTextIsRead(t *testing.T) {
	const head = `{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Arial Cyr;}}{\stylesheet{\s1 heading 1;}{\s2 Other;}}{\*\generator x;}`
	for name, c := range map[string]struct{ in, want string }{
		"paragraphs and looks": {`\pard a {\b bold} \i it\i0\line b\par\pard c\par`, "paragraph: a bold it⏎b {strong \"bold\"} {emphasis \"it\"}\nparagraph: c\n"},
		"headings":             {`\pard\s1 One\par\pard\s2\outlinelevel1 Two\par\pard x\par`, "heading1: One\nheading2: Two\nparagraph: x\n"},
		"signs":                {`\pard \'d6l \u21326?\u-10179?\u-8704? \{x\}\emdash {\f1\'cf\'f0}\par`, "paragraph: Öl 华😀 {x}—Пр\n"},
		"lists":                {`\pard{\listtext 1.\tab}a\par\pard\ilvl1{\pntext\'b7\tab}b\par`, "list_item1: 1. a\nlist_item2: • b\n"},
		"tables": {`\trowd\trhdr\clmgf\cellx1\clmrg\cellx2\clvmgf\cellx3\pard\intbl A\cell\cell B\cell\row\trowd\cellx1\cellx2\clvmrg\cellx3\pard\intbl 1\par 2\cell 3\cell\cell\row\pard x\par`,
			"table 2x3\n 0: |0 *A (1x2) |2 *B (2x1)\n 1: |0 1⏎2 |1 3\nparagraph: x\n"},
		"links and notes": {`\pard see{\field{\*\fldinst HYPERLINK "https://a.example"}{\fldrslt there}}{\footnote Why.}\par`,
			"paragraph: seethere[1] {link \"there\" https://a.example} {note_ref \"[1]\" 1}\nnote[1]: Why.\n"},
		"what is skipped": {`{\pict\bin3 }{}}{\header Top\par}{\*\unknown x}\pard y{\v hidden}\page z\par`, "header: Top\nparagraph: y\n---\nparagraph: z\n"},
	} {
		t.Run(name, func(t *testing.T) {
			pages, err := formatstest.Read(t, rtf.New(), rtf.MediaType, []byte(head+c.in+"}"))
			if err != nil {
				t.Fatal(err)
			}
			if got := formatstest.Outline(pages); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestBrokenRichTextIsRefused(t *testing.T) {
	for in, code := range map[string]schemas.Code{"": schemas.DocumentEmpty, `{\rtf1 a`: schemas.DocumentCorrupt, `{\rtf1 a\`: schemas.DocumentCorrupt,
		`{\rtf1` + strings.Repeat("{", 10_000): schemas.DocumentTooDeep} {
		if _, err := formatstest.Open(t, rtf.New(), rtf.MediaType, []byte(in), formatstest.Limits); fault.Of(err).Code != code {
			t.Errorf("%.20q: got %v, want %s", in, err, code)
		}
	}
}

func FuzzRichText(f *testing.F) {
	f.Add([]byte(`{\rtf1\ansi{\fonttbl{\f0\fcharset204 A;}}\trowd\clmrg\cellx1\pard\intbl A\cell\row\pard\u-10179?{\footnote x}\'cf\par}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, err := formatstest.Read(t, rtf.New(), rtf.MediaType, in); err != nil && fault.KindOf(err) != fault.Permanent {
			t.Fatal(err)
		}
	})
}
