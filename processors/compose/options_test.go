package compose_test

import (
	"encoding/json"
	"strings"
	"testing"

	"docstream/schemas"
	"docstream/schemas/document"
)

func TestWhatAJobDidNotAskForIsLeftOut(t *testing.T) {
	table := document.Block{Kind: document.TableKind, Confidence: 1, Table: &document.Table{Rows: 2, Columns: 2, Cells: []document.Cell{
		{Row: 0, Column: 0, Text: "name", Header: true}, {Row: 0, Column: 1, Text: "age", Header: true}, {Row: 1, Column: 0, Text: "Ann"}, {Row: 1, Column: 1, Text: "3"}}}}
	figure := document.Block{Kind: document.Figure, Text: "A crane", Confidence: 1}
	for name, c := range map[string]struct {
		change func(*schemas.Options)
		want   string
	}{
		"all":         {func(*schemas.Options) {}, "one | table figure"},
		"switched on": {func(o *schemas.Options) { o.Tables, o.Figures = "on", "on" }, "one | table figure"},
		"no tables":   {func(o *schemas.Options) { o.Tables = "off" }, "one name age/Ann 3 figure"},
		"no figures":  {func(o *schemas.Options) { o.Figures = "off" }, "one | table"},
	} {
		t.Run(name, func(t *testing.T) {
			s, e := newStore(), event(1)
			c.change(&e.Options)
			s.put(t, e, page(1, "text", para("one"), table, figure))
			run(t, s, e)
			var d document.Document
			if err := json.Unmarshal(s.bodies[key("document.json")], &d); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, b := range d.Pages[0].Blocks {
				switch b.Kind {
				case document.TableKind:
					got = append(got, "| table")
				case document.Figure:
					got = append(got, "figure")
				default:
					got = append(got, strings.ReplaceAll(b.Text, "\n", "/"))
				}
			}
			if out := strings.Join(got, " "); out != c.want {
				t.Errorf("got %q, want %q", out, c.want)
			}
			if d.Options.Tables != e.Options.Tables || d.Options.Figures != e.Options.Figures {
				t.Errorf("the document says %+v", d.Options)
			}
			if csv := string(s.bodies[key("document.csv")]); strings.Contains(csv, "Ann") == (e.Options.Tables == "off") {
				t.Errorf("CSV is %q", csv)
			}
		})
	}
}

func TestALanguageNobodyReadsIsWarnedOf(t *testing.T) {
	for name, c := range map[string]struct {
		source    string
		languages []string
		warnings  int
	}{
		"read":            {"ocr", []string{"de", "zh-Hans", "ja"}, 0},
		"not read":        {"ocr", []string{"de", "th"}, 1},
		"not needed":      {"text", []string{"th"}, 0},
		"nothing is said": {"ocr", nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, e := newStore(), event(1)
			e.Options.Languages = c.languages
			s.put(t, e, page(1, c.source, para("one")))
			run(t, s, e)
			var d document.Document
			if err := json.Unmarshal(s.bodies[key("document.json")], &d); err != nil || len(d.Warnings) != c.warnings {
				t.Errorf("%v, %q", err, d.Warnings)
			}
		})
	}
}
