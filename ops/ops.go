// Package ops is what an operator does to a running house: bring the topics of the plan into being and look at them.
package ops

import (
	"strconv"
	"time"

	"docstream/internal/topology"
)

// Report says what Apply did, or Compare would have done. Warnings are sentences for a person: what differs from the plan and is not for a program to change.
type Report struct {
	Created  []string `json:"created,omitempty"`
	Grown    []string `json:"grown,omitempty"`   // lanes that got more partitions
	Altered  []string `json:"altered,omitempty"` // topics whose settings were brought to the plan
	Changes  []string `json:"changes,omitempty"` // each partition count and setting that was changed: what it was, what the plan says
	Granted  []string `json:"granted,omitempty"` // rights given to principals
	Warnings []string `json:"warnings,omitempty"`
}

// Changed reports whether there was anything to do.
func (r Report) Changed() bool { return len(r.Created)+len(r.Grown)+len(r.Altered)+len(r.Granted) > 0 }

// maxMessage is above the largest batch a producer of the house sends (8 MiB), which Kafka's own default of 1 MiB would refuse.
const maxMessage = 10 << 20

// tombstones is how long a compacted topic remembers a deletion: a reader that was away longer starts over. At least a day, so that a
// state tombstoned 24 h after its end is still seen to go.
const tombstones = 48 * time.Hour

// settings of a topic that the plan decides; all others are the broker's.
func settings(s topology.Spec, plan topology.Config) map[string]string {
	out := map[string]string{
		"max.message.bytes": strconv.Itoa(maxMessage),
		// Age is counted from arrival: a foreign producer's clock must not make a record expire before it is read (P1).
		"message.timestamp.type": "LogAppendTime",
	}
	if plan.MinInsync > 0 {
		out["min.insync.replicas"] = strconv.Itoa(plan.MinInsync)
	}
	if s.Compact {
		out["cleanup.policy"] = "compact"
		out["min.cleanable.dirty.ratio"] = "0.1" // compact early: a restart reads the whole topic
		out["segment.ms"] = millis(time.Hour)    // the open segment is never compacted
		out["delete.retention.ms"] = millis(tombstones)
		if s.Retention > 0 { // the newest of each key, and that for a while only
			out["cleanup.policy"], out["retention.ms"] = "compact,delete", millis(s.Retention)
		}
		return out
	}
	out["cleanup.policy"] = "delete"
	out["retention.ms"] = "-1"
	if s.Retention > 0 {
		out["retention.ms"] = millis(s.Retention)
	}
	return out
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
