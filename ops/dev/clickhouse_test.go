package main_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// engine is a ClickHouse endpoint on a fixed address that can be killed and started again.
type engine struct {
	*running
	t    *testing.T
	args []string
}

// library finds libchdb.so in the cache. Where CI is set a missing part is a failure, never a skipped test.
func library(t *testing.T) string {
	t.Helper()
	cache := os.Getenv("DOCSTREAM_CACHE")
	if cache == "" {
		base, err := os.UserCacheDir()
		check(t, err)
		cache = filepath.Join(base, "docstream")
	}
	path := filepath.Join(cache, "parts", "libchdb.so")
	if _, err := os.Stat(path); err != nil {
		message := path + " is missing: run python3 ops/parts/fetch.py"
		if os.Getenv("CI") != "" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	return path
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{t: t, args: []string{"clickhouse", "--data", t.TempDir(), "--listen", freeAddress(t), "--lib", library(t)}}
	e.running = start(t, e.args...)
	return e
}

func (e *engine) restart() { e.running = start(e.t, e.args...) }

func (e *engine) driver(options string) driver.Conn {
	e.t.Helper()
	opts, err := clickhouse.ParseDSN("http://" + e.Addr + "/default" + options)
	check(e.t, err)
	conn, err := clickhouse.Open(opts)
	check(e.t, err)
	e.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// curl posts a body and returns the answer as curl would show it.
func (e *engine) curl(query, body string) (string, http.Header) {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), http.MethodPost, "http://"+e.Addr+"/?"+query, strings.NewReader(body))
	check(e.t, err)
	resp, err := http.DefaultClient.Do(req)
	check(e.t, err)
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	check(e.t, err)
	return string(out), resp.Header
}

func count(t *testing.T, c driver.Conn, table string) (n uint64) {
	t.Helper()
	check(t, c.QueryRow(within(t, 20*time.Second), "SELECT count() FROM "+table).Scan(&n))
	return n
}

func TestDriverWorksUnchangedOverKills(t *testing.T) {
	e := newEngine(t)
	for _, options := range []string{"", "?compress=lz4", "?compress=gzip"} {
		t.Run(options, func(t *testing.T) {
			ctx := within(t, 60*time.Second)
			c := e.driver(options)
			check(t, c.Exec(ctx, "DROP TABLE IF EXISTS usage"))
			check(t, c.Exec(ctx, `CREATE TABLE usage (id UInt64, tenant LowCardinality(String), at DateTime64(6, 'UTC'),
				pages Array(UInt32), note Nullable(String)) ENGINE = MergeTree ORDER BY (tenant, id)`))
			at := time.Date(2026, 11, 23, 1, 2, 3, 456000, time.UTC)
			batch, err := c.PrepareBatch(ctx, "INSERT INTO usage")
			check(t, err)
			for i := range 10_000 {
				note := new(fmt.Sprint("n", i))
				if i%2 == 0 {
					note = nil
				}
				check(t, batch.Append(uint64(i), fmt.Sprintf("tenant-%d", i%7), at, []uint32{1, uint32(i)}, note))
			}
			check(t, batch.Send())
			e.kill()
			e.restart()
			c = e.driver(options)
			if n := count(t, c, "usage"); n != 10_000 {
				t.Fatalf("%d rows after a kill", n)
			}
			var id uint64
			var when time.Time
			var pages []uint32
			var note *string
			check(t, c.QueryRow(ctx, "SELECT id, at, pages, note FROM usage WHERE tenant = ? AND id > ? ORDER BY id LIMIT 1",
				"tenant-3", 100).Scan(&id, &when, &pages, &note))
			if id != 101 || !when.Equal(at) || len(pages) != 2 || note == nil || *note != "n101" {
				t.Errorf("read %d %s %v %v", id, when, pages, note)
			}
		})
	}
}

