package clickhouse_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"docstream/internal/testenv"
	"docstream/schemas"
)

// cut stands before the server and breaks off at one insert: before the server hears of it, or when it has done it and nobody is told.
type cut struct {
	through *httputil.ReverseProxy
	at      int // which insert, from 1; 0: none
	done    bool
	seen    atomic.Int64
}

func (c *cut) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(strings.TrimSpace(r.URL.Query().Get("query")), "INSERT") {
		if c.seen.Add(1) == int64(c.at) {
			if c.done {
				c.through.ServeHTTP(httptest.NewRecorder(), r)
			}
			panic(http.ErrAbortHandler)
		}
	}
	c.through.ServeHTTP(w, r)
}

// TestASinkThatEndsBetweenAnyTwoInsertsCountsNothingTwice ends a sink, as far as the server can see, before and after each insert of a batch,
// and after all of them but before its offsets are committed. Its successor gets the batch again: the same, or cut otherwise. Rows and the
// sums over them are exact, and where the batch is the same not even the tables below the views have a row twice.
func TestASinkThatEndsBetweenAnyTwoInsertsCountsNothingTwice(t *testing.T) {
	dsn := testenv.ClickHouse(t)
	to, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	all := []schemas.Event{changed(jobA, 0, 3, schemas.Partial), finished(jobA, 0, 1), finished(jobA, 0, 2), used(jobA, 0, 1, "ocr"), used(jobA, 0, 2, "ocr"), dead(jobA, 7)}
	tables := []string{"job_changes", "page_results", "usage_records", "dead_letter_facts"}
	for at := 1; at <= len(tables)+1; at++ {
		for _, done := range []bool{false, true} {
			for _, otherwise := range []bool{false, true} {
				t.Run(fmt.Sprintf("insert %d, done %v, cut otherwise %v", at, done, otherwise), func(t *testing.T) {
					s := open(t, dsn)
					door := &cut{at: at, done: done, through: &httputil.ReverseProxy{ErrorLog: log.New(io.Discard, "", 0), Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}}
					server := httptest.NewServer(door)
					defer server.Close()
					first := reopen(t, config(server.URL, fmt.Sprintf("test%d", databases.Load())))
					if err := first.Write(t.Context(), batch(10, all...)); (err == nil) != (at > len(tables)) || int(door.seen.Load()) != min(at, len(tables)) {
						t.Fatalf("%d inserts were seen: %v", door.seen.Load(), errors.Join(err))
					}
					if otherwise {
						write(t, s, batch(10, all[:2]...))
						write(t, s, batch(12, all[2:]...))
					} else {
						write(t, s, batch(10, all...))
						for i, n := range []string{"1", "2", "2", "1"} {
							expect(t, s, "SELECT count() FROM "+tables[i], n)
						}
					}
					expect(t, s, "SELECT count(), sum(words), sum(cpu_micros) FROM pages", "2,40,2200")
					expect(t, s, "SELECT count(), sum(units), sum(cpu_micros) FROM usage", "2,2,3000")
					expect(t, s, "SELECT stage, count(), round(sum(cpu_seconds), 4) FROM stages GROUP BY stage ORDER BY stage", "ocr,2,0.003")
					expect(t, s, "SELECT count() FROM dead_letters", "1")
					expect(t, s, "SELECT count(), any(status) FROM jobs", "1,partial")
				})
			}
		}
	}
}
