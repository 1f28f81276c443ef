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
				if math.Abs(p[0]-p[1]) > 1e-9 {
					t.Errorf("got %+v, want about %+v", got, c.want)
				}
			}
		})
	}
	if s := structure.Score("Words.", "Words."); s != (structure.Scores{Words: 1, Order: none, Headings: none, Lists: none, Cells: none}) {
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
	if lines := strings.Split(strings.TrimSpace(b.String()), "\n"); len(lines) != 3 || !strings.Contains(lines[2], "nothing was made") {
		t.Errorf("wrote\n%s", b.String())
	}
	if _, err := structure.Folders(got, t.TempDir()); err == nil {
		t.Error("a folder without expectations is no error")
	}
}
