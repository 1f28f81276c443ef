package track_test

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"reflect"
	"slices"
	"time"

	"docstream/processors/track"
	"docstream/schemas"
)

// life is what a history of facts means for one job, told another way than the fold tells it: it keeps the facts that counted, and works out
// from all of them, each time, what the job is.
type life struct {
	run       int
	version   int64
	submitted time.Time
	replay    string
	past      []schemas.PastRun
	sub       *schemas.DocumentSubmitted

	opened   *schemas.DocumentOpened
	total    int
	pages    schemas.Ranges
	finished map[int]*schemas.PageFinished
	failed   map[int]bool
	named    map[int]schemas.PageFailure // the lowest hundred of the failed
	waits    map[wait]schemas.Retry      // the lowest hundred of those that wait
	charged  []*schemas.UsageRecorded
	kept     int  // pages taken over
	asked    bool // for the outputs
	outputs  []schemas.Output

	status, code, message string // of the end
	ended, last           time.Time
	archived              time.Time // of this very version
	rests                 bool      // the end was committed
}

// wait names work that can wait: a page's reading, or the preparing from a page on.
type wait struct {
	page    int
	reading bool
}

func newLife(run int, submitted time.Time) *life {
	return &life{run: run, submitted: submitted, finished: map[int]*schemas.PageFinished{}, failed: map[int]bool{},
		named: map[int]schemas.PageFailure{}, waits: map[wait]schemas.Retry{}}
}

func (l *life) head(tenant, id, stage, kind string, page int, ordinal int64, at time.Time) schemas.Head {
	return schemas.Head{EventID: schemas.EventIDFor(id, l.run, stage, page, kind, ordinal), Tenant: tenant, JobID: id, Run: l.run, At: at, SubmittedAt: l.submitted}
}

// submission reads what a fact carries.
func submission(wire []byte) (*schemas.DocumentSubmitted, error) {
	e, err := decode(context.Background(), wire)
	if err != nil {
		return nil, err
	}
	if sub, ok := e.(*schemas.DocumentSubmitted); ok {
		return sub, nil
	}
	return nil, errNoSubmission
}

// take folds one fact into a life; nil is a job nobody has heard of. moved false: the fact counts for nothing, and the life is as it was.
func take(l *life, f schemas.Event, hot time.Duration) (next *life, moved bool, out []schemas.Event, err error) {
	h := f.Envelope()
	switch f := f.(type) {
	case *schemas.JobArchived:
		return l.stored(f)
	case *schemas.RunRequested:
		return rerun(l, f)
	case *schemas.Tick: // of the partition: see world
		return l, false, nil, nil
	}
	_, cancel := f.(*schemas.CancelRequested)
	switch {
	case l == nil && h.Run != 0 && !cancel:
		return nil, false, nil, nil
	case l == nil && !cancel && h.At.After(h.SubmittedAt.Add(hot)) && !describes(f): // what is left of a job that was let go
		return nil, false, nil, nil
	case l == nil:
		l = newLife(h.Run, h.SubmittedAt)
	case l.run != h.Run || l.status != "":
		return l, false, nil, nil
	}
	if moved, out, err = l.one(f); !moved || err != nil {
		return l, false, nil, err
	}
	l.lowest()
	if more, ends := l.settled(h); !ends {
		out = append(out, more...)
	}
	l.tidy()
	l.version++
	l.last = h.At
	return l, true, out, nil
}

// describes reports whether a fact says what its job is.
func describes(f schemas.Event) bool {
	wire := reflect.ValueOf(f).Elem().FieldByName("Submission")
	return wire.IsValid() && wire.Len() > 0
}

// stored notes that the state lies in the object store; whoever has been let go is let go once more.
func (l *life) stored(f *schemas.JobArchived) (*life, bool, []schemas.Event, error) {
	if l == nil {
		return nil, true, nil, nil
	}
	if l.run != f.Run || l.version != f.Version || l.status == "" || !l.archived.IsZero() {
		return l, false, nil, nil
	}
	e, err := decode(context.Background(), f.State)
	if err != nil {
		return l, false, nil, err
	}
	s, ok := e.(*schemas.JobSnapshot)
	if !ok || s.Tenant != f.Tenant || s.JobID != f.JobID || s.Run != f.Run || s.Version != f.Version {
		return l, false, nil, errNoSubmission
	}
	l.archived = f.At
	return l, true, nil, nil
}

