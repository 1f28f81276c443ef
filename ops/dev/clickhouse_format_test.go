package main_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// small makes the engine hand over a result in chunks of two rows.
const small = "max_block_size=2&max_threads=1&output_format_write_statistics=0"

func TestResultsAreWhatAServerGives(t *testing.T) {
	e := newEngine(t)
	for name, c := range map[string]struct{ options, sql, want string }{
		"union":               {"", "SELECT number FROM numbers(3) UNION ALL SELECT 7 ORDER BY 1 FORMAT CSVWithNames", "\"number\"\n0\n1\n2\n7\n"},
		"default format":      {"&default_format=TSVWithNames", "SELECT number AS a FROM numbers(5)", "a\n0\n1\n2\n3\n4\n"},
		"the statement wins":  {"&default_format=TSVWithNames", "SELECT number AS a FROM numbers(3) FORMAT CSV", "0\n1\n2\n"},
		"in any case":         {"", "SELECT number AS a FROM numbers(3) format csvwithnames;", "\"a\"\n0\n1\n2\n"},
		"quoted name":         {"", "SELECT number AS a FROM numbers(3) FORMAT `CSVWithNames`", "\"a\"\n0\n1\n2\n"},
		"settings after":      {"", "SELECT number AS a FROM numbers(3) FORMAT CSVWithNames SETTINGS max_threads = 1", "\"a\"\n0\n1\n2\n"},
		"settings before":     {"", "SELECT number AS a FROM numbers(3) SETTINGS max_threads = 1 FORMAT CSVWithNames", "\"a\"\n0\n1\n2\n"},
		"comments":            {"", "SELECT number AS a /* FORMAT CSV */ FROM numbers(3) FORMAT -- CSV\n CSVWithNames // FORMAT CSV\n # FORMAT CSV", "\"a\"\n0\n1\n2\n"},
		"format in a text":    {"&default_format=CSVWithNames", "SELECT number AS a FROM numbers(3) WHERE 'it\\'s '' FORMAT CSV' != '' AND $x$ FORMAT CSV '$x$ != '' AND ‘FORMAT CSV '’ != ''", "\"a\"\n0\n1\n2\n"},
		"column named format": {"&default_format=CSVWithNames", "SELECT number AS format FROM numbers(3) ORDER BY format DESC", "\"format\"\n2\n1\n0\n"},
		"format as a column":  {"&default_format=CSVWithNames", "WITH number AS format SELECT format csv FROM numbers(3)", "\"csv\"\n0\n1\n2\n"},
		"values":              {"", "SELECT number FROM numbers(5) FORMAT Values", "(0),(1),(2),(3),(4)"},
		"vertical":            {"", "SELECT number AS a FROM numbers(3) FORMAT Vertical", "Row 1:\n──────\na: 0\n\nRow 2:\n──────\na: 1\n\nRow 3:\n──────\na: 2\n"},
		"markdown":            {"", "SELECT number AS a FROM numbers(3) FORMAT Markdown", "| a |\n|-:|\n| 0 |\n| 1 |\n| 2 |\n"},
		"array of rows":       {"&output_format_json_array_of_rows=1", "SELECT number AS a FROM numbers(3) FORMAT JSONEachRow", "[\n{\"a\":0},\n{\"a\":1},\n{\"a\":2}\n]\n"},
		"array in settings":   {"", "SELECT number AS a FROM numbers(3) FORMAT JSONEachRow SETTINGS output_format_json_array_of_rows = 1", "[\n{\"a\":0},\n{\"a\":1},\n{\"a\":2}\n]\n"},
		"totals":              {"", "SELECT number AS a, count() FROM numbers(5) GROUP BY a WITH TOTALS ORDER BY a FORMAT CSV", "0,1\n1,1\n2,1\n3,1\n4,1\n\n0,5\n"},
		"extremes":            {"&extremes=1", "SELECT number AS a FROM numbers(5) FORMAT TSV", "0\n1\n2\n3\n4\n\n0\n4\n"},
		"no rows":             {"", "SELECT number AS a FROM numbers(5) WHERE a > 9 FORMAT CSVWithNames", "\"a\"\n"},
		"insert after with":   {"", "WITH 1 AS x INSERT INTO FUNCTION null('a UInt8') SELECT x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got, _ := e.curl(small+c.options, c.sql); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	const sql = "SELECT number AS a, toString(number) AS b FROM numbers(7) FORMAT "
	for _, format := range []string{
		"TSV", "TabSeparated", "TSVRaw", "TabSeparatedRaw", "Raw", "TSKV", "CSV", "JSONEachRow", "NDJSON", "JSONL", "JSONLines",
		"JSONCompactEachRow", "JSONStringsEachRow", "JSONCompactStringsEachRow", "RowBinary", "MsgPack", "LineAsString", "Null",
		"TSVWithNames", "TSVWithNamesAndTypes", "TSVRawWithNames", "CSVWithNamesAndTypes", "JSON", "JSONCompact", "JSONStrings",
		"JSONColumns", "JSONObjectEachRow", "JSONCompactEachRowWithNames", "RowBinaryWithNamesAndTypes", "PrettyJSONEachRow",
		"PrettyCompactMonoBlock", "XML", "Vertical", "Markdown", "SQLInsert", "CustomSeparated", "BSONEachRow", "Values", "Hash",
	} {
		t.Run(format, func(t *testing.T) {
			whole, _ := e.curl("max_threads=1&output_format_write_statistics=0", sql+format)
			chunks, _ := e.curl(small, sql+format)
			if chunks != whole || strings.Contains(whole, "DB::Exception") || (whole == "") != (format == "Null") {
				t.Errorf("in chunks %q\nas a whole %q", chunks, whole)
			}
		})
	}
	for format, frame := range map[string]string{"Parquet": "PAR1", "Arrow": "ARROW1", "ORC": "ORC", "Avro": "Obj\x01"} {
		t.Run(format, func(t *testing.T) {
			got, _ := e.curl(small, sql+format)
			if n := strings.Count(got, frame); !strings.HasPrefix(got, frame) || n > 2 {
				t.Errorf("%d times %s in %q", n, frame, got)
			}
		})
	}
}

func TestAResultThatIsNotStreamedIsBounded(t *testing.T) {
	e := newEngine(t)
	for name, c := range map[string]struct{ sql, code, want string }{
		"rows":      {"SELECT number FROM numbers(1500000) FORMAT JSON", "396", "JSON"},
		"values":    {"SELECT repeat(toString(number % 10), 1000) FROM numbers(200000) FORMAT CSVWithNames", "396", "CSVWithNames"},
		"constants": {"SELECT repeat('x', 10000) FROM numbers(900000) FORMAT CSVWithNames", "241", "CSVWithNames"},
		"output":    {"SELECT toUInt8(1) AS " + strings.Repeat("long", 150) + " FROM numbers(500000) FORMAT JSON", "396", "JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			got, header := e.curl("", c.sql)
			if header.Get("X-ClickHouse-Exception-Code") != c.code || !strings.Contains(got, c.want+" is not streamed") || len(got) > 1000 {
				t.Errorf("got %.300q", got)
			}
		})
	}
	if got, _ := e.curl("", "SELECT sum(number) FROM numbers(5000000) FORMAT CSVWithNames"); got != "\"sum(number)\"\n12499997500000\n" {
		t.Errorf("a small result of many rows: %q", got)
	}
	if got, _ := e.curl("", "SELECT getSetting('max_result_rows'), getSetting('max_memory_usage')"); got != "0\t0\n" {
		t.Errorf("the bounds stay: %q", got)
	}
	if peak := peakBytes(t, e.PID); peak > 3<<30 {
		t.Errorf("%d MB resident at the peak", peak>>20)
	}
}

func TestLargeTextIsStreamedWithFlatMemory(t *testing.T) {
	e := newEngine(t)
	for name, c := range map[string]struct{ query, sql string }{
		"default":  {"", "SELECT number, toString(cityHash64(number)) FROM numbers(12000000)"},
		"explicit": {"default_format=JSON&", "SELECT number, toString(cityHash64(number)) FROM numbers(12000000) FORMAT TSV SETTINGS max_threads = 2"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := http.Get("http://" + e.Addr + "/?" + c.query + "query=" + url.QueryEscape(c.sql))
			check(t, err)
			defer resp.Body.Close()
			var size, lines int
			for in := bufio.NewScanner(resp.Body); in.Scan(); lines++ {
				size += len(in.Bytes()) + 1
			}
			if lines != 12_000_000 || size < 300<<20 {
				t.Errorf("%d lines, %d MB", lines, size>>20)
			}
		})
	}
	if peak := peakBytes(t, e.PID); peak > 600<<20 {
		t.Errorf("%d MB resident at the peak", peak>>20)
	}
}

// peakBytes is the most memory that a process ever had resident.
func peakBytes(t *testing.T, pid int) (kb int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	check(t, err)
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	_, err = fmt.Sscan(rest, &kb)
	check(t, err)
	return kb << 10
}

// A statement may run for minutes before its first byte. Whoever waited for it is gone: its session must be free again.
func TestAStatementEndsWhenItsClientLeaves(t *testing.T) {
	e := &engine{t: t, args: []string{
		"clickhouse", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--lib", library(t), "--connections", "1",
	}}
	e.running = start(t, e.args...)
	const long = "SELECT count() FROM numbers(10000000000000) WHERE cityHash64(number) = 1"
	for _, sql := range []string{long, long + " FORMAT JSON", "SELECT (" + long + ") FORMAT TSV"} {
		ctx, leave := context.WithTimeout(t.Context(), 500*time.Millisecond)
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+e.Addr+"/", strings.NewReader(sql))
		check(t, err)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			t.Fatalf("%s answers %s", sql, resp.Status)
		}
		leave()
		begun := time.Now()
		if got, _ := e.curl("", "SELECT 1"); got != "1\n" || time.Since(begun) > 5*time.Second {
			t.Fatalf("after %s: %q in %s", sql, got, time.Since(begun))
		}
	}
}
