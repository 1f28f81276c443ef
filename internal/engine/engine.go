// Package engine runs native and hostile work (PDF, image decoding, ONNX Runtime) in child processes of a worker, so that a crash, a
// hang or a bomb is an error on one page and never a lost worker (P7).
//
// A [Pool] owns a fixed number of slots, each a child process at lower CPU priority that does one task at a time. A child is replaced
// after a number of documents or pages, on a crash, above its memory mark, or when a task passes its deadline. The parent speaks to it
// in gob frames over its standard input and output; the child serves a [Mux] of handlers that the switchboard fills.
//
// The package is also the only one that knows ONNX Runtime: a [Runtime] loads models whose digests are pinned in a [ModelSet].
package engine

import (
	"context"
	"time"
)

// Handler answers one call in the child. req and the result are gob-encoded values of the types the method agreed on; req is valid
// until the handler returns, the result until the next call. Handlers of one child never run at the same time.
type Handler func(ctx context.Context, req []byte) ([]byte, error)

// Usage is what a call cost the child.
type Usage struct {
	CPU  time.Duration // user and system time of the child's process; of a child that died, all it had not reported before
	Wall time.Duration // as the parent saw it, starting a child not included
}