// rerun opens the run after the one that a request names.
func rerun(l *life, r *schemas.RunRequested) (*life, bool, []schemas.Event, error) {
	if l != nil && (l.run != r.AfterRun || l.status == "") {
		return l, false, nil, nil
	}
	sub, err := submission(r.Submission)
	if err != nil {
		return l, false, nil, err
	}
	n := newLife(r.AfterRun+1, r.SubmittedAt)
	var out []schemas.Event
	if l == nil {
		n.version, n.past = r.Version, r.Runs
	} else {
		n.submitted, n.version = l.submitted, l.version
		was := l.snapshot(r.Tenant, r.JobID)
		n.past = append(slices.Clone(l.past), schemas.PastRun{Run: l.run, Status: l.status, Code: l.code, Pipeline: was.Pipeline, ReplayID: l.replay,
			PagesDone: was.PagesDone, PagesFailed: was.PagesFailed, EndedAt: l.ended})
		n.past = n.past[max(0, len(n.past)-20):]
		if !l.rests {
			out = told(was)
		}
	}
	n.version, n.replay, n.sub, n.last = n.version+1, r.ReplayID, sub, r.At
	split := *sub
	split.Head, split.FromPage = n.head(r.Tenant, r.JobID, "track", "DocumentSubmitted", 0, 0, r.At), 1
	return n, true, append(out, &split), nil
}

// one says whether a fact of the open run counts, and notes it.
func (l *life) one(f schemas.Event) (bool, []schemas.Event, error) {
	switch f := f.(type) {
	case *schemas.DocumentOpened:
		if l.opened != nil {
			return false, nil, nil
		}
		sub, err := submission(f.Submission)
		if err != nil {
			return false, nil, err
		}
		l.opened, l.sub = f, sub
		if l.late(f.At) {
			out := l.charge(&f.Head, 0, f.Costs, 0)
			l.expire(f.At)
			return true, out, nil
		}
		l.learn(f.PagesTotal, f.PageRanges)
		return true, l.charge(&f.Head, 0, f.Costs, 0), nil
	case *schemas.DeadlineSet:
		return l.announced(f.Submission)
	case *schemas.DocumentDeferred:
		return l.announced(f.Submission)
	case *schemas.FetchScheduled:
		return l.announced(f.Submission)
	case *schemas.DocumentSplit:
		return l.learn(f.PagesTotal, f.PageRanges), nil, nil
	case *schemas.DocumentRefused:
		if f.Stage == schemas.Door && l.version > 0 {
			return false, nil, nil
		}
		if l.opened == nil && len(f.Submission) > 0 {
			sub, err := submission(f.Submission)
			if err != nil {
				return false, nil, err
			}
			l.sub = sub
		}
		l.end(&f.Head, schemas.Failed, f.Code, f.Message)
	case *schemas.PageFinished:
		if l.asked || f.Page < 1 || l.finished[f.Page] != nil {
			return false, nil, nil
		}
		l.finished[f.Page] = f
		if l.failed[f.Page] {
			delete(l.failed, f.Page)
			delete(l.named, f.Page)
			return true, nil, nil
		}
		l.kept += f.Kept
		return true, l.charge(&f.Head, f.Page, f.Costs, 1-f.Kept), nil
	case *schemas.PageFailed:
		if f.Page < 1 || !l.fail(f.Page, schemas.PageFailure{Page: f.Page, Stage: f.Stage, Code: f.Code, Message: f.Message}) {
			return false, nil, nil
		}
		return true, l.charge(&f.Head, f.Page, f.Costs, 0), nil
	case *schemas.DeadLettered:
		return l.dead(f), nil, nil
	case *schemas.RetryScheduled:
		return l.waiting(f)
	case *schemas.DocumentComposed:
		if !l.asked {
			return false, nil, nil
		}
		l.outputs = f.Outputs
		out := l.charge(&f.Head, 0, f.Costs, 0)
		l.end(&f.Head, map[bool]schemas.Status{true: schemas.Completed, false: schemas.Partial}[len(l.failed) == 0], "", "")
		return true, out, nil
	case *schemas.CancelRequested:
		l.end(&f.Head, schemas.Cancelled, "", "")
	default:
		return false, nil, nil
	}
	return true, nil, nil
}

