package clickhouse

import (
	"context"
	"fmt"
	"io/fs"

	driver "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/pressly/goose/v3"
)

// Migrations returns the newest migration the database has and the newest this build knows. It applies none.
func (s *Sink) Migrations(ctx context.Context) (have, want int64, err error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return 0, 0, err
	}
	o, err := s.cfg.options(s.cfg.Database)
	if err != nil {
		return 0, 0, err
	}
	db := driver.OpenDB(o)
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectClickHouse, db, files, goose.WithDisableGlobalRegistry(true), goose.WithTableName(migrationsTable))
	if err != nil {
		return 0, 0, err
	}
	for _, m := range p.ListSources() {
		want = max(want, m.Version)
	}
	err = s.conn.QueryRow(ctx, "SELECT max(version_id) FROM "+migrationsTable+" WHERE is_applied").Scan(&have)
	if err != nil {
		return 0, want, classify(ctx, fmt.Errorf("reading the migrations of %s: %w", s.cfg.Database, err))
	}
	return have, want, nil
}
