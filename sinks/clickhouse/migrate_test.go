package clickhouse_test

import (
	"log/slog"
	"sync"
	"testing"

	"docstream/internal/testenv"
	"docstream/schemas"
	"docstream/sinks/clickhouse"
)

func TestMigrations(t *testing.T) {
	dsn := testenv.ClickHouse(t)

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
}
