package structure_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"docstream/ops/bench/structure"
)

const want = "# Harbour\n\nThe first boat came in.\n\n- rope\n    - tar\n\n| Boat | Crew |\n| --- | --- |\n| Heron | 4 |\n"

func TestScores(t *testing.T) {
	const none = structure.None
	for name, c := range map[string]struct {
		got  string
		want structure.Scores
	}{
		"the same":                   {want, structure.Scores{Words: 1, Order: 1, Headings: 1, Lists: 1, Cells: 1}},
		"marks and rulers differ":    {strings.NewReplacer("came", "**came**", "---", "-", "- rope", "* rope").Replace(want), structure.Scores{Words: 1, Order: 1, Headings: 1, Lists: 1, Cells: 1}},
		"another level":              {strings.Replace(want, "# H", "## H", 1), structure.Scores{Words: 1, Order: 1, Headings: 0, Lists: 1, Cells: 1}},
		"another depth":              {strings.Replace(want, "    - tar", "- tar", 1), structure.Scores{Words: 1, Order: 1, Headings: 1, Lists: 0.5, Cells: 1}},
		"a cell elsewhere":           {strings.Replace(want, "| Heron | 4 |", "| 4 | Heron |", 1), structure.Scores{Words: 1, Order: 9.0 / 11, Headings: 1, Lists: 1, Cells: 5.0 / 8}},
		"nothing":                    {"", structure.Scores{}},
		"a comment counts for none":  {"<!-- page 2 -->" + want, structure.Scores{Words: 1, Order: 1, Headings: 1, Lists: 1, Cells: 1}},
		"a bar in a cell is no edge": {strings.Replace(want, "Heron", `He\|ron`, 1), structure.Scores{Words: 11.0 / 12, Order: 9.0 / 11, Headings: 1, Lists: 1, Cells: 5.0 / 8}},
	} {
		t.Run(name, func(t *testing.T) {
			got := structure.Score(c.got, want)
			for _, p := range [][2]float64{{got.Words, c.want.Words}, {got.Order, c.want.Order}, {got.Headings, c.want.Headings}, {got.Lists, c.want.Lists}, {got.Cells, c.want.Cells}} {
				if math.Abs(p[0]-p[1]) > 1e-9 || (got.CER == 0) != (c.want.Order == 1) || got.Fields != none {
					t.Errorf("got %+v, want about %+v", got, c.want)
				}
			}
		})
	}
	if s := structure.Score("Words.", "Words."); s != (structure.Scores{Words: 1, Order: none, Headings: none, Lists: none, Cells: none, Fields: none}) {
		t.Errorf("a single word scores %+v", s)
	}
}

func TestFoldersAreComparedByFile(t *testing.T) {
	got, expected := t.TempDir(), t.TempDir()
	for path, text := range map[string]string{filepath.Join(expected, "a.md"): want, filepath.Join(expected, "b.md"): want, filepath.Join(got, "a.md"): want} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := structure.Folders(got, expected)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[0].Words != 1 || rows[0].Missing || !rows[1].Missing || rows[1].Words != 0 {
		t.Errorf("got %+v", rows)
	}
	var b strings.Builder
	if err := structure.Write(&b, rows); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(b.String()), "\n"); len(lines) != 4 || !strings.Contains(lines[2], "nothing was made") {
		t.Errorf("wrote\n%s", b.String())
	}
	if _, err := structure.Folders(got, t.TempDir()); err == nil {
		t.Error("a folder without expectations is no error")
	}
}

func TestTextsAndFieldsAreScoredToo(t *testing.T) {
	got, expected := t.TempDir(), t.TempDir()
	for path, text := range map[string]string{
		filepath.Join(got, "a.md"): "# Invoice 7\n\n| Rope | 1,240.50 |\n| --- | --- |\n| Tar | 3 |\n", filepath.Join(expected, "a.txt"): "Invoice 7 Rope 1,240.50 Tar 4",
		filepath.Join(expected, "a.json"): `[{"number": 7, "date": "2026-11-26", "paid": true, "lines": [{"name": "Rope", "sum": 1240.5}, {"name": "Pitch", "sum": 3}]}]`,
		filepath.Join(expected, "a.odd"):  "is passed over",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := structure.Folders(got, expected)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[0].Fields != 4.0/5 || rows[0].CER != structure.None || rows[1].CER != 1.0/29 || rows[1].Words != 10.0/12 || rows[1].Cells != structure.None {
		t.Errorf("got %+v", rows)
	}
	if err := os.WriteFile(filepath.Join(expected, "a.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := structure.Folders(got, expected); err == nil {
		t.Error("half an object is no error")
	}
}
