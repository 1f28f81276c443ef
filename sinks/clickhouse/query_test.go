package clickhouse_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"docstream/internal/testenv"
	"docstream/sinks/clickhouse"
)

func TestQueryFormats(t *testing.T) {
	s := open(t, testenv.ClickHouse(t))
	const sql = `SELECT 1 AS n, 'a|b "c", d' AS text, [1, 2] AS list, CAST(NULL AS Nullable(String)) AS nothing, toDateTime64('2026-01-02 03:04:05.5', 6, 'UTC') AS at`
	for format, want := range map[string][]string{
		"table":    {"n", "text", "a|b \"c\", d", "NULL"},
		"csv":      {"n,text,list,nothing,at", `1,"a|b ""c"", d","[1,2]",\N,2026-01-02 03:04:05.5`},
		"json":     {`{"n":1,"text":"a|b \"c\", d","list":[1,2],"nothing":null,"at":"2026-01-02 03:04:05.5"}`},
		"markdown": {`| n | text | list | nothing | at |`, `|---|---|---|---|---|`, `| 1 | a\|b "c", d | [1,2] |  | 2026-01-02 03:04:05.5 |`},
	} {
		t.Run(format, func(t *testing.T) {
			var out bytes.Buffer
			if err := s.Query(t.Context(), sql, &out, format); err != nil {
				t.Fatal(err)
			}
			for _, w := range want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("%q is not in\n%s", w, out.String())
				}
			}
		})
	}
	t.Run("the statement's own format wins", func(t *testing.T) {
		var out bytes.Buffer
		if err := s.Query(t.Context(), "SELECT 1 AS n FORMAT JSON", &out, ""); err != nil {
			t.Fatal(err)
		}
		if !json.Valid(out.Bytes()) {
			t.Error(out.String())
		}
	})
	t.Run("a wrong statement comes back in the server's words", func(t *testing.T) {
		for _, format := range clickhouse.Formats {
			err := s.Query(t.Context(), "SELECT nonsense FROM jobs", &bytes.Buffer{}, format)
			if err == nil || !strings.Contains(err.Error(), "nonsense") {
				t.Errorf("%s: %v", format, err)
			}
		}
	})
	t.Run("an unknown format is refused", func(t *testing.T) {
		if err := s.Query(t.Context(), "SELECT 1", &bytes.Buffer{}, "xml"); err == nil {
			t.Error("accepted")
		}
	})
}
