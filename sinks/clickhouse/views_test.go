package clickhouse_test

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"docstream/internal/testenv"
	"docstream/schemas"
)

func TestViews(t *testing.T) {
	dsn := testenv.ClickHouse(t)

	t.Run("the newest version of the newest run shows, in whatever order they came", func(t *testing.T) {
		s := open(t, dsn)
		history := []schemas.Event{changed(jobA, 0, 1, schemas.Pending), changed(jobA, 0, 2, schemas.Processing), changed(jobA, 0, 3, schemas.Failed),
			changed(jobA, 1, 4, schemas.Processing), changed(jobA, 1, 5, schemas.Completed), changed(jobB, 0, 1, schemas.Pending)}
		for i, k := range rand.Perm(len(history)) {
			write(t, s, batch(int64(i), history[k]))
		}
		expect(t, s, "SELECT job_id, run, version, status FROM jobs ORDER BY job_id", jobA+",1,5,completed\n"+jobB+",0,1,pending")
		expect(t, s, "SELECT run, version, status FROM runs WHERE job_id = '"+jobA+"' ORDER BY run", "0,3,failed\n1,5,completed")
		expect(t, s, "SELECT submitted_at, opened_at, ended_at, wait_seconds, total_seconds FROM jobs WHERE job_id = '"+jobA+"'",
			"2026-11-23 10:00:00.123456,2026-11-23 10:00:02.123456,2026-11-23 10:00:05.623456,2,5.5")
		expect(t, s, "SELECT opened_at IS NULL, ended_at IS NULL FROM jobs WHERE job_id = '"+jobB+"'", "1,1")
	})

	t.Run("finished beats failed, in whatever order they came", func(t *testing.T) {
		s := open(t, dsn)
		write(t, s, batch(1, finished(jobA, 0, 1)))
		write(t, s, batch(2, failed(jobA, 0, 1)))
		write(t, s, batch(3, failed(jobA, 0, 2)))
		write(t, s, batch(4, finished(jobA, 0, 2)))
		write(t, s, batch(5, failed(jobA, 0, 3), failed(jobA, 1, 1)))
		expect(t, s, "SELECT run, page, status, error_code FROM pages ORDER BY run, page", "0,1,finished,\n0,2,finished,\n0,3,failed,OCR_FAILED\n1,1,failed,OCR_FAILED")
	})

	t.Run("one tenant's job is not another's", func(t *testing.T) {
		s := open(t, dsn)
		other := changed(jobA, 7, 9, schemas.Completed)
		other.Tenant = "other"
		write(t, s, batch(1, changed(jobA, 0, 1, schemas.Pending), other))
		expect(t, s, "SELECT tenant, run FROM jobs ORDER BY tenant", "acme,0\nother,7")
	})

	t.Run("every public column says what it is", func(t *testing.T) {
		s := open(t, dsn)
		expect(t, s, "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND comment = '' AND table != 'migrations'", "")
		expect(t, s, "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View' ORDER BY name",
			"dead_letters\njobs\npages\nruns\nstages\nusage")
		want, err := os.ReadFile("testdata/views.txt")
		if err != nil {
			t.Fatal(err)
		}
		got := ask(t, s, "SELECT table, name, type FROM system.columns WHERE database = currentDatabase() AND table IN "+
			"(SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View') ORDER BY table, position")
		if got != strings.TrimSpace(string(want)) {
			t.Errorf("public columns changed; if one was added, add it to testdata/views.txt:\n%s", got)
		}
	})
}
