package clickhouse_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"docstream/internal/testenv"
	"docstream/schemas"
	"docstream/sinks/clickhouse"
)

func TestRedelivery(t *testing.T) {
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

	t.Run("records of unreadable bytes are told apart by where they lay", func(t *testing.T) {
		s := open(t, dsn)
		write(t, s, batch(1, dead("", 1), dead("", 2)))
		write(t, s, batch(3, dead("", 2), dead("", 3)))
		expect(t, s, "SELECT count(), uniqExact(source_offset), any(error_code) FROM dead_letters", "3,3,OCR_FAILED")
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
