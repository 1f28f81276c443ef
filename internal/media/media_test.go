package media_test

import (
	"slices"
	"testing"

	"docstream/internal/media"
)

func TestTextUnderTheNameOfADocumentIsASham(t *testing.T) {
	for _, c := range []struct {
		found, declared, name string
		want                  bool
	}{
		{media.HTML, media.PDF, "", true},
		{media.HTML, "", "a.pdf", true},
		{media.JSON, media.Word, "", true},
		{media.Plain, "image/jpg", "", true},
		{media.HTML, media.OldExcel, "a.xls", false},
		{media.CSV, "", "a.csv", false},
		{media.RTF, "", "a.doc", false},
		{media.PDF, media.PNG, "a.png", false},
	} {
		if got := media.Shams(c.found, c.declared, c.name); got != c.want {
			t.Errorf("%s called %q, %q: %v", c.found, c.declared, c.name, got)
		}
	}
}

func TestTextOfTwoBytesACharacterIsTextWithoutAMark(t *testing.T) {
	for name, c := range map[string]struct{ head, want string }{
		"little":       {"G\x00r\x00\xf6\x00\xdf\x00e\x00\n\x00", media.Plain},
		"big":          {"\x00G\x00r\x00\xf6\x00\xdf\x00e\x00\n", media.Plain},
		"numbers":      {"\x01\x00\x02\x00\x03\x00\x04\x00\x05\x00", ""},
		"other things": {"\x00\x01\xfe\x00a\x00\x90\x91\x92\x93", ""},
	} {
		if got := media.Detect([]byte(c.head), "", "a.txt"); got != c.want {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

func FuzzDetect(f *testing.F) {
	for _, s := range []string{"%PDF-1.7", "PK\x03\x04", "{\\rtf1", "<html>", "From: a", "II*\x00"} {
		f.Add([]byte(s), "text/plain; charset=x", "a.pdf")
	}
	f.Fuzz(func(t *testing.T, head []byte, declared, name string) {
		if k := media.Detect(head, declared, name); k != "" && k != media.Compound && !slices.Contains(media.Types, k) {
			t.Fatalf("%q is no kind", k)
		}
	})
}
