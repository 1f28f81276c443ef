package broker

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"
)

// failStop turns the fake's log into ours, and its one silent failure into a loud one: when the fake cannot write a
// batch or a state entry it warns and acknowledges all the same. The warning is logged inside its request loop, before
// the answer, so ending the process here keeps the promise that what was acknowledged is on disk.
type failStop struct{ log *slog.Logger }

func (f failStop) Logf(level kfake.LogLevel, format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	switch {
	case level <= kfake.LogLevelWarn && lostWrite(msg):
		f.log.Error("embedded broker cannot write its log: stopping before it acknowledges what it did not keep",
			"cause", msg)
		os.Exit(1)
	case level == kfake.LogLevelError:
		f.log.Error(msg)
	case level == kfake.LogLevelWarn:
		f.log.Warn(msg)
	}
}

// lostWrite recognises the fake's messages about writes that failed.
func lostWrite(msg string) bool {
	for _, prefix := range []string{"persist ", "rebuildSegments ", "endTx: failed to persist", "compact groups.log",
		"compact pids.log"} {
		if strings.HasPrefix(msg, prefix) {
			return true
		}
	}
	return false
}
