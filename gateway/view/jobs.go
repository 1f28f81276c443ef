package view

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"docstream/schemas"
)

// ErrCursor says that a cursor is none of ours.
var ErrCursor = errors.New("not a cursor")

// Query selects jobs of one tenant.
type Query struct {
	Status string            // only jobs of this status; empty: all
	Media  string            // only jobs of this media type, or image/* and the like
	Tags   map[string]string // only jobs with these labels in their metadata
	From   time.Time         // only jobs accepted at or after it
	To     time.Time         // only jobs accepted before it
	Cursor string            // where the last page ended; empty: the newest
	Limit  int               // at most so many, at least 1
}

// maxScan bounds how many jobs one page looks at: where few match, a page may be short and still have a next.
const maxScan = 10_000

// Job returns a tenant's job as of now; false where the tenant has none of that id (P8: an id alone names nothing). Call
// [View.Fresh] first, and believe a false only while the view is [View.Ready]. As long as a job stays as it is, the same snapshot may come
// again and again, to several at once: it is not to be changed.
func (v *View) Job(tenant, job string) (*schemas.JobSnapshot, bool) {
	v.opened.RLock()
	defer v.opened.RUnlock()
	if v.store == nil || !schemas.ValidTenant(tenant) || !schemas.ValidJobID(job) {
		return nil, false
	}
	return v.read(rowKey(tenant, job))
}

// Glance looks at many jobs at once, each named as tenant/job, most of which were let go: nil stands for those. It goes over the rows once, and
// what it reads is not kept in memory, where it would push out what clients ask for.
func (v *View) Glance(jobs []string) []*schemas.JobSnapshot {
	out, order := make([]*schemas.JobSnapshot, len(jobs)), make([]int, len(jobs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(jobs[a], jobs[b]) })
	v.opened.RLock()
	defer v.opened.RUnlock()
	if v.store == nil || len(jobs) == 0 {
		return out
	}
	key := []byte(jobsPrefix + jobs[order[0]])
	it, err := v.store.db.NewIter(&pebble.IterOptions{LowerBound: slices.Clone(key), UpperBound: []byte(jobsPrefix + jobs[order[len(order)-1]] + "\x00")})
	if err != nil {
		v.broken(err)
		return out
	}
	defer it.Close()
	on := it.First()
	for _, i := range order {
		if key = append(key[:len(jobsPrefix)], jobs[i]...); on && bytes.Compare(it.Key(), key) < 0 {
			on = it.SeekGE(key)
		}
		if !on {
			break
		}
		if bytes.Equal(it.Key(), key) {
			out[i], _ = snapshot(v.glanced(it))
		}
	}
	v.broken(it.Error())
	return out
}

func (v *View) glanced(it *pebble.Iterator) schemas.Event {
	e, known, _ := v.decoded.find(it.Key())
	if known {
		return e
	}
	b, err := it.ValueAndErr()
	if err == nil {
		e, err = v.codec.Decode(context.Background(), slices.Clone(readRow(b).wire))
	}
	v.broken(err)
	return e
}

// Key returns an API key by its id, revoked and expired ones too. It is shared and not to be changed.
func (v *View) Key(id string) (*schemas.APIKeyChanged, bool) {
	v.opened.RLock()
	defer v.opened.RUnlock()
	if v.store == nil {
		return nil, false
	}
	k, ok := v.event(keyKey(id), nil).(*schemas.APIKeyChanged)
	return k, ok
}

// broken takes the view out of service after an error of its store: what it cannot read must not look as if it did not exist (P4).
func (v *View) broken(err error) {
	if err != nil && v.ready.Swap(false) {
		v.metrics.ready.Set(0)
		v.log.Error("the store of the view cannot be read; this replica must be restarted", "error", err)
	}
}

// Jobs returns a page of a tenant's jobs, newest first by the time they were accepted, then by id, and the cursor of the next page; empty
// where this was the last. Only ErrCursor and errors of the store come back.
func (v *View) Jobs(tenant string, q Query) (page []*schemas.JobSnapshot, next string, err error) {
	v.opened.RLock()
	defer v.opened.RUnlock()
	if v.store == nil {
		return nil, "", errors.New("view: it is not running")
	}
	from, err := cursorKey(tenant, q.Cursor)
	if err != nil {
		return nil, "", err
	}
	lower, upper := listPrefix(tenant), listEnd(tenant)
	if !q.From.IsZero() {
		lower = listKey(tenant, q.From, "")
	}
	if !q.To.IsZero() {
		upper = listKey(tenant, q.To, "")
	}
	it, err := v.store.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, "", err
	}
	defer it.Close()
	var last []byte
	seen := 0
	for ok := it.SeekLT(from); ok; ok = it.Prev() {
		if len(page) == q.Limit || seen == maxScan {
			next = base64.RawURLEncoding.EncodeToString(last[len(listPrefix(tenant)):])
			break
		}
		seen++
		last = slices.Clone(it.Key())
		if q.Status != "" && string(it.Value()) != q.Status {
			continue
		}
		if s, ok := v.read(rowKey(tenant, string(last[len(listPrefix(tenant))+8:]))); ok && q.takes(s) {
			page = append(page, s)
		}
	}
	return page, next, it.Error()
}

// takes reports whether a job is one of those asked for; the time was looked at before. No list has a deleted one.
func (q Query) takes(s *schemas.JobSnapshot) bool {
	for k, v := range q.Tags {
		if has, ok := s.Metadata[k]; !ok || has != v {
			return false
		}
	}
	family, all := strings.CutSuffix(q.Media, "/*")
	return s.DeletedAt.IsZero() && (q.Status == "" || s.Status == q.Status) &&
		(q.Media == "" || q.Media == s.Source.MediaType || all && strings.HasPrefix(s.Source.MediaType, family+"/"))
}

// cursorKey returns the key a page ends before. A cursor only ever names a place in the tenant's own list (P8).
func cursorKey(tenant, cursor string) ([]byte, error) {
	if cursor == "" {
		return listEnd(tenant), nil
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) <= 8 || !schemas.ValidJobID(string(b[8:])) {
		return nil, ErrCursor
	}
	return append(listPrefix(tenant), b...), nil
}

// read decodes a row into a snapshot; a submission is version 0 of its job.
func (v *View) read(key []byte) (*schemas.JobSnapshot, bool) {
	return snapshot(v.event(key, func(b []byte) []byte { return readRow(b).wire }))
}

func snapshot(e schemas.Event) (*schemas.JobSnapshot, bool) {
	switch e := e.(type) {
	case *schemas.JobSnapshot:
		return e, true
	case *schemas.DocumentSubmitted:
		return pending(e), true
	}
	return nil, false
}

// pending is the state of a job of which nothing but its submission is known.
func pending(s *schemas.DocumentSubmitted) *schemas.JobSnapshot {
	return &schemas.JobSnapshot{
		Head: s.Head, Status: schemas.Pending, Stage: "prepare", RequestID: s.RequestID, APIKeyID: s.APIKeyID, Class: s.Class,
		Priority: s.Priority, Source: s.Source, Options: s.Options, Metadata: s.Metadata, Deadline: s.Deadline,
	}
}
