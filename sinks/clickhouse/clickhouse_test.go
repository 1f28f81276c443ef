package clickhouse_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"docstream/internal/fault"
	"docstream/schemas"
	"docstream/sinks/clickhouse"
)

// databases numbers the databases of a test run: tests share a server, never a database.
var databases atomic.Int32

// open returns a sink on a fresh database of dsn.
func open(t testing.TB, dsn string) *clickhouse.Sink {
	t.Helper()
	return reopen(t, config(dsn, fmt.Sprintf("test%d", databases.Add(1))))
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