func TestDriverParametersAreServerSide(t *testing.T) {
	e := newEngine(t)
	ctx := clickhouse.Context(within(t, 20*time.Second), clickhouse.WithParameters(clickhouse.Parameters{
		"text": `it's \ "quoted"`, "number": "42",
	}))
	var text string
	var number uint32
	check(t, e.driver("").QueryRow(ctx, "SELECT {text:String}, {number:UInt32}").Scan(&text, &number))
	if text != `it's \ "quoted"` || number != 42 {
		t.Errorf("read %q %d", text, number)
	}
}

func TestErrorsCarryTheirCode(t *testing.T) {
	e := newEngine(t)
	ctx := within(t, 20*time.Second)
	for name, c := range map[string]struct {
		sql, code string
	}{
		"syntax":        {"SELEC 1", "62"},
		"unknown table": {"SELECT * FROM nowhere", "60"},
		"type":          {"SELECT toUInt8('x')", "6"},
		"empty":         {" ", "62"},
	} {
		t.Run(name, func(t *testing.T) {
			text, header := e.curl("", c.sql)
			if got := header.Get("X-ClickHouse-Exception-Code"); got != c.code || !strings.Contains(text, "Code: "+c.code) {
				t.Errorf("code %q, text %q", got, text)
			}
		})
	}
	err := e.driver("").Exec(ctx, "SELECT * FROM nowhere")
	if err == nil || !strings.Contains(err.Error(), "UNKNOWN_TABLE") {
		t.Errorf("the driver says %v", err)
	}
}

func TestPlainHTTPWorks(t *testing.T) {
	e := newEngine(t)
	resp, err := http.Get("http://" + e.Addr + "/?query=" + url.QueryEscape("SELECT 1 AS a FORMAT JSONEachRow"))
	check(t, err)
	got, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if string(got) != "{\"a\":1}\n" {
		t.Errorf("GET gives %q", got)
	}
	e.curl("", "CREATE DATABASE `odd``name`")
	db := "database=" + url.QueryEscape("odd`name")
	e.curl(db, "CREATE TABLE t (a UInt32, b String) ENGINE = MergeTree ORDER BY a")
	e.curl(db+"&query="+url.QueryEscape("INSERT INTO t FORMAT CSV"), "1,one\n2,two\n")
	e.curl(db, "INSERT INTO t FORMAT JSONEachRow\n{\"a\":3,\"b\":\"three\"}")
	e.curl(db, "INSERT INTO t VALUES (4, 'FORMAT TSV')")
	e.curl(db+"&query="+url.QueryEscape("INSERT INTO t SELECT a + 10, b FROM t"), "")
	if got, _ := e.curl(db+"&default_format=CSV&param_x=3", "SELECT count(), max(a), countIf(a > {x:UInt8}) FROM t"); got != "8,14,5\n" {
		t.Errorf("the table holds %q", got)
	}
	if got, _ := e.curl("", "SELECT currentDatabase()"); got != "default\n" {
		t.Errorf("the next request is in database %q", got)
	}
}

func TestSettingsLastForOneStatement(t *testing.T) {
	e := newEngine(t)
	for range 8 { // more than there are sessions
		if got, _ := e.curl("max_block_size=77", "SELECT getSetting('max_block_size')"); got != "77\n" {
			t.Fatalf("setting is %q", got)
		}
		e.curl("", "SET max_block_size = 78")
	}
	for range 8 {
		if got, _ := e.curl("", "SELECT getSetting('max_block_size')"); got != "65409\n" {
			t.Errorf("the next statement sees %q", got)
		}
	}
	if got, _ := e.curl("nonsense=1", "SELECT 1"); !strings.Contains(got, "Code: 115") {
		t.Errorf("an unknown setting gives %q", got)
	}
}

