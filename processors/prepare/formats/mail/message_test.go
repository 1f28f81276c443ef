package mail_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats/formatstest"
	"docstream/processors/prepare/formats/mail"
	"docstream/processors/prepare/hostile"
)

func wide(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func TestAMessageOfOutlookIsReadWithWhatIsAttached(t *testing.T) {
	const file, inner = "__attach_version1.0_#00000000/", "__attach_version1.0_#00000001/"
	b := hostile.Message(
		hostile.Stream{Path: file + "__properties_version1.0", Body: make([]byte, 8)},
		hostile.Stream{Path: file + "__substg1.0_3707001F", Body: wide("note.txt")},
		hostile.Stream{Path: file + "__substg1.0_370E001F", Body: wide("text/plain")},
		hostile.Stream{Path: file + "__substg1.0_37010102", Body: []byte(strings.Repeat("A long note. ", 1000))}, // beyond the mini stream
		hostile.Stream{Path: inner + "__properties_version1.0", Body: make([]byte, 8)},
		hostile.Stream{Path: inner + "__substg1.0_3001001F", Body: wide("Größe")},
		hostile.Stream{Path: inner + "__substg1.0_3701000D/__properties_version1.0", Body: make([]byte, 24)},
		hostile.Stream{Path: inner + "__substg1.0_3701000D/__substg1.0_0037001F", Body: wide("Inner")},
		hostile.Stream{Path: inner + "__substg1.0_3701000D/__substg1.0_1000001F", Body: wide("inner words")})
	pages, err := formatstest.Read(t, mail.NewOutlook(open), mail.OutlookType, b)
	if err != nil {
		t.Fatal(err)
	}
	got := formatstest.Outline(pages)
	for _, want := range []string{"heading1: The harbour book\n", "From: Ann", "To: Bob", "paragraph: words of a letter\n", "Attachment: note.txt", "part note.txt\nparagraph: A long note.", "heading1: Inner\n", "paragraph: inner words\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing from\n%.2000s", want, got)
		}
	}
}

// bag is a message of Outlook with properties that are numbers, by their tags.
func bag(properties map[uint32]uint32, streams ...hostile.Stream) []byte {
	b := make([]byte, 32)
	for tag, v := range properties {
		b = binary.LittleEndian.AppendUint32(b, tag)
		b = binary.LittleEndian.AppendUint32(b, 0)
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return hostile.Compound(append([]hostile.Stream{{Path: "__properties_version1.0", Body: b}, {Path: "__substg1.0_0037001F", Body: wide("S")}}, streams...)...)
}

// squeezed is a rich text as Outlook keeps it: the first words of all are a reference, the others are themselves.
func squeezed(rich string) []byte {
	const known = `{\rtf1\ansi`
	rest := strings.TrimPrefix(rich, known)
	body := []byte{1, 0, byte(len(known) - 2)}
	for i, c := range []byte(rest) {
		if i > 0 && (i+1)%8 == 0 {
			body = append(body, 0)
		}
		body = append(body, c)
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(body)+12))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(rich)))
	return append(append(b, "LZFu\x00\x00\x00\x00"...), body...)
}

func TestTheTextOfAMessageOfOutlookIsReadInItsBestForm(t *testing.T) {
	const words, page, rich = "__substg1.0_1000001E", "__substg1.0_10130102", "__substg1.0_10090102"
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"words in a charset":           {bag(map[uint32]uint32{0x3ffd0003: 1251}, hostile.Stream{Path: words, Body: []byte("\xcf\xf0")}), "paragraph: Пр\n"},
		"a page in a charset":          {bag(map[uint32]uint32{0x3fde0003: 28592}, hostile.Stream{Path: page, Body: []byte("<p>\xb1")}, hostile.Stream{Path: words, Body: []byte("plain")}), "paragraph: ą\n"},
		"a page that says its charset": {bag(map[uint32]uint32{0x3fde0003: 1251}, hostile.Stream{Path: page, Body: []byte("<meta charset=iso-8859-1><p>\xf6")}), "paragraph: ö\n"},
		"a page within rich text":      {bag(nil, hostile.Stream{Path: words, Body: []byte("plain")}, hostile.Stream{Path: rich, Body: squeezed(`{\rtf1\ansi\fromhtml1{\*\htmltag64 <table border=1><tr><td>}a{\*\htmltag64 <td>}b}`)}), "table 1x2\n 0: |0 a |1 b\n"},
		"rich text and no other":       {bag(nil, hostile.Stream{Path: rich, Body: squeezed(`{\rtf1\ansi\pard {\b one} and a half\par two\par}`)}), "paragraph: one and a half {strong \"one\"}\nparagraph: two\n"},
		"rich text that is damaged":    {bag(nil, hostile.Stream{Path: rich, Body: squeezed(`{\rtf1\ansi\pard one\par two`)}), "paragraph: one\n"},
		"rich text beside words":       {bag(nil, hostile.Stream{Path: words, Body: []byte("plain")}, hostile.Stream{Path: rich, Body: squeezed(`{\rtf1\ansi rich}`)}), "paragraph: plain\n"},
		"a picture of the page": {bag(nil, hostile.Stream{Path: page, Body: []byte("<p>x<img src='cid:d' alt='A dot'>")}, hostile.Stream{Path: "__attach_version1.0_#00000000/__substg1.0_3712001F", Body: wide("d")},
			hostile.Stream{Path: "__attach_version1.0_#00000000/__substg1.0_37010102", Body: formatstest.Dot("png", 4)}), "paragraph: x\nfigure: A dot\n"},
	} {
		t.Run(name, func(t *testing.T) {
			pages, err := formatstest.Read(t, mail.NewOutlook(open), mail.OutlookType, c.file)
			if err != nil {
				t.Fatal(err)
			}
			if got := formatstest.Outline(pages); got != "heading1: S\n"+c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func FuzzRichBody(f *testing.F) {
	f.Add(squeezed(`{\rtf1\ansi\fromhtml1{\*\htmltag64 <p>}a}`))
	f.Add(squeezed(`{\rtf1\ansi\pard a\par}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) == 0 {
			return
		}
		if _, err := formatstest.Read(t, mail.NewOutlook(open), mail.OutlookType, bag(nil, hostile.Stream{Path: "__substg1.0_10090102", Body: in})); err != nil && fault.KindOf(err) != fault.Permanent {
			t.Fatal(err)
		}
	})
}
