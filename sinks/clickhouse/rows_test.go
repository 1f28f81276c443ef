package clickhouse_test

import (
	"fmt"
	"testing"
	"time"

	"docstream/internal/fault"
	"docstream/internal/testenv"
	"docstream/schemas"
)

func TestRows(t *testing.T) {
	dsn := testenv.ClickHouse(t)

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

	t.Run("times that never were are stored", func(t *testing.T) {
		s := open(t, dsn)
		write(t, s, batch(1, &schemas.UsageRecorded{}, &schemas.PageFailed{}, &schemas.DeadLettered{}, &schemas.JobChanged{}))
		expect(t, s, "SELECT submitted_at FROM usage", "1970-01-01 00:00:00")
	})

	t.Run("a time beyond the calendar becomes its end", func(t *testing.T) {
		s := open(t, dsn)
		e := used(jobA, 0, 1, "ocr")
		e.At = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
		write(t, s, batch(1, e))
		expect(t, s, "SELECT recorded_at FROM usage", "2261-12-31 23:59:59")
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
}