func (l *life) learn(total int, ranges string) bool {
	set, err := schemas.ParseRanges(ranges)
	if l.pages != nil || err != nil || set.Count() == 0 {
		return false
	}
	l.total, l.pages = total, set
	return true
}

func (l *life) fail(page int, why schemas.PageFailure) bool {
	if l.asked || l.finished[page] != nil || l.failed[page] {
		return false
	}
	l.failed[page], l.named[page] = true, why
	return true
}

func (l *life) dead(f *schemas.DeadLettered) bool {
	switch {
	case f.Stage == "compose":
		l.end(&f.Head, schemas.Failed, f.Code, f.Message)
		return true
	case f.Stage != "prepare" || f.FromPage <= 1:
		return false
	case l.asked:
		return false
	case l.pages == nil:
		l.end(&f.Head, schemas.Failed, f.Code, f.Message)
		return true
	}
	any := false
	for page := range l.pages.All() {
		any = page >= f.FromPage && l.fail(page, schemas.PageFailure{Page: page, Stage: f.Stage, Code: f.Code, Message: f.Message}) || any
	}
	return any
}

var stageOrder = []string{"fetch", "prepare", "layout", "ocr", "compose"}

func (l *life) waiting(f *schemas.RetryScheduled) (bool, []schemas.Event, error) {
	r := schemas.Retry{Page: max(f.Page, f.FromPage), Stage: f.Stage, Code: f.Code, Attempt: f.Attempt, MaxRetries: f.MaxRetries, Due: f.Due}
	if l.done(r) {
		return false, nil, nil
	}
	at := wait{r.Page, r.Stage != "prepare" && r.Stage != "fetch"}
	old, known := l.waits[at]
	place := func(r schemas.Retry) int { return slices.Index(stageOrder, r.Stage) }
	if known && cmp.Or(cmp.Compare(place(r), place(old)), cmp.Compare(r.Attempt, old.Attempt)) <= 0 {
		return false, nil, nil
	}
	above := func(w wait) bool { return w.page < at.page || (w.page == at.page && !w.reading && at.reading) }
	if !known && len(slices.Collect(filter(maps.Keys(l.waits), above))) >= 100 {
		return false, nil, nil
	}
	if l.sub == nil && len(f.Submission) > 0 {
		sub, err := submission(f.Submission)
		if err != nil {
			return false, nil, err
		}
		l.sub = sub
	}
	l.waits[at] = r
	return true, nil, nil
}

func filter[T any](seq iter.Seq[T], keep func(T) bool) iter.Seq[T] {
	return func(yield func(T) bool) {
		for v := range seq {
			if keep(v) && !yield(v) {
				return
			}
		}
	}
}

// done reports whether nobody waits for the work any more.
func (l *life) done(r schemas.Retry) bool {
	closed := func(page int) bool { return l.finished[page] != nil || l.failed[page] }
	switch r.Stage {
	case "compose":
		return !l.asked
	case "fetch", "prepare":
		if r.Page <= 1 {
			return l.asked || l.opened != nil
		}
		for page := range schemas.ChunkPages {
			if closed(r.Page + page) {
				return true
			}
		}
		return l.asked
	}
	return l.asked || r.Page < 1 || closed(r.Page)
}

// lowest keeps a hundred of what is kept in full elsewhere, or not needed.
func (l *life) lowest() {
	for _, page := range slices.Sorted(maps.Keys(l.named))[min(100, len(l.named)):] {
		delete(l.named, page)
	}
	order := slices.SortedFunc(maps.Keys(l.waits), func(a, b wait) int {
		return cmp.Or(cmp.Compare(a.page, b.page), map[bool]int{true: 1, false: -1}[a.reading])
	})
	for _, w := range order[min(100, len(order)):] {
		delete(l.waits, w)
	}
}

