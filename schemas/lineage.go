package schemas

import "slices"

// maxRuns bounds the earlier runs a job remembers.
const maxRuns = 20

// Lineage is the runs of a job that has ended as its next run remembers them: the last of them is its own.
func Lineage(s *JobSnapshot) []PastRun {
	runs := append(slices.Clone(s.Runs), PastRun{Run: s.Run, Status: s.Status, Code: s.Code, Pipeline: s.Pipeline, ReplayID: s.ReplayID,
		PagesDone: s.PagesDone, PagesFailed: s.PagesFailed, EndedAt: s.EndedAt})
	return runs[max(0, len(runs)-maxRuns):]
}
