package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
)

// analytics asks whether ClickHouse answers and has the tables of this build.
func (h House) analytics(ctx context.Context) []Finding {
	if h.Analytics == nil {
		if h.NoAnalysis == "" {
			return nil
		}
		return []Finding{warn("analytics is off: "+h.NoAnalysis, "jobs and results are not affected; SQL has no answers", "see what the sentence names")}
	}
	rows, err := h.rows(ctx, "SELECT version() AS version")
	if err != nil {
		return []Finding{fail("ClickHouse does not answer: "+err.Error(), "rows wait in the topics, up to their retention; jobs and results are not affected",
			"check clickhouse in docstream config, and that the server runs")}
	}
	have, want, err := h.Analytics.Migrations(ctx)
	switch {
	case err != nil:
		return []Finding{fail("the migrations of ClickHouse cannot be read: "+err.Error(), "the sink may not be able to write", "docstream sink makes the database and its tables when it starts")}
	case have < want:
		return []Finding{fail(fmt.Sprintf("ClickHouse is at migration %d, this build knows %d", have, want), "rows this build writes have no table, and SQL lacks columns", "start docstream sink of this build: it migrates first")}
	case have > want:
		return []Finding{warn(fmt.Sprintf("ClickHouse is at migration %d, this build knows only %d", have, want), "a newer build runs beside this one", "finish the upgrade")}
	}
	version := ""
	if len(rows) == 1 {
		version = rows[0]["version"]
	}
	return []Finding{ok("ClickHouse %s has migration %d, the newest", version, have)}
}

// rows asks ClickHouse and returns its rows; every column is asked for as a string.
func (h House) rows(ctx context.Context, sql string) ([]map[string]string, error) {
	var text bytes.Buffer
	if err := h.Analytics.Query(ctx, sql, &text, "json"); err != nil {
		return nil, err
	}
	var out []map[string]string
	for d := json.NewDecoder(&text); d.More(); {
		row := map[string]string{}
		if err := d.Decode(&row); err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, nil
}