func TestDeduplicationTokenCountsOnce(t *testing.T) {
	e := newEngine(t)
	ctx := within(t, 30*time.Second)
	c := e.driver("")
	check(t, c.Exec(ctx, `CREATE TABLE f (n UInt32) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100`))
	check(t, c.Exec(ctx, `CREATE TABLE s (k UInt8, total AggregateFunction(sum, UInt32)) ENGINE = AggregatingMergeTree ORDER BY k
		SETTINGS non_replicated_deduplication_window = 100`))
	check(t, c.Exec(ctx, `CREATE MATERIALIZED VIEW v TO s AS SELECT 1 AS k, sumState(n) AS total FROM f GROUP BY k`))
	once := clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"insert_deduplicate": 1, "insert_deduplication_token": "facts-0-100", "deduplicate_blocks_in_dependent_materialized_views": 1,
	}))
	for range 2 {
		batch, err := c.PrepareBatch(once, "INSERT INTO f")
		check(t, err)
		for i := range 10 {
			check(t, batch.Append(uint32(i)))
		}
		check(t, batch.Send())
	}
	if n := count(t, c, "f"); n != 10 {
		t.Errorf("%d rows", n)
	}
	var total uint64
	check(t, c.QueryRow(ctx, "SELECT sumMerge(total) FROM s").Scan(&total))
	if total != 45 {
		t.Errorf("the rollup says %d", total)
	}
}

func TestLargeResultsAreStreamed(t *testing.T) {
	e := newEngine(t)
	rows, err := e.driver("").Query(within(t, 60*time.Second), "SELECT number, toString(number) FROM numbers(3000000)")
	check(t, err)
	n := 0
	for rows.Next() {
		n++
	}
	check(t, rows.Err())
	if n != 3_000_000 {
		t.Errorf("%d rows", n)
	}
	if rss := residentBytes(t, e.PID); rss > 700<<20 {
		t.Errorf("%d MB resident", rss>>20)
	}
}

func TestErrorInsideAResultBreaksTheResponse(t *testing.T) {
	e := newEngine(t)
	resp, err := http.Post("http://"+e.Addr+"/", "", strings.NewReader("SELECT throwIf(number = 9000000) FROM numbers(10000000)"))
	check(t, err)
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the response ends with %v", err)
	}
	if got, _ := e.curl("", "SELECT 1"); got != "1\n" {
		t.Errorf("afterwards: %q", got)
	}
}

func TestStatementsRunConcurrently(t *testing.T) {
	e := newEngine(t)
	c := e.driver("?max_open_conns=20")
	ctx := within(t, 60*time.Second)
	check(t, c.Exec(ctx, "CREATE TABLE m (a UInt64) ENGINE = MergeTree ORDER BY a"))
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 5 {
				if err := insertOne(ctx, c, uint64(w*100+i)); err != nil {
					t.Errorf("inserting: %v", err)
				}
				var n uint64
				if err := c.QueryRow(ctx, "SELECT count() FROM m").Scan(&n); err != nil || n == 0 {
					t.Errorf("counting: %d, %v", n, err)
				}
			}
		})
	}
	wg.Wait()
	if n := count(t, c, "m"); n != 40 {
		t.Errorf("%d rows", n)
	}
}

func insertOne(ctx context.Context, c driver.Conn, a uint64) error {
	batch, err := c.PrepareBatch(ctx, "INSERT INTO m")
	if err != nil {
		return err
	}
	if err := batch.Append(a); err != nil {
		return err
	}
	return batch.Send()
}

func residentBytes(t *testing.T, pid int) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	check(t, err)
	var size, resident int64
	_, err = fmt.Sscan(string(data), &size, &resident)
	check(t, err)
	return resident * int64(os.Getpagesize())
}

func TestInsertCutOffInTheMiddleInsertsNothing(t *testing.T) {
	e := newEngine(t)
	e.curl("", "CREATE TABLE cut (a UInt32) ENGINE = MergeTree ORDER BY a")
	conn, err := net.Dial("tcp", e.Addr)
	check(t, err)
	_, err = fmt.Fprintf(conn, "POST /?query=%s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n1\n2\n3\n",
		url.QueryEscape("INSERT INTO cut FORMAT TSV"))
	check(t, err)
	check(t, conn.Close())
	time.Sleep(500 * time.Millisecond)
	if got, _ := e.curl("", "SELECT count() FROM cut"); got != "0\n" {
		t.Errorf("%q rows of an insert that was cut off", got)
	}
}

