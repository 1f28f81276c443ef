// Package engine runs native and hostile work (PDF, image decoding, ONNX Runtime) in child processes of a worker, so that a crash, a
// hang or a bomb is an error on one page and never a lost worker (P7).
//
// A [Pool] owns a fixed number of slots, each a child process at lower CPU priority that does one task at a time. A child is replaced
// after a number of documents or pages, on a crash, above its memory mark, or when a task passes its deadline. The parent speaks to it
// in gob frames over its standard input and output; the child serves a [Mux] of handlers that the switchboard fills.
package engine

import (
	"context"
	"time"
)

// Handler answers one call in the child. req and the result are gob-encoded values of the types the method agreed on.
type Handler func(ctx context.Context, req []byte) ([]byte, error)

// Usage is what a call cost the child.
type Usage struct {
	CPU  time.Duration // user and system time of the child's process
	Wall time.Duration
}
