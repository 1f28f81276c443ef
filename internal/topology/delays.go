package topology

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Delays is the name of the group that returns records from the delay topics to their lanes: every harness that works a stage is in it.
const Delays = "delay"

// maxDelay keeps the sum of all waits far below the time a job may take.
const maxDelay = 24 * time.Hour

// Delay returns the topic in which records wait so long.
func Delay(d time.Duration) string {
	if d%time.Second == 0 {
		return Delays + "." + strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
	return Delays + "." + d.String()
}

// DelaySpecs lists the delay topics, a topic once however often its wait is used.
func (c Config) DelaySpecs() []Spec {
	var out []Spec
	for _, d := range slices.Compact(slices.Clone(c.Delays)) {
		out = append(out, Spec{Name: Delay(d), Shape: Small, Retention: c.Retention, Key: "as the original", Writers: []string{"the harness"}, Readers: []string{"the harness"}})
	}
	return out
}

// Origin reports whether records may be returned to a topic, given without prefix: only the lanes of stages are.
func Origin(topic string) bool {
	for _, lanes := range [][]Lane{Documents.All(), Splits.All(), Fetches.All(), Pages.All(), Layouts.All(), Compositions.All()} {
		if slices.ContainsFunc(lanes, func(l Lane) bool { return l.Topic == topic }) {
			return true
		}
	}
	return false
}

// returned reports whether the harness of every stage may write to a topic because it returns records from the delay topics.
func returned(topic string) bool {
	return Origin(topic) || strings.HasPrefix(topic, Delays+".") || topic == DeadLetters(Delays)
}

func (c Config) validateDelays() error {
	if len(c.Delays) > 10 {
		return fmt.Errorf("topology: %d delays are more than 10", len(c.Delays))
	}
	for i, d := range c.Delays {
		if d <= 0 || d > maxDelay || (i > 0 && d < c.Delays[i-1]) {
			return fmt.Errorf("topology: delays are above 0, at most %s and never shorter than the one before; %s is not", maxDelay, d)
		}
	}
	return nil
}
