package signs_test

import (
	"testing"

	"docstream/processors/prepare/formats/signs"
)

func TestSignsOfSymbolFontsAreCharacters(t *testing.T) {
	for _, c := range []struct{ font, in, want string }{
		{"Symbol", "abS", "αβΣ"}, {"Symbol", "\uf0b3\uf0ae", "≥→"}, {"Wingdings", "\uf0fc \uf0fb", "✓ ✗"}, {"wingdings", "þ¨", "☑☐"},
		{"Wingdings 2", "PR", "✓☑"}, {"Arial", "abc", "abc"}, {"Arial", "\uf061", "α"}, {"Wingdings", "\uf0b7", "•"}, {"Webdings", "a", "✓"}, {"Wingdings", "漢", "漢"},
		{"Symbol", "\tx", "\tξ"},
	} {
		if got := signs.Text(c.font, c.in); got != c.want {
			t.Errorf("%q in %s: got %q, want %q", c.in, c.font, got, c.want)
		}
	}
	if signs.Of("Symbol", 0xe123) != signs.Unknown || signs.Of("Symbol", '漢') != '漢' || signs.Of("Symbol", 0xf0b7) != '•' {
		t.Error("signs outside the font")
	}
}
