// Package clickhouse is the sink that makes every fact queryable: jobs, pages, usage and dead letters, as stable SQL views.
//
// Writing a batch twice equals writing it once, by three guards of which each alone would do: the insert carries a token of the batch's
// identity, and the harness forms the same batch again after a crash; the tables replace by event identity, and the views read them as merged.
package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	conn "github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"

	"docstream/internal/fault"
	"docstream/schemas"
)

// Sink writes to one database and queries it. Safe for concurrent use.
type Sink struct {
	cfg     Config
	conn    conn.Conn
	options *driver.Options
	log     *slog.Logger
	metrics *metrics
}

// Connect returns a sink on a database that was migrated before; it makes no call. reg may be nil.
func Connect(cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	o, err := cfg.options(cfg.Database)
	if err != nil {
		return nil, err
	}
	c, err := driver.Open(o)
	if err != nil {
		return nil, fmt.Errorf("clickhouse: %w", err)
	}
	return &Sink{cfg: cfg, conn: c, options: o, log: log, metrics: newMetrics(reg)}, nil
}

// Open connects and brings the database to the newest migration. A server that does not answer is the world's fault: try again later.
func Open(ctx context.Context, cfg Config, log *slog.Logger, reg prometheus.Registerer) (*Sink, error) {
	s, err := Connect(cfg, log, reg)
	if err != nil {
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Ready reports whether the server answers.
func (s *Sink) Ready(ctx context.Context) error { return classify(ctx, s.conn.Ping(ctx)) }

// Empty removes every row. What is written meanwhile may go too: write again what was written before it returned.
func (s *Sink) Empty(ctx context.Context) error {
	for _, t := range tables {
		bounded, cancel := s.bounded(ctx)
		err := s.conn.Exec(bounded, "TRUNCATE TABLE "+t.name)
		cancel()
		if err != nil {
			return classify(ctx, fmt.Errorf("emptying %s: %w", t.name, err))
		}
	}
	return nil
}

// Close ends the connections.
func (s *Sink) Close() error { return s.conn.Close() }

// classify says whose fault an error of the server is. Values it cannot store are nobody's known fault: a few attempts, then the one
// record at fault is set aside. All else, from a refused connection to a full disk or a missing right, is waited for: no row is lost.
func classify(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("clickhouse: %w", ctx.Err())
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	var e *driver.Exception
	if errors.As(err, &e) && slices.Contains(dataErrors, e.Code) {
		return fault.Puzzle(schemas.StageFailed, "The record does not fit its table.").Because(err)
	}
	return fault.World(schemas.ServiceUnavailable, "The analytics store does not answer; try again.").Because(err)
}

// dataErrors are the server's codes for a value that cannot be stored.
var dataErrors = []int32{
	6,   // CANNOT_PARSE_TEXT
	27,  // CANNOT_PARSE_INPUT_ASSERTION_FAILED
	32,  // ATTEMPT_TO_READ_AFTER_EOF
	33,  // CANNOT_READ_ALL_DATA
	38,  // CANNOT_PARSE_DATE
	41,  // CANNOT_PARSE_DATETIME
	53,  // TYPE_MISMATCH
	69,  // ARGUMENT_OUT_OF_BOUND
	70,  // CANNOT_CONVERT_TYPE
	72,  // CANNOT_PARSE_NUMBER
	117, // INCORRECT_DATA
	131, // TOO_LARGE_STRING_SIZE
	321, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
	349, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
	407, // DECIMAL_OVERFLOW
	469, // VIOLATED_CONSTRAINT
}

// bounded is a context for one statement.
func (s *Sink) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.cfg.Timeout+5*time.Second)
}
