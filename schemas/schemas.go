// Package schemas holds the words of Docstream: the events with their Avro schemas, the identities, the statuses and the error codes.
//
// Every other package may import it; it imports none of them. A schema that was released only ever changes in ways that old and new
// builds can both read (FULL_TRANSITIVE): every field has a default, no field changes its type.
package schemas

//go:generate go run ./avrogen . events_gen.go

import "time"

// Event is one record of the stream.
type Event interface {
	// Kind is the record name, such as PageFinished.
	Kind() string
	// Envelope is the part all events share; the pointer leads into the event.
	Envelope() *Head

	native() map[string]any
	load(map[string]any)
}

// Head is the part all events share.
type Head struct {
	EventID     string    // Hash of job, run, stage, page and kind: the same work yields the same id.
	Tenant      string    // Owner of the job.
	JobID       string    // Empty where the event is about no job.
	Run         int       // From 0.
	At          time.Time // When it happened.
	SubmittedAt time.Time // When the job was accepted.
}

// Envelope returns the head itself, so that embedding it makes a type an Event.
func (h *Head) Envelope() *Head { return h }

// Delivery tells a stage how it came by an event.
type Delivery struct {
	// Attempt counts from 0.
	Attempt int
	// Again is true where the work may have been done before: on a later attempt, and on the first batch after an assignment or an
	// aborted transaction. Only then does a stage look for an existing output.
	Again bool
	// Wire is the event in its own wire format: what a first fact carries along as its submission.
	Wire []byte
	// Stopped reports whether the run was cancelled or expired meanwhile: a stage that works through many pages asks between two of them and
	// returns no events, because nobody needs them. Nil: never.
	Stopped func() bool
}

// Over reports whether nobody needs the work any more.
func (d Delivery) Over() bool { return d.Stopped != nil && d.Stopped() }

// Batch is a run of consecutive records of one partition, for a sink. Topic, Partition, First and Last name it: a batch that comes again
// under the same name holds the same events.
type Batch struct {
	Topic       string // without the prefix
	Partition   int32
	First, Last int64 // offsets
	Events      []Event
}
