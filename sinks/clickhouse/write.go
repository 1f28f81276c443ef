package clickhouse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"docstream/internal/failpoint"
	"docstream/internal/fault"
	"docstream/schemas"
)

// Write stores a batch; writing it again changes nothing, and neither does writing its events again in other batches (P2). An error that
// is the world's means: write the same batch again. Any other means that some record of it does not fit its table.
func (s *Sink) Write(ctx context.Context, b schemas.Batch) (err error) {
	defer s.metrics.observe(time.Now(), &err)
	rows := map[string][]any{}
	for _, e := range b.Events {
		if table, r := row(e); table != "" {
			rows[table] = append(rows[table], r)
		}
	}
	token := identity(b)
	for _, t := range tables {
		if len(rows[t.name]) == 0 {
			continue
		}
		if err := s.insert(ctx, t.name, t.columns, token, rows[t.name]); err != nil {
			return err
		}
		failpoint.At(failpoint.Inserted)
		s.metrics.rows.WithLabelValues(sinkName, t.name).Add(float64(len(rows[t.name])))
	}
	return nil
}

// insert appends rows to a table in one block, so that the server takes all of them or none.
func (s *Sink) insert(ctx context.Context, table, columns, token string, rows []any) error {
	bounded, cancel := s.bounded(ctx)
	defer cancel()
	c := driver.Context(bounded, driver.WithSettings(driver.Settings{
		"async_insert":                             0,
		"insert_deduplicate":                       1,
		"insert_deduplication_token":               token,
		"throw_on_max_partitions_per_insert_block": 0, // a replay may span years
	}))
	batch, err := s.conn.PrepareBatch(c, "INSERT INTO "+table+" ("+columns+")")
	if err != nil {
		return classify(ctx, fmt.Errorf("preparing %s: %w", table, err))
	}
	defer batch.Close()
	for _, r := range rows {
		if err := batch.AppendStruct(r); err != nil {
			return classify(ctx, fault.Puzzle(schemas.StageFailed, "The record does not fit its table.").
				Because(fmt.Errorf("clickhouse: a row of %s: %w", table, err)))
		}
	}
	if err := batch.Send(); err != nil {
		return classify(ctx, fmt.Errorf("writing %d rows to %s: %w", len(rows), table, err))
	}
	return nil
}

// identity is the token of a batch: where it lay, and which events it holds. Offsets alone would not do, they begin anew where a topic is
// created anew, and the server would then drop rows it never saw.
func identity(b schemas.Batch) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s/%d/%d-%d", b.Topic, b.Partition, b.First, b.Last)
	for _, e := range b.Events {
		h.Write([]byte{0})
		h.Write([]byte(e.Envelope().EventID))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
