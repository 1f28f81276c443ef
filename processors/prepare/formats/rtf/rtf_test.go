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
	const head = `{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Arial Cyr;}{\f2\fcharset2 Wingdings;}{\f3\fcharset2{\*\panose 05}Symbol;}}{\stylesheet{\s1 heading 1;}{\s2 Other;}{\s3 Title;}{\s4 caption;}}{\*\generator x;}`
	for name, c := range map[string]struct{ in, want string }{
		"paragraphs and looks": {`\pard a {\b bold} \i it\i0\line b\par\pard c\par`, "paragraph: a bold it⏎b {strong \"bold\"} {emphasis \"it\"}\nparagraph: c\n"},
		"headings":             {`\pard\s1 One\par\pard\s2\outlinelevel1 Two\par\pard x\par`, "heading1: One\nheading2: Two\nparagraph: x\n"},
		"signs":                {`\pard \'d6l \u21326?\u-10179?\u-8704? \{x\}\emdash {\f1\'cf\'f0}\par`, "paragraph: Öl 华😀 {x}—Пр\n"},
		"lists":                {`\pard{\listtext 1.\tab}a\par\pard\ilvl1{\pntext\'b7\tab}b\par`, "list_item1: 1. a\nlist_item2: • b\n"},
		"tables": {`\trowd\trhdr\clmgf\cellx1\clmrg\cellx2\clvmgf\cellx3\pard\intbl A\cell\cell B\cell\row\trowd\cellx1\cellx2\clvmrg\cellx3\pard\intbl 1\par 2\cell 3\cell\cell\row\pard x\par`,
			"table 2x3\n 0: |0 *A (1x2) |2 *B (2x1)\n 1: |0 1⏎2 |1 3\nparagraph: x\n"},
		"cells by their edges": {`\trowd\trleft-108\cellx1000\cellx2000\cellx3000\pard\intbl a\cell b\cell c\cell\row\trowd\trleft-108\cellx1003\cellx3000\pard\intbl d\cell e\cell\row\trowd\trleft1000\cellx2000\cellx3000\pard\intbl f\cell g\cell\row\pard x\par`,
			"table 3x3\n 0: |0 a |1 b |2 c\n 1: |0 d |1 e (1x2)\n 2: |1 f |2 g\nparagraph: x\n"},
		"a table in a cell becomes lines": {`\trowd\cellx1000\cellx2000\pard\intbl\itap1 A\par\pard\intbl\itap2 x\nestcell y\nestcell{\*\nesttableprops\trowd\cellx300\cellx600\nestrow}{\nonesttables\par}\pard\intbl\itap2 z\nestcell\nestcell{\*\nesttableprops\trowd\nestrow}` +
			`\pard\intbl\itap1 after\cell B\cell\trowd\cellx1000\cellx2000\row\pard end\par`, "table 1x2\n 0: |0 A⏎x y⏎z⏎after |1 B\nparagraph: end\n"},
		"a table in a table in a cell":   {`\trowd\cellx900\pard\intbl\itap3 in\nestcell{\*\nesttableprops\nestrow}\pard\intbl\itap2 mid\nestcell{\*\nesttableprops\nestrow}\pard\intbl\itap1 out\cell\row`, "table 1x1\n 0: |0 in⏎mid⏎out\n"},
		"what is said twice, in Unicode": {`\pard {\upr{Gr?sse}{\*\ud{Gr\u246?\u223?e}}} an alle\par`, "paragraph: Größe an alle\n"},
		"fields of forms": {`\pard {\field{\*\fldinst FORMCHECKBOX {\*\formfield{\fftype1\ffres1\ffdefres0{\*\ffname Box}}}}{\fldrslt}} tar {\field{\*\fldinst { FORMCHECKBOX }{{\*\formfield{\fftype1\ffres25\ffdefres0}}}}{\fldrslt}} rope ` +
			`{\field{\*\fldinst FORMDROPDOWN {\*\formfield{\fftype2\ffres1{\*\ffl red}{\*\ffl blue}}}}{\fldrslt}} {\field{\*\fldinst FORMTEXT {\*\formfield{\fftype0{\*\ffdeftext none}}}}{\fldrslt Ann}}\par`,
			"paragraph: ☒ tar ☐ rope blue Ann\n"},
		"titles and captions":                {`\pard\s1{\listtext 1.2\tab}Quay\par\pard\s3 Top\par\pard\s4 Table 1\par\pard{\listtext\f0 o\tab}x\par`, "heading1: 1.2 Quay\nheading1: Top\ncaption: Table 1\nlist_item1: • x\n"},
		"signs of symbol fonts":              {`\pard {\f2\'fc} done {\f3 a\'b3\'62} {\f3\u-3988?}\par`, "paragraph: ✓ done α≥β λ\n"},
		"text boxes":                         {`\pard\s1 Head{\shp{\*\shpinst{\sp{\sn x}{\sv 1}}{\shptxt \pard\plain in the box\par second\par}}{\shprslt{\*\do gone}}} on\par`, "heading1: Head on\nparagraph: in the box⏎second\n"},
		"notes do not end what they hang on": {`\trowd\cellx900\cellx1800\pard\intbl a{\footnote\pard\plain\s9 Why.}\par b\cell c\cell\row`, "table 1x2\n 0: |0 a[1]⏎b {note_ref \"[1]\" 1} |1 c\nnote[1]: Why.\n"},
		"formulas":                           {`\pard {\mmath{\*\moMath{\mf{\mfPr{\mtype bar}}{\mnum{\mr a}}{\mden{\mr b}}}}{\mmathPict gone}}\par`, "paragraph: a/b\n"},
		"a hidden note":                      {`\pard a{\v b}{\deleted c}{\*\annotation{\*\atnref 1}said}\par`, "paragraph: a\n"},
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

func TestAPageWithinRichTextIsFound(t *testing.T) {
	in := `{\rtf1\ansi\ansicpg1251\fromhtml1 \deff0{\fonttbl{\f0\fswiss Arial;}}{\colortbl\red0;}{\*\htmltag64 <p>}\htmlrtf {\htmlrtf0 \'cf\'f0 {\*\htmltag84 <b>}\htmlrtf {\b\htmlrtf0 gr\u246?n{\*\htmltag92 </b>}\htmlrtf }\htmlrtf0 {\*\htmltag84 &lt;}\{x\}{\*\htmltag72 </p>}\htmlrtf }\par\htmlrtf0 {\*\mhtmltag84 <img>}}`
	got, ok := rtf.HTML([]byte(in))
	if want := "<p>Пр <b>grön</b>&lt;{x}</p>"; !ok || got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, ok := rtf.HTML([]byte(`{\rtf1 a}`)); ok {
		t.Error("a text that never was a page is one")
	}
}

func FuzzRichText(f *testing.F) {
	f.Add([]byte(`{\rtf1\ansi{\fonttbl{\f0\fcharset204 A;}}\trowd\clmrg\cellx1\pard\intbl A\cell\row\pard\u-10179?{\footnote x}\'cf\par}`))
	f.Add([]byte(`{\rtf1{\fonttbl{\f2\fcharset2 Wingdings;}}\trowd\cellx9\pard\intbl\itap2 a\nestcell{\*\nesttableprops\nestrow}{\upr{a}{\*\ud b}}\cell\row{\field{\*\fldinst FORMCHECKBOX{\*\formfield\ffres1{\*\ffl a}}}}{\shp{\*\shpinst{\shptxt{\f2\'fc}\par}}}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		_, _ = rtf.HTML(append([]byte(`{\rtf1\fromhtml1`), in...))
		if _, err := formatstest.Read(t, rtf.New(), rtf.MediaType, in); err != nil && fault.KindOf(err) != fault.Permanent {
			t.Fatal(err)
		}
	})
}
