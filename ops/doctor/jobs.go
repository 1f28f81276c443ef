package doctor

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// shownJobs is how many stuck jobs are named.
const shownJobs = 5

// stale is how long nothing may have come of a job before what it waits for is in danger: its lane keeps it 7 days, the store what lies on
// the way 4.
const stale = 72 * time.Hour

// jobs looks for jobs that have not ended and have not changed for long. A job that no stage has looked at yet is no row here: it is a
// record of a documents lane, which the check of the groups sees.
func (h House) jobs(ctx context.Context) []Finding {
	if h.Analytics == nil {
		return nil
	}
	rows, err := h.rows(ctx, fmt.Sprintf(`SELECT tenant, job_id, status, stage, toString(dateDiff('second', changed_at, now64(6))) AS idle, toString(count() OVER ()) AS all
		FROM jobs WHERE status IN ('pending', 'processing') AND changed_at < now64(6) - toIntervalSecond(%d) ORDER BY changed_at LIMIT %d`, int(h.Stuck.Seconds()), shownJobs))
	if err != nil {
		return []Finding{warn("the jobs cannot be looked at: "+err.Error(), "nobody knows whether jobs are stuck", "see the finding about analytics")}
	}
	if len(rows) == 0 {
		return []Finding{ok("no job has stood still for %s", h.Stuck)}
	}
	var out []Finding
	for _, r := range rows {
		seconds, _ := strconv.Atoi(r["idle"]) // a number by the query
		idle := time.Duration(seconds) * time.Second
		f := warn(fmt.Sprintf("job %s of %s is %s in %s and has not changed for %s", r["job_id"], r["tenant"], r["status"], r["stage"], idle),
			"its client waits; nothing is lost", "docstream lag shows where its stage waits; the log of that stage says for what")
		if idle > stale {
			f.Level, f.Means = Fail, "it had no deadline, or the fold does not work; what it waits for is soon removed from its lane and from the store"
		}
		out = append(out, f)
	}
	if all, _ := strconv.Atoi(rows[0]["all"]); all > len(rows) {
		out = append(out, warn(fmt.Sprintf("%d jobs in all have stood still for %s", all, h.Stuck), "a stage waits, not a document", "docstream lag"))
	}
	return out
}
