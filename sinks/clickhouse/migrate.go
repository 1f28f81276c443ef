package clickhouse

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"
)

// migrationsTable is where goose notes what was applied.
const migrationsTable = "migrations"

//go:embed migrations/*.sql
var migrations embed.FS

// migrate creates the database where it is missing and applies what it lacks. ClickHouse has no transactions over DDL, so every
// statement can be run again, and sinks that start at once may run them twice; what one of them tripped over, it tries again.
func (s *Sink) migrate(ctx context.Context) (err error) {
	if err := s.createDatabase(ctx); err != nil {
		return err
	}
	for range 3 {
		if err = s.up(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return classify(ctx, ctx.Err())
		case <-time.After(300 * time.Millisecond):
		}
	}
	return classify(ctx, fmt.Errorf("migrating %s: %w", s.cfg.Database, err))
}

// createDatabase asks before it creates: in production the sink's user may lack the right, and the database be there.
func (s *Sink) createDatabase(ctx context.Context) error {
	o, err := s.cfg.options("default")
	if err != nil {
		return err
	}
	c, err := driver.Open(o)
	if err != nil {
		return fmt.Errorf("clickhouse: %w", err)
	}
	defer c.Close()
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var n uint64
	if err := c.QueryRow(ctx, "SELECT count() FROM system.databases WHERE name = ?", s.cfg.Database).Scan(&n); err != nil {
		return classify(ctx, fmt.Errorf("looking for the database: %w", err))
	}
	if n > 0 {
		return nil
	}
	if err := c.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+s.cfg.Database); err != nil {
		return classify(ctx, fmt.Errorf("creating the database: %w", err))
	}
	return nil
}

func (s *Sink) up(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	o, err := s.cfg.options(s.cfg.Database)
	if err != nil {
		return err
	}
	db := driver.OpenDB(o)
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectClickHouse, db, files, goose.WithDisableGlobalRegistry(true), goose.WithTableName(migrationsTable))
	if err != nil {
		return err
	}
	done, err := p.Up(ctx)
	for _, m := range done {
		s.log.InfoContext(ctx, "migrated", "database", s.cfg.Database, "migration", m.Source.Path, "took", m.Duration.String())
	}
	return err
}
