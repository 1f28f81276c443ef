package gateway_test

import (
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"docstream/gateway"
	"docstream/internal/stream"
	"docstream/internal/testenv"
	"docstream/schemas"
)

// broken is a broker that can be told to fail at one kind of request.
type broken struct {
	cluster *kfake.Cluster
	fail    atomic.Int32 // key of the request that fails; -1: none
	asked   atomic.Int32 // requests of the kind counted
	count   int16
}

// onBroken gives a world such a broker, which is an embedded one.
func onBroken(t testing.TB) (stream.Connection, *broken) {
	if os.Getenv("DOCSTREAM_TEST_KAFKA") != "" {
		t.Skip("needs a broker that fails when told to")
	}
	conn, cluster := testenv.Embedded(t, 1)
	b := &broken{cluster: cluster, count: int16(kmsg.ListOffsets)}
	b.fail.Store(-1)
	cluster.Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if req.Key() == b.count {
			b.asked.Add(1)
		}
		if int32(req.Key()) == b.fail.Load() {
			return nil, errors.New("told to fail"), true
		}
		return nil, nil, false
	})
	return conn, b
}

func TestASubmissionWhoseOutcomeNobodyKnowsKeepsItsBytes(t *testing.T) {
	conn, b := onBroken(t)
	w := newWorldOn(t, conn)
	r := w.replica(func(c *gateway.Config) { c.PublishTimeout = 500 * time.Millisecond })
	token := w.key("acme")
	r.submit(token, file("first"))
	b.fail.Store(int32(kmsg.Produce))
	a := r.post(token, file("second"))
	if a.code(t) != schemas.ServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if got := w.store.keys(); len(got) != 2 {
		t.Errorf("P1: the event may be in the log, but the objects are %v", got)
	}
	b.fail.Store(-1)
	eventually(t, "the place is free again", func() bool { return r.metric(t, "docstream_uploads_active") == "0" })
	r.submit(token, file("third"))
}

func TestAnAnswerThatCannotBeFreshIs503AndNever404(t *testing.T) {
	conn, b := onBroken(t)
	w := newWorldOn(t, conn)
	r := w.replica(func(c *gateway.Config) { c.MaxWait = 300 * time.Millisecond })
	token := w.key("acme")
	job := r.submit(token, file("first"))
	b.fail.Store(int32(kmsg.ListOffsets))
	for _, path := range []string{"/api/v1/jobs/" + job, "/api/v1/jobs/" + schemas.NewJobID(time.Now()), "/api/v1/jobs/" + job + "/result", "/api/v1/jobs"} {
		began := time.Now()
		a := r.get(token, path)
		if a.code(t) != schemas.ServiceUnavailable || a.Header.Get("Retry-After") == "" || time.Since(began) > 2*time.Second {
			t.Errorf("%s: %d after %s: %s", path, a.StatusCode, time.Since(began), a.body)
		}
	}
	// An unknown key cannot be told from a new one: that is no 401.
	if a := r.get("dsk_0000000000000000_0000", "/api/v1/jobs"); a.code(t) != schemas.ServiceUnavailable {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	b.fail.Store(-1)
	eventually(t, "it answers again", func() bool { return r.get(token, "/api/v1/jobs/"+job).StatusCode == 200 })
}

func TestManyWaitersShareOneLookUp(t *testing.T) {
	conn, b := onBroken(t)
	w := newWorldOn(t, conn)
	r := w.replica(func(c *gateway.Config) { c.MaxWait = time.Minute })
	token := w.key("acme")
	job := r.submit(token, file("first"))
	before := b.asked.Load()
	const many = 300
	done := make(chan int, many)
	for range many {
		go func() { done <- r.get(token, "/api/v1/jobs/"+job).StatusCode }()
	}
	for range many {
		if status := <-done; status != 200 {
			t.Fatalf("status %d", status)
		}
	}
	if asked := b.asked.Load() - before; asked > many {
		t.Errorf("%d questions for %d waiters", asked, many)
	} else {
		t.Logf("%d questions for %d waiters", asked, many)
	}
}

func TestAReplicaThatIsNotReadySaysSo(t *testing.T) {
	w := newWorld(t)
	// A fact that track has not passed: the view may not know the job it is about.
	job := schemas.NewJobID(time.Now())
	w.publish(&schemas.PageFinished{Head: schemas.Head{EventID: "evt_x", Tenant: "acme", JobID: job, SubmittedAt: time.Now()}, Page: 1})
	token := w.key("acme")
	r := w.unready(func(c *gateway.Config) { c.MaxWait = 200 * time.Millisecond })
	time.Sleep(300 * time.Millisecond)
	a := r.get("", "/readyz")
	if a.StatusCode != 503 || string(a.body) != `{"parts":{"kafka":"ready","objects":"ready","view":"not ready"},"status":"not ready"}` {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	for _, a := range []answer{r.get(token, "/api/v1/jobs/"+job), r.post(token, file("hello"))} {
		if a.code(t) != schemas.ServiceUnavailable || a.Header.Get("Retry-After") == "" {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	}
	if a := r.get("", "/healthz"); a.StatusCode != 200 {
		t.Errorf("it lives, yet %d", a.StatusCode)
	}
}
