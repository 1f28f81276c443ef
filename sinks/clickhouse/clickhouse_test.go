package clickhouse_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"docstream/internal/fault"
	"docstream/internal/testenv"
	"docstream/schemas"
	"docstream/sinks/clickhouse"
)

// engine is one server for the whole package: starting it costs more than a test. Each test has a database of its own.
var engine struct {
	sync.Mutex
	n int
}

// open returns a sink on a fresh database of dsn.
func open(t testing.TB, dsn string) *clickhouse.Sink {
	t.Helper()
	engine.Lock()
	engine.n++
	cfg := config(dsn, fmt.Sprintf("test%d", engine.n))
	engine.Unlock()
	return reopen(t, cfg)
}

func config(dsn, database string) clickhouse.Config {
	cfg := clickhouse.DefaultConfig()
	cfg.DSN, cfg.Database = dsn, database
	return cfg
}

func reopen(t testing.TB, cfg clickhouse.Config) *clickhouse.Sink {
	t.Helper()
	s, err := clickhouse.Open(t.Context(), cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func write(t testing.TB, s *clickhouse.Sink, b schemas.Batch) {
	t.Helper()
	if err := s.Write(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// ask returns a result as lines of CSV without the header.
func ask(t testing.TB, s *clickhouse.Sink, sql string) string {
	t.Helper()
	var out bytes.Buffer
	if err := s.Query(t.Context(), sql, &out, "csv"); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	_, rest, _ := strings.Cut(out.String(), "\n")
	return strings.ReplaceAll(strings.TrimSpace(rest), `"`, "")
}

func expect(t testing.TB, s *clickhouse.Sink, sql, want string) {
	t.Helper()
	if got := ask(t, s, sql); got != want {
		t.Errorf("%s\n got: %s\nwant: %s", sql, got, want)
	}
}

var submitted = time.Date(2026, 11, 23, 10, 0, 0, 123456000, time.UTC)

func head(job string, run int, stage string, page int, kind string, ordinal int64) schemas.Head {
	return schemas.Head{EventID: schemas.EventIDFor(job, run, stage, page, kind, ordinal), Tenant: "acme", JobID: job, Run: run,
		SubmittedAt: submitted, At: submitted.Add(time.Duration(page+1) * time.Second)}
}

func changed(job string, run int, version int64, status string) *schemas.JobChanged {
	e := &schemas.JobChanged{Head: head(job, run, "track", 0, "JobChanged", version), Version: version, Status: status, Stage: "ocr",
		PagesExpected: 3, PagesDone: int(version), MediaType: "application/pdf", Size: 1234, Class: "gpu", Priority: "normal", Words: 10}
	if status != schemas.Pending {
		e.OpenedAt = submitted.Add(2 * time.Second)
	}
	if schemas.Terminal(status) {
		e.EndedAt = submitted.Add(5500 * time.Millisecond)
	}
	return e
}

func finished(job string, run, page int) *schemas.PageFinished {
	return &schemas.PageFinished{Head: head(job, run, "ocr", page, "PageFinished", 0), Page: page, How: "ocr", Lines: 4, Words: 20, Confidence: .987,
		Result: schemas.ObjectRef{Key: schemas.ResultKey("acme", job, run, schemas.PageResultName(page)), Length: 99},
		Costs:  []schemas.StageCost{{Stage: "layout", CPUMicros: 100, WallMicros: 200}, {Stage: "ocr", CPUMicros: 1000, WallMicros: 2000}}}
}

func failed(job string, run, page int) *schemas.PageFailed {
	return &schemas.PageFailed{Head: head(job, run, "ocr", page, "PageFailed", 0), Page: page, Stage: "ocr", Code: "OCR_FAILED", Message: `It's "broken", 契約 \ 100 %`}
}

func used(job string, run, page int, stage string) *schemas.UsageRecorded {
	return &schemas.UsageRecorded{Head: head(job, run, stage, page, "UsageRecorded", 0), Page: page, APIKeyID: "key1", Stage: stage, Device: "cpu",
		Units: 1, CPUMicros: 1500, WallMicros: 2500}
}

func dead(job string, offset int64) *schemas.DeadLettered {
	return &schemas.DeadLettered{Head: head(job, 0, "ocr", 2, "DeadLettered", 3), Page: 2, Stage: "ocr", Class: "unknown", Code: "OCR_FAILED",
		Message: "No.", Attempts: 3, Topic: "docstream.layouts.gpu.normal", Partition: 1, Offset: offset}
}

func batch(first int64, events ...schemas.Event) schemas.Batch {
	return schemas.Batch{Topic: "facts", Partition: 3, First: first, Last: first + int64(len(events)) - 1, Events: events}
}

const (
	jobA = "job_0000000000000000000000000a"
	jobB = "job_0000000000000000000000000b"
)

func TestSink(t *testing.T) {
	dsn := testenv.ClickHouse(t)

	t.Run("a batch written twice is there once", func(t *testing.T) {
		s := open(t, dsn)
		b := batch(10, finished(jobA, 0, 1), finished(jobA, 0, 2), failed(jobA, 0, 3), used(jobA, 0, 1, "ocr"), dead(jobA, 7),
			changed(jobA, 0, 3, schemas.Partial), &schemas.DocumentOpened{Head: head(jobA, 0, "prepare", 0, "DocumentOpened", 0)})
		write(t, s, b)
		write(t, s, b)
		for _, table := range []string{"page_results", "usage_records", "dead_letter_facts", "job_changes"} {
			want := map[string]string{"page_results": "3"}[table]
			if want == "" {
				want = "1"
			}
			expect(t, s, "SELECT count() FROM "+table, want) // the token: not even the raw table has it twice
		}
		expect(t, s, "SELECT count(), countIf(status = 'finished'), sum(words) FROM pages", "3,2,40")
	})

	t.Run("batches that overlap are there once in the views", func(t *testing.T) {
		s := open(t, dsn)
		var all []schemas.Event
		for page := 1; page <= 20; page++ {
			all = append(all, finished(jobA, 0, page), used(jobA, 0, page, "layout"), used(jobA, 0, page, "ocr"))
		}
		for range 30 {
			from := rand.IntN(len(all))
			to := from + 1 + rand.IntN(len(all)-from)
			write(t, s, batch(int64(from), all[from:to]...))
		}
		write(t, s, batch(0, all...))
		expect(t, s, "SELECT count(), uniqExact(page), sum(words), sum(cpu_micros) FROM pages", "20,20,400,22000")
		expect(t, s, "SELECT count(), sum(units), sum(cpu_micros) FROM usage", "40,40,60000")
		expect(t, s, "SELECT stage, count(), round(sum(cpu_seconds), 3), round(sum(wall_seconds), 3) FROM stages GROUP BY stage ORDER BY stage",
			"layout,20,0.03,0.05\nocr,20,0.03,0.05")
	})

	t.Run("a topic created anew begins at offset 0 again and loses nothing", func(t *testing.T) {
		s := open(t, dsn)
		write(t, s, batch(0, used(jobA, 0, 1, "ocr")))
		write(t, s, batch(0, used(jobB, 0, 1, "ocr")))
		expect(t, s, "SELECT count() FROM usage", "2")
	})

	t.Run("the newest version of the newest run shows, in whatever order they came", func(t *testing.T) {
		s := open(t, dsn)
		history := []schemas.Event{changed(jobA, 0, 1, schemas.Pending), changed(jobA, 0, 2, schemas.Processing), changed(jobA, 0, 3, schemas.Failed),
			changed(jobA, 1, 4, schemas.Processing), changed(jobA, 1, 5, schemas.Completed), changed(jobB, 0, 1, schemas.Pending)}
		for i, k := range rand.Perm(len(history)) {
			write(t, s, batch(int64(i), history[k]))
		}
		expect(t, s, "SELECT job_id, run, version, status FROM jobs ORDER BY job_id", jobA+",1,5,completed\n"+jobB+",0,1,pending")
		expect(t, s, "SELECT run, version, status FROM runs WHERE job_id = '"+jobA+"' ORDER BY run", "0,3,failed\n1,5,completed")
		expect(t, s, "SELECT submitted_at, opened_at, ended_at, wait_seconds, total_seconds FROM jobs WHERE job_id = '"+jobA+"'",
			"2026-11-23 10:00:00.123456,2026-11-23 10:00:02.123456,2026-11-23 10:00:05.623456,2,5.5")
		expect(t, s, "SELECT opened_at IS NULL, ended_at IS NULL FROM jobs WHERE job_id = '"+jobB+"'", "1,1")
	})

	t.Run("finished beats failed, in whatever order they came", func(t *testing.T) {
		s := open(t, dsn)
		write(t, s, batch(1, finished(jobA, 0, 1)))
		write(t, s, batch(2, failed(jobA, 0, 1)))
		write(t, s, batch(3, failed(jobA, 0, 2)))
		write(t, s, batch(4, finished(jobA, 0, 2)))
		write(t, s, batch(5, failed(jobA, 0, 3), failed(jobA, 1, 1)))
		expect(t, s, "SELECT run, page, status, error_code FROM pages ORDER BY run, page", "0,1,finished,\n0,2,finished,\n0,3,failed,OCR_FAILED\n1,1,failed,OCR_FAILED")
	})

	t.Run("one tenant's job is not another's", func(t *testing.T) {
		s := open(t, dsn)
		other := changed(jobA, 7, 9, schemas.Completed)
		other.Tenant = "other"
		write(t, s, batch(1, changed(jobA, 0, 1, schemas.Pending), other))
		expect(t, s, "SELECT tenant, run FROM jobs ORDER BY tenant", "acme,0\nother,7")
	})

	t.Run("any text comes back as it was", func(t *testing.T) {
		s := open(t, dsn)
		texts := []string{`It's "quoted"`, "Grüße 契約 🙂", "tab\tline\nback\\slash", "'; DROP TABLE page_results; --", "{x} ? $1 {x:String}", "\xff\xfe", ""}
		var events []schemas.Event
		for i, text := range texts {
			e := failed(jobA, 0, i+1)
			e.Message = text
			events = append(events, e)
		}
		write(t, s, batch(1, events...))
		for i, text := range texts {
			expect(t, s, fmt.Sprintf("SELECT hex(error_message) FROM pages WHERE page = %d", i+1), fmt.Sprintf("%X", text))
		}
	})

	t.Run("records of unreadable bytes are told apart by where they lay", func(t *testing.T) {
		s := open(t, dsn)
		write(t, s, batch(1, dead("", 1), dead("", 2)))
		write(t, s, batch(3, dead("", 2), dead("", 3)))
		expect(t, s, "SELECT count(), uniqExact(source_offset), any(error_code) FROM dead_letters", "3,3,OCR_FAILED")
	})

	t.Run("times that never were are stored", func(t *testing.T) {
		s := open(t, dsn)
		write(t, s, batch(1, &schemas.UsageRecorded{}, &schemas.PageFailed{}, &schemas.DeadLettered{}, &schemas.JobChanged{}))
		expect(t, s, "SELECT submitted_at FROM usage", "1970-01-01 00:00:00")
	})

	t.Run("a replay over many months is taken", func(t *testing.T) {
		s := open(t, dsn)
		var events []schemas.Event
		for i := range 150 {
			e := used(jobA, 0, i, "ocr")
			e.SubmittedAt = submitted.AddDate(0, -i, 0)
			events = append(events, e)
		}
		write(t, s, batch(1, events...))
		write(t, s, batch(1, events...))
		expect(t, s, "SELECT count() FROM usage", "150")
		expect(t, s, "SELECT count() FROM usage_records", "150")
	})

	t.Run("a time beyond the calendar becomes its end", func(t *testing.T) {
		s := open(t, dsn)
		e := used(jobA, 0, 1, "ocr")
		e.At = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
		write(t, s, batch(1, e))
		expect(t, s, "SELECT recorded_at FROM usage", "2261-12-31 23:59:59")
	})

	t.Run("a value the table refuses is the record's fault, and the rest of its batch is not written", func(t *testing.T) {
		s := open(t, dsn)
		ask(t, s, "ALTER TABLE usage_records ADD CONSTRAINT few CHECK units < 5")
		e := used(jobA, 0, 1, "ocr")
		e.Units = 9
		err := s.Write(t.Context(), batch(1, used(jobB, 0, 1, "ocr"), e))
		if err == nil || fault.KindOf(err) != fault.Unknown {
			t.Fatalf("%v", err)
		}
		expect(t, s, "SELECT count() FROM usage", "0")
		write(t, s, batch(1, used(jobB, 0, 1, "ocr"))) // the half without it
		expect(t, s, "SELECT count() FROM usage", "1")
	})

	t.Run("a newer build's column does not disturb, and a missing one is waited for", func(t *testing.T) {
		s := open(t, dsn)
		ask(t, s, "ALTER TABLE usage_records ADD COLUMN later String DEFAULT 'x'")
		write(t, s, batch(1, used(jobA, 0, 1, "ocr")))
		expect(t, s, "SELECT later FROM usage_records", "x")
		ask(t, s, "ALTER TABLE usage_records DROP COLUMN device")
		if err := s.Write(t.Context(), batch(2, used(jobA, 0, 2, "ocr"))); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%v", err)
		}
	})

	t.Run("migrating again, and by many at once, changes nothing", func(t *testing.T) {
		cfg := config(dsn, "many")
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				s, err := clickhouse.Open(t.Context(), cfg, slog.New(slog.DiscardHandler), nil)
				if err != nil {
					t.Error(err)
					return
				}
				s.Close()
			})
		}
		all.Wait()
		s := reopen(t, cfg)
		write(t, s, batch(1, changed(jobA, 0, 1, schemas.Pending)))
		expect(t, reopen(t, cfg), "SELECT count() FROM jobs", "1")
	})

	t.Run("every public column says what it is", func(t *testing.T) {
		s := open(t, dsn)
		expect(t, s, "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND comment = '' AND table != 'migrations'", "")
		expect(t, s, "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View' ORDER BY name",
			"dead_letters\njobs\npages\nruns\nstages\nusage")
		want, err := os.ReadFile("testdata/views.txt")
		if err != nil {
			t.Fatal(err)
		}
		got := ask(t, s, "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() AND table IN "+
			"(SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View') ORDER BY table, position")
		if got != strings.TrimSpace(string(want)) {
			t.Errorf("public columns changed; if one was added, add it to testdata/views.txt:\n%s", got)
		}
	})

	t.Run("writers at once on one table lose nothing", func(t *testing.T) {
		s := open(t, dsn)
		var all sync.WaitGroup
		for p := range 8 {
			all.Go(func() {
				for i := range 5 {
					b := batch(int64(i), used(jobA, p, i, "ocr"))
					b.Partition = int32(p)
					if err := s.Write(t.Context(), b); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		expect(t, s, "SELECT count() FROM usage", "40")
	})
}

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

func TestRowsOutliveTheServer(t *testing.T) {
	dir, lib := t.TempDir(), testenv.Cached(t, "libchdb.so")
	serve := func(t *testing.T) clickhouse.Config {
		return config("http://"+testenv.Part(t, "clickhouse", "--data", dir, "--listen", "127.0.0.1:0", "--lib", lib).Addr, "docstream")
	}
	b := batch(1, used(jobA, 0, 1, "ocr"))
	t.Run("first life", func(t *testing.T) { write(t, reopen(t, serve(t)), b) })
	t.Run("second life", func(t *testing.T) {
		s := reopen(t, serve(t))
		write(t, s, b)
		expect(t, s, "SELECT count() FROM usage", "1")
		expect(t, s, "SELECT count() FROM usage_records", "1")
	})
}

func TestAServerThatIsAwayIsTheWorldsFault(t *testing.T) {
	full := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-ClickHouse-Exception-Code", "243")
		w.WriteHeader(500)
		fmt.Fprintln(w, "Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)")
	}))
	defer full.Close()
	for name, dsn := range map[string]string{"closed": "http://127.0.0.1:1", "native closed": "clickhouse://127.0.0.1:1", "full": full.URL} {
		t.Run(name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			cfg := config(dsn, "docstream")
			cfg.Password = "hunter2"
			if _, err := clickhouse.Open(t.Context(), cfg, slog.New(slog.DiscardHandler), reg); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("open: %v", err)
			}
			s, err := clickhouse.Connect(cfg, slog.New(slog.DiscardHandler), reg)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			err = s.Write(t.Context(), batch(1, used(jobA, 0, 1, "ocr")))
			if fault.KindOf(err) != fault.Unavailable || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("write: %v", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := s.Write(ctx, batch(1, used(jobA, 0, 1, "ocr"))); !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled: %v", err)
			}
		})
	}
}

func TestConfigRefusesWhatCannotWork(t *testing.T) {
	if err := clickhouse.DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*clickhouse.Config){
		"no address":        func(c *clickhouse.Config) { c.DSN = "localhost" },
		"another scheme":    func(c *clickhouse.Config) { c.DSN = "mysql://h:1" },
		"a password in it":  func(c *clickhouse.Config) { c.DSN = "http://u:p@h:1" },
		"a password beside": func(c *clickhouse.Config) { c.DSN = "http://h:1?password=p" },
		"an odd database":   func(c *clickhouse.Config) { c.Database = "a; DROP" },
		"no connection":     func(c *clickhouse.Config) { c.Connections = 0 },
		"no patience":       func(c *clickhouse.Config) { c.Timeout = 0 },
	} {
		c := clickhouse.DefaultConfig()
		spoil(&c)
		if c.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, n := range []int{100, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := open(b, testenv.ClickHouse(b))
			for i := 0; b.Loop(); i++ {
				events := make([]schemas.Event, n)
				for k := range events {
					events[k] = used(jobA, i, k, "ocr")
				}
				write(b, s, batch(int64(i*n), events...))
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
