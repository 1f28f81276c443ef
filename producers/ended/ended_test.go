package ended_test

import (
	"bytes"
	"context"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/producers/ended"
	"docstream/schemas"
)

// objects is a store; gone are the keys that are listed and deleted before they are read.
type objects struct {
	has  map[string][]byte
	gone map[string]int
	err  error
}

func (o *objects) List(_ context.Context, prefix string, f func(blob.Object) bool) error {
	for key := range o.has {
		if strings.HasPrefix(key, prefix) && !f(blob.Object{Key: key}) {
			break
		}
	}
	return o.err
}

func (o *objects) Get(_ context.Context, key string, _, _ int64) (io.ReadCloser, blob.Object, error) {
	if o.gone[key] > 0 {
		o.gone[key]--
		return nil, blob.Object{}, blob.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(o.has[key])), blob.Object{Key: key}, nil
}

func TestTheNewestVersionOfTheNewestRunAnswers(t *testing.T) {
	job, other := schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now())
	state := func(tenant, job string, run int, version int64) *schemas.JobSnapshot {
		return &schemas.JobSnapshot{Head: schemas.Head{Tenant: tenant, JobID: job, Run: run}, Status: schemas.Completed, Version: version}
	}
	text := func(s *schemas.JobSnapshot) []byte {
		b, err := schemas.Text(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key := func(run int, version int64) string { return schemas.JobFileKey("acme", job, run, version) }
	all := []*schemas.JobSnapshot{state("acme", job, 0, 9), state("acme", job, 0, 10), state("acme", job, 1, 12)}
	for _, c := range []struct {
		name        string
		objects     objects
		tenant, job string
		want        *schemas.JobSnapshot
		away        bool
	}{
		{"nothing was written", objects{}, "acme", job, nil, false},
		{"versions of one run", objects{has: map[string][]byte{key(0, 9): text(all[0]), key(0, 10): text(all[1])}}, "acme", job, all[1], false},
		{"runs", objects{has: map[string][]byte{key(0, 10): text(all[1]), key(1, 12): text(all[2])}}, "acme", job, all[2], false},
		{"another tenant's", objects{has: map[string][]byte{key(0, 9): text(all[0])}}, "rival", job, nil, false},
		{"a name that is none", objects{has: map[string][]byte{key(0, 9): text(all[0])}}, "acme/", job, nil, false},
		{"a file of another job", objects{has: map[string][]byte{key(0, 9): text(state("acme", other, 0, 9))}}, "acme", job, nil, true},
		{"no text of a job", objects{has: map[string][]byte{key(0, 9): []byte("<html>")}}, "acme", job, nil, true},
		{"deleted while it is read", objects{has: map[string][]byte{key(0, 9): text(all[0])}, gone: map[string]int{key(0, 9): 2}}, "acme", job, all[0], false},
		{"deleted again and again", objects{has: map[string][]byte{key(0, 9): text(all[0])}, gone: map[string]int{key(0, 9): 9}}, "acme", job, nil, true},
		{"a store that is away", objects{err: fault.World(schemas.ServiceUnavailable, "Away.")}, "acme", job, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ended.Job(t.Context(), &c.objects, c.tenant, c.job)
			if (err != nil) != c.away || c.away && fault.KindOf(err) != fault.Unavailable {
				t.Fatalf("error %v", err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
