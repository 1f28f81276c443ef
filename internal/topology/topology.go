// Package topology draws the graph: every topic, stage, fold and sink of the stream stands in plan.go and nowhere else.
//
// The values are typed by the events that flow through them, so that binding a function to a stage of another event does not compile.
// No other file of the house names a topic.
package topology

import (
	"fmt"
	"time"

	"docstream/schemas"
)

// Shape is how many partitions a topic has.
type Shape int

const (
	Work  Shape = iota // lanes: as many as workers may share them; nothing depends on the number
	State              // facts and what is keyed with them: equal counts that never change
	Small              // one partition: settings, which everybody reads whole, and delays, whose order is that of time
)

// Spec describes one topic to whoever creates it.
type Spec struct {
	Name      string   // without the prefix
	Kinds     []string // event kinds it carries; none where it carries original bytes
	Shape     Shape
	Compact   bool
	Retention time.Duration // 0: for ever
	Key       string        // what its records are keyed by, in words
	Writers   []string
	Readers   []string
}

// Topic is a named stream of events of type E.
type Topic[E schemas.Event] struct{ Spec Spec }

// Lane is one priority of one class of a family of topics.
type Lane struct {
	Topic    string // without the prefix
	Class    string // empty where the family has no classes
	Priority string
	Signed   bool // anybody may write here: a record must prove its tenant
}

// Lanes is a family of topics of events of type E: kind × class × priority.
type Lanes[E schemas.Event] struct {
	Spec    Spec // Name is the family's
	Classed bool
	Signed  bool
}

// All lists the lanes, high before normal before low.
func (l Lanes[E]) All() []Lane {
	var out []Lane
	for _, c := range l.classes() {
		for _, p := range Priorities {
			out = append(out, Lane{Topic: l.Name(c, p), Class: c, Priority: p, Signed: l.Signed})
		}
	}
	return out
}

// Of lists the lanes of one class; a family without classes has the same lanes for each.
func (l Lanes[E]) Of(class string) []Lane {
	var out []Lane
	for _, lane := range l.All() {
		if !l.Classed || lane.Class == class {
			out = append(out, lane)
		}
	}
	return out
}

// Specs lists the lanes as topics.
func (l Lanes[E]) Specs() []Spec {
	var out []Spec
	for _, lane := range l.All() {
		s := l.Spec
		s.Name = lane.Topic
		out = append(out, s)
	}
	return out
}

// Name returns the topic of a lane, without the prefix.
func (l Lanes[E]) Name(class, priority string) string {
	if l.Classed {
		return l.Spec.Name + "." + class + "." + priority
	}
	return l.Spec.Name + "." + priority
}

func (l Lanes[E]) classes() []string {
	if l.Classed {
		return Classes
	}
	return []string{""}
}

// Classes and Priorities are the closed sets that span the lanes.
var (
	Classes    = []string{"cpu", "gpu"}
	Priorities = []string{"high", "normal", "low"}
)

// Source is a family of lanes a stage reads, whichever its event type.
type Source interface {
	All() []Lane
	Of(class string) []Lane
}

// Stage reads events of type I from lanes and answers each with events of the kinds it emits.
type Stage[I schemas.Event] struct {
	Name     string
	Reads    []Source
	AllClass bool // reads the lanes of every class, whatever the worker's own
	Emits    []string
	// Close returns the fact that ends the work an event asked for when nobody can do it; nil where the DeadLettered fact itself does.
	Close func(I, Failure) schemas.Event
}

// Failure is what the harness knows when it gives up on an event.
type Failure struct {
	Code    schemas.Code
	Message string
	// Submission is the event's own wire form, where it is a DocumentSubmitted.
	Submission []byte
}

// Lanes lists what a worker of the class reads.
func (s Stage[I]) Lanes(class string) []Lane {
	var out []Lane
	for _, src := range s.Reads {
		if s.AllClass {
			out = append(out, src.All()...)
		} else {
			out = append(out, src.Of(class)...)
		}
	}
	return out
}

// Fold reads events of type F and keeps a keyed state S, restored from the compacted topic it writes.
type Fold[F, S schemas.Event] struct {
	Name  string
	Reads Topic[F]
	State Topic[S]
	Emits []string
	Adds  bool // the state adds up what is read, so that nothing else tells a record that comes again
}

// Sink reads topics and writes batches somewhere; writing a batch twice equals writing it once.
type Sink struct {
	Name  string
	Reads []Spec
}

// Config is what an operator decides about the topics.
type Config struct {
	Prefix      string        `koanf:"prefix"`       // put before every topic, group and transactional id
	Lanes       int           `koanf:"lanes"`        // partitions of a lane
	State       int           `koanf:"state"`        // partitions of facts, jobs and what goes with them; never changes
	Replication int           `koanf:"replication"`  // -1: the broker's default
	MinInsync   int           `koanf:"min_insync"`   // 0: the broker's default
	Retention   time.Duration `koanf:"retention"`    // of lanes and facts
	DeadLetters time.Duration `koanf:"dead_letters"` // retention of dead letters

	// Delays are the waits before the second attempt at a record, the third and so on; after the last one it is a dead letter. Each has its topic.
	Delays []time.Duration `koanf:"delays"`
}

// DefaultConfig suits one machine; production sets replication 3 and min_insync 2.
func DefaultConfig() Config {
	return Config{Prefix: "docstream.", Lanes: 4, State: 8, Replication: -1, Retention: 7 * 24 * time.Hour, DeadLetters: 30 * 24 * time.Hour,
		Delays: []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute}}
}

// Validate refuses a plan that cannot keep the promises.
func (c Config) Validate() error {
	switch {
	case c.Lanes < 1 || c.State < 1:
		return fmt.Errorf("topology: lanes and state need at least one partition each")
	case c.Replication == 0 || c.Replication < -1:
		return fmt.Errorf("topology: replication is -1 (the broker's default) or at least 1")
	case c.Replication > 0 && c.MinInsync > c.Replication:
		return fmt.Errorf("topology: min_insync %d is above replication %d", c.MinInsync, c.Replication)
	case c.Retention < 96*time.Hour:
		return fmt.Errorf("topology: retention %s is not above the 96 h that work objects live", c.Retention)
	}
	return c.validateDelays()
}

// Name returns the full name of a topic.
func (c Config) Name(topic string) string { return c.Prefix + topic }

// Partitions returns the partition count of a shape.
func (c Config) Partitions(s Shape) int {
	switch s {
	case State:
		return c.State
	case Small:
		return 1
	}
	return c.Lanes
}

// Group returns the consumer group in which a stage, fold or sink reads a topic. One group a lane: a lane's pause or rebalance stops no
// other lane. What keeps a log whole has one for all it reads: its topics share one memory.
func (c Config) Group(reader, topic string) string {
	if reader == S3.Name || reader == Deliver.Name {
		return c.Prefix + reader
	}
	return c.Prefix + reader + "." + topic
}

// Subject returns the registry subject of a kind in a topic: <topic>-value, or <topic>-<record> where a topic carries several kinds.
func (c Config) Subject(s Spec, kind string) string {
	if len(s.Kinds) > 1 {
		return c.Name(s.Name) + "-docstream." + kind
	}
	return c.Name(s.Name) + "-value"
}
