// Package fault answers one question about an error: whose fault is it? The harness asks it to decide between a dead letter at once,
// waiting, and a few more attempts.
package fault

import (
	"context"
	"errors"
	"fmt"

	"docstream/schemas"
)

// Kind is whose fault an error is.
type Kind int

const (
	// Unknown: nobody can tell; worth a few attempts, then a dead letter.
	Unknown Kind = iota
	// Permanent: the document's. The same input will always fail; a dead letter at once.
	Permanent
	// Unavailable: the world's. A part cannot be reached; wait, use up no attempt, never a dead letter.
	Unavailable
)

func (k Kind) String() string { return [...]string{"unknown", "permanent", "unavailable"}[k] }

// Error carries the answer, a code of the closed table and a sentence fit for a client. The cause behind it is for logs only.
type Error struct {
	Kind    Kind
	Code    schemas.Code
	Message string // shown to clients; never internal text
	Cause   error  // never shown to clients
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s (%s): %s: %v", e.Code, e.Kind, e.Message, e.Cause)
	}
	return fmt.Sprintf("%s (%s): %s", e.Code, e.Kind, e.Message)
}

func (e *Error) Unwrap() error { return e.Cause }

// Because returns a copy with a cause for the logs.
func (e *Error) Because(err error) *Error { c := *e; c.Cause = err; return &c }

// Document is an error of the document itself.
func Document(code schemas.Code, format string, a ...any) *Error {
	return &Error{Kind: Permanent, Code: code, Message: fmt.Sprintf(format, a...)}
}

// World is an error of a part that cannot be reached.
func World(code schemas.Code, format string, a ...any) *Error {
	return &Error{Kind: Unavailable, Code: code, Message: fmt.Sprintf(format, a...)}
}

// Puzzle is an error nobody can place.
func Puzzle(code schemas.Code, format string, a ...any) *Error {
	return &Error{Kind: Unknown, Code: code, Message: fmt.Sprintf(format, a...)}
}

// Of returns the first fault in err's chain; an error that carries none is a puzzle with the code STAGE_FAILED, and one that is only a
// cancelled context is the world's: somebody is shutting down.
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, context.Canceled) {
		return World(schemas.ServiceUnavailable, "The service is stopping.").Because(err)
	}
	return Puzzle(schemas.StageFailed, "%s", schemas.Codes[schemas.StageFailed].Meaning).Because(err)
}

// KindOf returns whose fault err is.
func KindOf(err error) Kind { return Of(err).Kind }