func TestStatementsAreRecognisedInEveryShape(t *testing.T) {
	e := newEngine(t)
	e.curl("", "CREATE TABLE shapes (a UInt32, b String) ENGINE = MergeTree ORDER BY a")
	for name, c := range map[string]struct {
		sql, body string // sql in the URL, or empty: body is the statement
		want      string
	}{
		"rows after VALUES":       {"INSERT INTO shapes VALUES", "(1,'x'),(2,'y')", ""},
		"columns and format":      {"INSERT INTO shapes (b, a) FORMAT CSV", "z,3\n", ""},
		"settings in the insert":  {"INSERT INTO shapes SETTINGS async_insert = 0 FORMAT TSV", "4\tq\n", ""},
		"insert of a select":      {"INSERT INTO shapes SELECT 5, 'five'", "", ""},
		"comment before a select": {"", "-- why\n/* and\nhow */ SELECT 1", "1\n"},
		"parentheses":             {"", "(SELECT 1)", "1\n"},
		"with":                    {"", "WITH 2 AS x SELECT x", "2\n"},
		"query in both":           {"SELECT 1 +", "2", "3\n"},
		"show":                    {"", "SHOW TABLES LIKE 'shapes'", "shapes\n"},
		"describe":                {"", "DESCRIBE TABLE shapes FORMAT TSVRaw", "a\tUInt32\t\t\t\t\t\nb\tString\t\t\t\t\t\n"},
		"format of its own":       {"", "SELECT 1 AS a FORMAT CSVWithNames", "\"a\"\n1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			query := ""
			if c.sql != "" {
				query = "query=" + url.QueryEscape(c.sql)
			}
			if got, _ := e.curl(query, c.body); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if got, _ := e.curl("", "SELECT a FROM shapes ORDER BY a FORMAT TSV"); got != "1\n2\n3\n4\n5\n" {
		t.Errorf("the table holds %q", got)
	}
}

func TestOneSessionServesEverybody(t *testing.T) {
	e := &engine{t: t, args: []string{
		"clickhouse", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--lib", library(t), "--connections", "1",
	}}
	e.running = start(t, e.args...)
	e.curl("", "CREATE TABLE one (a UInt32) ENGINE = MergeTree ORDER BY a")
	for range 3 {
		e.curl("", "SET max_threads = 1") // throws the session away, and with the only one the engine restarts
		e.curl("query="+url.QueryEscape("INSERT INTO one FORMAT TSV"), "1\n")
	}
	if got, _ := e.curl("", "SELECT count() FROM one"); got != "3\n" {
		t.Errorf("the table holds %q rows", got)
	}
}

func TestMemoryLimitIsAnErrorAndNotACrash(t *testing.T) {
	e := &engine{t: t, args: []string{
		"clickhouse", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--lib", library(t), "--memory-bytes", "600000000",
	}}
	e.running = start(t, e.args...)
	if got, _ := e.curl("", "SELECT length(groupArray(number)) FROM numbers(300000000)"); !strings.Contains(got, "MEMORY_LIMIT_EXCEEDED") {
		t.Errorf("got %q", got)
	}
	if got, _ := e.curl("", "SELECT 1"); got != "1\n" {
		t.Errorf("afterwards: %q", got)
	}
}

func TestTimeZoneIsUTCWhateverTheMachineSays(t *testing.T) {
	t.Setenv("TZ", "Asia/Tokyo")
	e := newEngine(t)
	if got, _ := e.curl("", "SELECT timezone(), toDateTime(0)"); got != "UTC\t1970-01-01 00:00:00\n" {
		t.Errorf("got %q", got)
	}
}
