package document_test

import (
	"testing"

	"docstream/schemas/document"
)

func TestSeam(t *testing.T) {
	for name, c := range map[string]struct{ before, after, want string }{
		"words":                {"the old", "boat", "the old boat"},
		"a cut word":           {"the won-", "derful boat", "the wonderful boat"},
		"a name with a hyphen": {"Soekarno-", "Hatta", "Soekarno-Hatta"},
		"figures":              {"562-797-", "1717", "562-797-1717"},
		"a range":              {"pages 7–", "9", "pages 7–9"},
		"a dash between words": {"the boat –", "an old one", "the boat – an old one"},
		"a hyphen alone":       {"-", "two", "- two"},
		"Chinese":              {"文字", "识别", "文字识别"},
		"Chinese and Latin":    {"文字", "OCR", "文字 OCR"},
		"nothing":              {"", "boat", " boat"},
	} {
		t.Run(name, func(t *testing.T) {
			drop, between := document.Seam(c.before, c.after)
			if got := c.before[:len(c.before)-drop] + between + c.after; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
