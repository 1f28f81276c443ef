package telemetry

import (
	"io"
	"log/slog"
	"sync"
	"time"
)

// whole keeps two lines that are written at once apart, and lines that may come later until then.
type whole struct {
	mu    sync.Mutex
	w     io.Writer
	kept  []byte // lines that are yet to be written
	timed bool   // somebody will
}

// How late a line may come, and how many bytes of such lines are kept (P6).
const (
	latest   = time.Millisecond
	mostKept = 64 << 10
)

// Write writes a line now, behind those that were kept.
func (w *whole) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.kept) == 0 {
		return w.w.Write(p)
	}
	w.kept = append(w.kept, p...)
	return len(p), w.flush()
}

// later takes a line that is written together with those of the next moment. A writer that does not keep up holds up whoever logs, as with
// Write.
func (w *whole) later(p []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, p...)
	if len(w.kept) >= mostKept {
		return w.flush()
	}
	if !w.timed {
		w.timed = true
		time.AfterFunc(latest, w.ring)
	}
	return nil
}

func (w *whole) ring() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timed = false
	_ = w.flush() // a log that cannot be written is nobody's concern
}

// flush writes what is kept. The lock is held.
func (w *whole) flush() error {
	if len(w.kept) == 0 {
		return nil
	}
	_, err := w.w.Write(w.kept)
	w.kept = w.kept[:0]
	return err
}

// Unhurried is a handler of [NewLogger]'s whose lines may come up to a millisecond late, so that a service that writes one for each request
// spends one call of the system on many of them; another handler comes back as it is. Every line of the log that is not unhurried takes along
// those before it, so that the order stays, and none is missing before a warning or at the end. A process that is killed loses a millisecond
// of them.
func Unhurried(h slog.Handler) slog.Handler {
	ours, ok := h.(*handler)
	if !ok {
		return h
	}
	late := *ours
	late.lines.late = true
	return &late
}
