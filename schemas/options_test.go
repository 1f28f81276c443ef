package schemas_test

import (
	"errors"
	"strings"
	"testing"

	"docstream/schemas"
)

func TestOptionsOutsideTheirSetsAreNamed(t *testing.T) {
	for field, o := range map[string]schemas.Options{
		"pages":     {Pages: "3-1"},
		"ocr":       {OCR: "maybe"},
		"tables":    {Tables: "maybe"},
		"figures":   {Figures: "none"},
		"dpi":       {DPI: 1},
		"max_pages": {MaxPages: -1},
		"languages": {Languages: []string{"en", "English please"}},
	} {
		var e schemas.ErrOption
		if err := o.Check(); !errors.As(err, &e) || e.Field != field || !strings.HasPrefix(err.Error(), field+":") {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, o := range []schemas.Options{{}, {OCR: "off", Pages: "1-3,7", Tables: "off", Figures: "on", DPI: 300, MaxPages: 10, Languages: []string{"de", "zh-Hans"}}} {
		if err := o.Check(); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestOptionsThatMeanTheSameAreWrittenTheSame(t *testing.T) {
	usual := schemas.Options{}.Canonical()
	if usual != "ocr=auto pages= formats=" {
		t.Errorf("%q: the pipeline version of every document changes", usual)
	}
	same := []schemas.Options{{OCR: "auto"}, {Tables: "on"}, {Languages: []string{}}}
	for _, o := range same {
		if o.Canonical() != usual {
			t.Errorf("%+v is %q", o, o.Canonical())
		}
	}
	a := schemas.Options{Languages: []string{"zh", "de", "zh"}, OutputFormats: []string{"json", "csv"}}
	if b := (schemas.Options{Languages: []string{"de", "zh"}, OutputFormats: []string{"csv", "json", "csv"}}); a.Canonical() != b.Canonical() {
		t.Errorf("%q, %q", a.Canonical(), b.Canonical())
	}
	seen := map[string]bool{usual: true}
	for _, o := range []schemas.Options{{OCR: "off"}, {Pages: "2"}, {OutputFormats: []string{"csv"}}, {Languages: []string{"de"}}, {Tables: "off"}, {Figures: "off"}, {Figures: "on"}, {DPI: 200}, {MaxPages: 5}} {
		if seen[o.Canonical()] {
			t.Errorf("%+v changes nothing", o)
		}
		seen[o.Canonical()] = true
	}
}
