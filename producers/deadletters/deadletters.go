// Package deadletters reads what the readers of the stream set aside, and asks for another run of the jobs it belongs to.
//
// A letter lies in the topic of its reader for as long as the plan keeps it, with its original bytes and headers (P3). What became of it is a
// record of the same topic, so that this is forgotten together with the letter and never before it.
package deadletters

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/fault"
	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/schemas"
)

// What became of a letter.
const (
	Open      = "open"
	Redriven  = "redriven"
	Discarded = "discarded"
)

// maxHeld bounds the letters that one look holds in memory, the newest (P6).
const maxHeld = 10_000

// Letter is one record that was set aside.
type Letter struct {
	ID       string    `json:"id"`
	Stage    string    `json:"stage"`
	Class    string    `json:"class"`
	Code     string    `json:"code"`
	Reason   string    `json:"reason,omitempty"` // for operators: it may hold internal text
	Attempts int       `json:"attempts"`
	At       time.Time `json:"at"`
	State    string    `json:"state"`

	Tenant string `json:"tenant,omitempty"` // empty where the record proves none
	JobID  string `json:"job_id,omitempty"`
	Run    int    `json:"run"`
	Page   int    `json:"page,omitempty"`

	Topic     string `json:"source_topic"`
	Partition int    `json:"source_partition"`
	Offset    int64  `json:"source_offset"`
	Trace     string `json:"traceparent,omitempty"`
	Request   string `json:"request_id,omitempty"`

	Record schemas.Record `json:"-"` // the original key, value and headers; only of a letter that was looked up by its id
}

// Filter selects letters; an empty field selects all.
type Filter struct {
	Stage, Class, Code, Tenant, Job, State string
	Since                                  time.Time
}

func (f Filter) takes(l Letter) bool {
	for _, pair := range [][2]string{{f.Class, l.Class}, {f.Code, l.Code}, {f.Tenant, l.Tenant}, {f.Job, l.JobID}, {f.State, l.State}} {
		if pair[0] != "" && pair[0] != pair[1] {
			return false
		}
	}
	return !l.At.Before(f.Since)
}

// Box is where the letters lie.
type Box struct {
	Conn   stream.Connection
	Plan   topology.Config
	Codec  *schemas.Codec
	Client *kgo.Client // writes what became of a letter
}

// List returns the newest letters that a filter takes, newest first, at most limit.
func (b Box) List(ctx context.Context, f Filter, limit int) ([]Letter, error) {
	var out []Letter
	for _, stage := range topology.Readers {
		if f.Stage != "" && f.Stage != stage {
			continue
		}
		letters, err := b.read(ctx, stage, f.Since)
		if err != nil {
			return nil, err
		}
		for _, l := range letters {
			if l.Record.Value, l.Record.Headers = nil, nil; f.takes(l) {
				out = append(out, l)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Letter) int { return b.At.Compare(a.At) })
	return out[:min(len(out), limit)], nil
}

// Find returns a letter by its id, whole.
func (b Box) Find(ctx context.Context, id string) (Letter, bool, error) {
	stage, _, _, ok := parseID(id)
	if !ok || !slices.Contains(topology.Readers, stage) {
		return Letter{}, false, nil
	}
	letters, err := b.read(ctx, stage, time.Time{})
	if err != nil {
		return Letter{}, false, err
	}
	i := slices.IndexFunc(letters, func(l Letter) bool { return l.ID == id })
	if i < 0 {
		return Letter{}, false, nil
	}
	return letters[i], true, nil
}

// read returns the letters of a reader, the newest that fit, with what became of them.
func (b Box) read(ctx context.Context, stage string, since time.Time) ([]Letter, error) {
	var out []Letter
	closed := map[string]string{}
	scan := stream.Scan{Conn: b.Conn, Plan: b.Plan, Codec: b.Codec, Since: since, Yield: func(r schemas.Record) error {
		if state := r.Header(schemas.HeaderDeadState); state != "" {
			closed[r.Header(schemas.HeaderDeadLetter)] = state
			return nil
		}
		if out = append(out, letter(stage, r)); len(out) >= 2*maxHeld {
			out = newest(out)
		}
		return nil
	}}
	if err := scan.Read(ctx, topology.DeadLetters(stage)); err != nil {
		return nil, fault.World(schemas.ServiceUnavailable, "The event log does not answer; try again.").Because(err)
	}
	out = newest(out)
	for i := range out {
		if state := closed[out[i].ID]; state != "" {
			out[i].State = state
		}
	}
	return out, nil
}

func newest(letters []Letter) []Letter {
	slices.SortStableFunc(letters, func(a, b Letter) int { return b.At.Compare(a.At) })
	return slices.Clone(letters[:min(len(letters), maxHeld)])
}

// letter reads a record of a dead letter topic. Whose it is says the event itself and never a header, and only of a record that proved its
// tenant (P8).
func letter(stage string, r schemas.Record) Letter {
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(r.Header(name), 10, 64)
		return n
	}
	l := Letter{ID: stage + "-" + strconv.Itoa(int(r.Partition)) + "-" + strconv.FormatInt(r.Offset, 10), Stage: stage, State: Open, At: r.Timestamp.UTC(),
		Class: r.Header(schemas.HeaderDeadClass), Code: r.Header(schemas.HeaderDeadCode), Reason: r.Header(schemas.HeaderDeadReason),
		Attempts: int(number(schemas.HeaderAttempt)), Topic: r.Header(schemas.HeaderDeadTopic), Partition: int(number(schemas.HeaderDeadPartition)),
		Offset: number(schemas.HeaderDeadOffset), Trace: r.Header(schemas.HeaderTraceParent), Request: r.Header(schemas.HeaderRequestID), Record: r}
	if r.Event == nil || l.Code == string(schemas.SignatureInvalid) || stage == topology.S3Connector {
		return l
	}
	h := r.Event.Envelope()
	l.Tenant, l.JobID, l.Run = h.Tenant, h.JobID, h.Run
	switch e := r.Event.(type) {
	case *schemas.PagePrepared:
		l.Page = e.Page
	case *schemas.PageLaidOut:
		l.Page = e.Page
	case *schemas.DocumentSubmitted:
		if e.FromPage > 1 {
			l.Page = e.FromPage
		}
	}
	return l
}

func parseID(id string) (stage string, partition int, offset int64, ok bool) {
	parts := strings.Split(id, "-")
	if len(parts) < 3 {
		return "", 0, 0, false
	}
	n := len(parts)
	partition, err := strconv.Atoi(parts[n-2])
	if err != nil {
		return "", 0, 0, false
	}
	offset, err = strconv.ParseInt(parts[n-1], 10, 64)
	return strings.Join(parts[:n-2], "-"), partition, offset, err == nil
}

// Close notes what became of letters.
func (b Box) Close(ctx context.Context, letters []Letter, state, by string) error {
	var records []*kgo.Record
	for _, l := range letters {
		records = append(records, &kgo.Record{Topic: b.Plan.Name(topology.DeadLetters(l.Stage)), Key: []byte(l.ID), Headers: []kgo.RecordHeader{
			{Key: schemas.HeaderDeadLetter, Value: []byte(l.ID)}, {Key: schemas.HeaderDeadState, Value: []byte(state)},
			{Key: schemas.HeaderDeadBy, Value: []byte(by)}}})
	}
	if err := b.Client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fault.World(schemas.ServiceUnavailable, "The event log does not answer; try again.").Because(err)
	}
	return nil
}