func (l *life) tidy() {
	maps.DeleteFunc(l.waits, func(_ wait, r schemas.Retry) bool { return l.status != "" || l.done(r) })
	l.lowest()
}

func (l *life) end(h *schemas.Head, status schemas.Status, code, message string) {
	l.status, l.code, l.message, l.ended = status, code, message, h.At
}

func (l *life) announced(wire []byte) (bool, []schemas.Event, error) {
	if l.sub != nil {
		return false, nil, nil
	}
	sub, err := submission(wire)
	if err != nil {
		return false, nil, err
	}
	l.sub = sub
	return true, nil, nil
}

// late reports whether the deadline of the job has come, which binds its first run alone.
func (l *life) late(now time.Time) bool {
	return l.status == "" && l.run == 0 && l.sub != nil && !l.sub.Deadline.IsZero() && !now.Before(l.sub.Deadline)
}

func (l *life) expire(now time.Time) {
	l.end(&schemas.Head{At: now}, schemas.Expired, "DEADLINE_EXCEEDED", "The deadline of the job passed before the job had ended.")
}

// settled asks for the outputs of a run all of whose pages are closed, or ends it where none has a result.
func (l *life) settled(h *schemas.Head) (out []schemas.Event, ended bool) {
	if l.status != "" || l.asked || l.opened == nil || l.pages == nil || len(l.finished)+len(l.failed) < l.pages.Count() {
		return nil, false
	}
	if len(l.finished) == 0 {
		first := l.named[slices.Min(slices.Collect(maps.Keys(l.named)))]
		l.end(h, schemas.Failed, first.Code, first.Message)
		return nil, true
	}
	l.asked = true
	s := l.snapshot(h.Tenant, h.JobID)
	return []schemas.Event{&schemas.DocumentFinished{Head: l.head(h.Tenant, h.JobID, "track", "DocumentFinished", 0, 0, h.At), RequestID: s.RequestID, Class: s.Class,
		Priority: s.Priority, Source: s.Source, Options: s.Options, Pipeline: s.Pipeline, PagesTotal: s.PagesTotal, PageRanges: s.PageRanges,
		Finished: s.Finished, Text: s.Text, Failures: s.Failures}}, false
}

func (l *life) charge(h *schemas.Head, page int, costs []schemas.StageCost, units int) (out []schemas.Event) {
	for _, k := range costs {
		u := &schemas.UsageRecorded{Head: l.head(h.Tenant, h.JobID, k.Stage, "UsageRecorded", page, 0, h.At), Page: page, Stage: k.Stage, Device: k.Device, Units: units,
			CPUMicros: k.CPUMicros, WallMicros: k.WallMicros}
		if l.sub != nil {
			u.APIKeyID = l.sub.APIKeyID
		}
		l.charged = append(l.charged, u)
		out = append(out, u)
	}
	return out
}

// spent sums what was charged, by stage and device.
func (l *life) spent() (lines []schemas.UsageLine, cpu int64) {
	sums := map[[2]string]schemas.UsageLine{}
	for _, u := range l.charged {
		key := [2]string{u.Stage, u.Device}
		s := sums[key]
		s.Stage, s.Device = u.Stage, u.Device
		s.CPUMicros, s.WallMicros, s.Pages = s.CPUMicros+u.CPUMicros, s.WallMicros+u.WallMicros, s.Pages+int64(u.Units)
		if u.Page == 0 && u.Stage == "prepare" {
			s.Documents++
		}
		sums[key] = s
		cpu += u.CPUMicros
	}
	for _, key := range slices.SortedFunc(maps.Keys(sums), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		lines = append(lines, sums[key])
	}
	return lines, cpu
}

