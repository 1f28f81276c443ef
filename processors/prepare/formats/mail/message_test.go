package mail_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"

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
