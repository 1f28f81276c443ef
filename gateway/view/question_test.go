package view_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"docstream/internal/testenv"
)

// Who looks up asks the leaders: where one has moved, the next is asked at once.
func TestALeaderThatMovesHoldsNobodyUp(t *testing.T) {
	conn, cluster := testenv.Embedded(t, 3)
	w := newWorldOn(t, conn)
	v := w.view()
	v.fresh(t)
	for i := range 4 {
		for _, topic := range []string{"documents.cpu.normal", "jobs"} {
			if err := cluster.MoveTopicPartition(w.plan.Name(topic), 1, int32(i%3)); err != nil {
				t.Fatal(err)
			}
		}
		job := newJob()
		w.publish(submission("acme", job)) // where nobody moved
		began := time.Now()
		v.fresh(t)
		if _, ok := v.Job("acme", job); !ok {
			t.Errorf("P4: after %d moves a job is not known", i+1)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %s", took)
		}
	}
}

// What a broker refuses once is asked again for the same look-up.
func TestAQuestionThatFailsIsAskedAgain(t *testing.T) {
	conn, cluster := testenv.Embedded(t, 1)
	w := newWorldOn(t, conn)
	v := w.view()
	v.fresh(t)
	var failures atomic.Int32
	cluster.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		return nil, errors.New("told to fail"), failures.Add(-1) >= 0
	})
	for range 5 {
		failures.Store(1)
		job := newJob()
		w.publish(submission("acme", job))
		v.fresh(t)
		if _, ok := v.Job("acme", job); !ok {
			t.Error("P4: a job is not known")
		}
	}
}