// snapshot is the state that a life must have.
func (l *life) snapshot(tenant, id string) *schemas.JobSnapshot {
	s := &schemas.JobSnapshot{Head: l.head(tenant, id, "track", "JobSnapshot", 0, l.version, l.last), Version: l.version, Status: schemas.Pending, Stage: track.StagePrepare,
		Class: "cpu", Priority: "normal", ReplayID: l.replay, Runs: l.past, PagesTotal: l.total, PagesExpected: l.pages.Count(), PagesDone: len(l.finished), PagesKept: l.kept,
		PagesFailed: len(l.failed), Outputs: l.outputs, EndedAt: l.ended, ArchivedAt: l.archived, Code: l.code, Message: l.message}
	s.Spent, s.CPUMicros = l.spent()
	if l.pages != nil {
		s.PageRanges = l.pages.String()
	}
	if sub := l.sub; sub != nil {
		s.RequestID, s.APIKeyID, s.Class, s.Priority = sub.RequestID, sub.APIKeyID, sub.Class, sub.Priority
		s.Source, s.Options, s.Metadata, s.WebhookURL = sub.Source, sub.Options, sub.Metadata, sub.WebhookURL
		if l.run == 0 {
			s.Deadline, s.BaseJob = sub.Deadline, sub.BaseJob
		}
	}
	if l.opened != nil {
		s.Status, s.Stage, s.OpenedAt, s.Pipeline = schemas.Processing, track.StagePages, l.opened.At, l.opened.Pipeline
		s.Source.MediaType = cmp.Or(l.opened.MediaType, s.Source.MediaType)
	}
	if l.asked {
		s.Stage = track.StageCompose
	}
	if l.status != "" {
		s.Status, s.Stage = l.status, track.StageDone
	}
	for page, f := range l.finished {
		s.Finished = schemas.Bitmap(s.Finished).Set(page)
		s.Words += int64(f.Words)
		if f.How == "text" {
			s.Text = schemas.Bitmap(s.Text).Set(page)
		}
	}
	for page := range l.failed {
		s.Failed = schemas.Bitmap(s.Failed).Set(page)
	}
	for _, page := range slices.Sorted(maps.Keys(l.named)) {
		s.Failures = append(s.Failures, l.named[page])
	}
	for _, page := range slices.Sorted(maps.Keys(l.waitsBy())) {
		s.Retries = append(s.Retries, l.waitsBy()[page])
	}
	return s
}

// waitsBy orders what waits: by page, preparing before reading.
func (l *life) waitsBy() map[int]schemas.Retry {
	out := map[int]schemas.Retry{}
	for w, r := range l.waits {
		n := 2 * w.page
		if w.reading {
			n++
		}
		out[n] = r
	}
	return out
}

// told is what the world hears of a state that changed.
func told(s *schemas.JobSnapshot) []schemas.Event {
	if !s.ArchivedAt.IsZero() {
		return nil // it was told before
	}
	as := func(kind string) schemas.Head {
		h := s.Head
		h.EventID = schemas.EventIDFor(s.JobID, s.Run, "track", 0, kind, s.Version)
		return h
	}
	out := []schemas.Event{&schemas.JobChanged{Head: as("JobChanged"), Version: s.Version, Status: s.Status, Stage: s.Stage, PagesExpected: s.PagesExpected, PagesDone: s.PagesDone,
		PagesFailed: s.PagesFailed, MediaType: s.Source.MediaType, Size: s.Source.Size, Class: s.Class, Priority: s.Priority, Code: s.Code, Pipeline: s.Pipeline, Words: s.Words,
		CPUMicros: s.CPUMicros, OpenedAt: s.OpenedAt, EndedAt: s.EndedAt, ReplayID: s.ReplayID}}
	if !schemas.Terminal(s.Status) {
		return out
	}
	out = append(out, &schemas.WebhookDue{Head: as("WebhookDue"), URL: s.WebhookURL, Type: "job." + s.Status, Version: s.Version, State: "due", FirstAt: s.EndedAt, NextAt: s.EndedAt,
		Status: s.Status, Code: s.Code, Message: s.Message, PagesExpected: s.PagesExpected, PagesDone: s.PagesDone, PagesFailed: s.PagesFailed, Outputs: s.Outputs,
		Metadata: s.Metadata, RequestID: s.RequestID})
	if s.Status == schemas.Cancelled || s.Status == schemas.Expired {
		h := s.Head
		h.EventID = schemas.EventIDFor(s.JobID, s.Run, "track", 0, "RunStopped", 0)
		out = append(out, &schemas.RunStopped{Head: h, Status: s.Status})
	}
	return out
}
