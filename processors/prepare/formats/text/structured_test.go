package text_test

import (
	"encoding/binary"
	"testing"
	"unicode/utf16"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats/formatstest"
	"docstream/processors/prepare/formats/text"
	"docstream/schemas"
)

// wide is a text in UTF-16, with its mark.
func wide(s string, order binary.AppendByteOrder) []byte {
	b := order.AppendUint16(nil, 0xfeff)
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

func TestWhatProgramsWriteIsKeptAsItIs(t *testing.T) {
	for name, c := range map[string]struct {
		media string
		in    []byte
		want  string
	}{
		"JSON":                  {text.JSON, []byte("{\n  \"a\": 1\n}\n"), "code: {⏎  \"a\": 1⏎}\n"},
		"JSON in UTF-16":        {text.JSON, wide("{\"ä\": [1]}", binary.LittleEndian), "code: {\"ä\": [1]}\n"},
		"XML in UTF-16":         {text.XML, wide("<?xml version=\"1.0\" encoding=\"UTF-16\"?>\n<a>Größe</a>", binary.BigEndian), "code: <?xml version=\"1.0\" encoding=\"UTF-16\"?>⏎<a>Größe</a>\n"},
		"XML that says how":     {text.XML, []byte("<?xml version='1.0' encoding='iso-8859-2'?><a>\xb1\xe6</a>"), "code: <?xml version='1.0' encoding='iso-8859-2'?><a>ąć</a>\n"},
		"XML that says wrongly": {text.XML, []byte("<?xml version='1.0' encoding='iso-8859-2'?><a>ą</a>"), "code: <?xml version='1.0' encoding='iso-8859-2'?><a>ą</a>\n"},
	} {
		t.Run(name, func(t *testing.T) {
			pages, err := formatstest.Read(t, text.NewStructured(), c.media, c.in)
			if err != nil {
				t.Fatal(err)
			}
			if got := formatstest.Outline(pages); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	in := wide(`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, binary.LittleEndian)
	if _, err := formatstest.Open(t, text.NewStructured(), text.XML, in, formatstest.Limits); fault.Of(err).Code != schemas.DocumentEntities {
		t.Errorf("entities in UTF-16: %v", err)
	}
}
