package text_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/text"
	"docstream/schemas"
	"docstream/schemas/document"
)

func read(t *testing.T, media string, b []byte) (*document.Page, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	d, err := text.New().Open(f, int64(len(b)), media, formats.Limits{Text: 1000})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	p, err := d.Read(1, formats.Want{OCR: formats.Force})
	return p.Text, err
}

func TestBytesAreDecoded(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"UTF-8":                   {"Ölüm – 漢字", "Ölüm – 漢字"},
		"UTF-8 with a mark":       {"\xef\xbb\xbfÖl", "Öl"},
		"UTF-16, little":          {"\xff\xfeO\x00\xf6\x00=\xd8\x00\xde", "Oö😀"},
		"UTF-16, big":             {"\xfe\xff\x00O\x00\xf6", "Oö"},
		"UTF-16, an odd byte":     {"\xff\xfeO\x00\xf6", "O\uFFFD"},
		"Latin-1":                 {"\xd6l f\xfcr alle", "Öl für alle"},
		"Windows-1252":            {"\x93quoted\x94 \x96 \x80", "“quoted” – €"},
		"UTF-16 without a mark":   {"H\x00a\x00r\x00b\x00o\x00u\x00r\x00", "Harbour"},
		"Shift JIS":               {"\x82\xb1\x82\xf1\x82\xc9\x82\xbf\x82\xcd\x81A\x90\xa2\x8aE\x82\xcc\x8a\x46\x82\xb3\x82\xf1\x81B", "こんにちは、世界の皆さん。"},
		"nothing but a byte mark": {"\xff\xfe", ""},
	} {
		if got := text.Decode([]byte(c.in)); got != c.want {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func TestTheLettersOfALanguageTellItsCharset(t *testing.T) {
	for name, c := range map[string]struct {
		charset encoding.Encoding
		text    string
	}{
		"Polish, Windows":    {charmap.Windows1250, "Zażółć gęślą jaźń, to jest zwykły tekst."},
		"Polish, ISO":        {charmap.ISO8859_2, "Zażółć gęślą jaźń, to jest zwykły tekst."},
		"Czech":              {charmap.Windows1250, "Příliš žluťoučký kůň úpěl ďábelské ódy."},
		"Hungarian":          {charmap.ISO8859_2, "Az őrült űrhajós szép fűzfánál nő."},
		"Turkish":            {charmap.Windows1254, "İstanbul'da şöyle ığdır ağacı görünür, çünkü güzeldir."},
		"Greek":              {charmap.Windows1253, "Αυτό είναι ένα απλό κείμενο για έλεγχο."},
		"Russian, short":     {charmap.Windows1251, "Имя;Цена"},
		"Russian, KOI8":      {charmap.KOI8R, "Привет, мир"},
		"Russian, DOS":       {charmap.CodePage866, "Привет, мир"},
		"Lithuanian":         {charmap.Windows1257, "Įlinkdama fechtuotojo špaga sublykčiojusi pragręžė apvalų arbūzą"},
		"German and French":  {charmap.Windows1252, "Größe für José, Renée und François – 5 €"},
		"Spanish":            {charmap.Windows1252, "¿Dónde está el niño? ¡Aquí!"},
		"Icelandic":          {charmap.Windows1252, "Sævör grét áðan því úlpan var ónýt"},
		"Danish":             {charmap.Windows1252, "Rødgrød med fløde på en å"},
		"a name":             {charmap.Windows1252, "Müller"},
		"prices":             {charmap.Windows1252, "5 €\n7 £\n½"},
		"Swedish and French": {charmap.Windows1252, "Åsa, Zoë, Noël"},
	} {
		b, err := c.charset.NewEncoder().Bytes([]byte(c.text))
		if err != nil {
			t.Fatal(name, err)
		}
		if got := text.Decode(b); got != c.text {
			t.Errorf("%s: got %q, want %q", name, got, c.text)
		}
	}
}

func TestTextBecomesParagraphs(t *testing.T) {
	for name, c := range map[string]struct {
		media, in string
		want      []string
	}{
		"blank lines part":      {text.Plain, "one\ntwo\n\n \nthree\r\nfour\r\n", []string{"paragraph one two", "paragraph three four"}},
		"plain marks are text":  {text.Plain, "# one\n- two", []string{"paragraph # one - two"}},
		"controls are left out": {text.Plain, "a\x00b\x1b[1m\ttab", []string{"paragraph ab[1m\ttab"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := read(t, c.media, []byte(c.in))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, b := range p.Blocks {
				level := ""
				if b.Level > 0 {
					level = fmt.Sprint(b.Level)
				}
				got = append(got, b.Kind+level+" "+b.Text)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestLinesSayWhatComesAfterWhat(t *testing.T) {
	p, err := read(t, text.Plain, []byte("one\n\nthree is longer"))
	if err != nil {
		t.Fatal(err)
	}
	if p.Width != 15 || p.Height != 3 || p.Blocks[1].Box != (document.Box{0, 2, 15, 3}) || p.Blocks[1].Lines[0].Text != "three is longer" {
		t.Errorf("got %+v", p)
	}
}

func TestTextsOutsideTheLimitsAreRefused(t *testing.T) {
	for size, code := range map[int]schemas.Code{0: schemas.DocumentEmpty, 1001: schemas.PageTooLarge} {
		_, err := read(t, text.Plain, []byte(strings.Repeat("a", size)))
		if f := fault.Of(err); err == nil || f.Code != code {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
