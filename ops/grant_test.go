package ops_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"docstream/gateway/view"
	"docstream/internal/stream"
	"docstream/internal/testenv"
	"docstream/internal/topology"
	"docstream/ops"
	"docstream/ops/doctor"
	"docstream/processors/track"
	"docstream/producers"
	"docstream/schemas"
)

// guarded is an Apache Kafka that refuses what nobody was allowed, and the plan and principals of the test.
type guarded struct {
	conn stream.Connection
	plan topology.Config
	who  ops.Principals
}

// as returns the connection of a role's user; the first user is the administrator.
func (g guarded) as(user string) stream.Connection {
	c := g.conn
	c.SASL, c.User, c.Password = "plain", user, "secret-"+user
	return c
}

// startGuarded runs three brokers of its own: the test needs their access control and replicas whatever broker the other tests use.
func startGuarded(t *testing.T) guarded {
	t.Helper()
	users := []string{"admin:secret-admin"}
	for _, role := range topology.Roles() {
		users = append(users, role+":secret-"+role)
	}
	brokers := testenv.StartBrokers(t, 3, "KAFKA_HEAP=256m", "KAFKA_USERS="+strings.Join(users, " "))
	registry := srfake.New()
	t.Cleanup(registry.Close)
	g := guarded{conn: stream.DefaultConnection(), plan: topology.DefaultConfig()}
	g.conn.Brokers, g.conn.Registry = brokers.Addresses, registry.URL()
	g.plan.Lanes, g.plan.State, g.plan.Replication, g.plan.MinInsync = 2, 2, 3, 2
	g.who = ops.Principals{Gateway: []string{"gateway"}, Connectors: []string{"connectors"}, Producers: []string{"producers"}, Prepare: []string{"prepare"},
		Layout: []string{"layout"}, OCR: []string{"ocr"}, Track: []string{"User:track"}, Compose: []string{"compose"}, Sinks: []string{"sinks"}, Operators: []string{"operators"},
		Customers: []string{"customers"}}
	return g
}

func TestEachRoleMayDoItsWorkAndNothingElse(t *testing.T) {
	g := startGuarded(t)
	admin := client(t, g.as("admin"))

	t.Run("nobody may do anything at first", func(t *testing.T) {
		if r := apply(t, admin, g.plan); len(r.Warnings) > 0 {
			t.Error(r.Warnings)
		}
		for name, s := range list(t, admin, g.plan) {
			if s.Replicas != 3 || len(s.Drift) > 0 {
				t.Errorf("%s has %d replicas, %v", name, s.Replicas, s.Drift)
			}
		}
		if err := produce(t, g.as("gateway"), g.plan.Name("facts")); !errors.Is(err, kerr.TopicAuthorizationFailed) {
			t.Errorf("a role wrote before it was allowed: %v", err)
		}
	})
	t.Run("a dry run says what is missing and changes nothing", func(t *testing.T) {
		for range 2 {
			granted, warnings, err := ops.Grant(t.Context(), admin, g.plan, g.who, true)
			if err != nil || len(warnings) > 0 || !slices.Contains(granted, "User:prepare may WRITE topic docstream.splits.high") {
				t.Fatalf("%v %v\n%s", err, warnings, strings.Join(granted, "\n"))
			}
		}
	})
	t.Run("granting is done once", func(t *testing.T) {
		first, _, err := ops.Grant(t.Context(), admin, g.plan, g.who, false)
		if err != nil || len(first) == 0 {
			t.Fatalf("%v %v", first, err)
		}
		// Each broker learns of a right when it has read so far in the cluster's metadata: until all have, one may still list too few.
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			again, warnings, err := ops.Grant(t.Context(), admin, g.plan, g.who, false)
			if err != nil || len(warnings) > 0 {
				t.Fatalf("%v %v", warnings, err)
			}
			if len(again) == 0 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("granted again: %v", again)
			}
		}
	})
	t.Run("a document walks the stream, each role under its own name", func(t *testing.T) { walk(t, g) })
	t.Run("no role writes what the plan does not give it", func(t *testing.T) { refusedWrites(t, g) })
	t.Run("no role joins the group or takes the transactions of another", func(t *testing.T) { refusedSessions(t, g) })
	t.Run("an operator looks and does not touch", func(t *testing.T) {
		operator := client(t, g.as("operators"))
		if _, err := ops.List(t.Context(), operator, g.plan); err != nil {
			t.Errorf("listing: %v", err)
		}
		if l := lagOf(t, g.as("operators"), g.plan, "track", "facts", 0); l.Records != 0 || l.Committed == 0 {
			t.Errorf("lag of track: %+v", l)
		}
		for user, want := range map[string]doctor.Level{"operators": doctor.OK, "producers": doctor.Fail} {
			h := doctor.House{Kafka: g.as(user), Plan: g.plan, Principals: g.who}
			checks := slices.DeleteFunc(h.Checks(), func(c doctor.Check) bool {
				return !slices.Contains([]string{"kafka", "topics", "access", "dead letters"}, c.Name)
			})
			if found := doctor.Run(t.Context(), checks, 20*time.Second); doctor.Worst(found) != want {
				t.Errorf("the doctor as %s: %+v", user, found)
			}
		}
		other := g.plan
		other.Retention += 24 * time.Hour
		if _, err := ops.Apply(t.Context(), operator, other); err == nil {
			t.Error("an operator changed a topic")
		}
	})
	t.Run("a right beyond the plan is told and not taken", func(t *testing.T) {
		adm := kadm.NewClient(admin)
		b := kadm.NewACLs().Topics(g.plan.Prefix).ResourcePatternType(kadm.ACLPatternPrefixed).Operations(kadm.OpWrite).Allow("User:stranger").AllowHosts()
		if _, err := adm.CreateACLs(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			granted, warnings, err := ops.Grant(t.Context(), admin, g.plan, g.who, false)
			if err != nil || len(granted) > 0 {
				t.Fatalf("%v %v", granted, err)
			}
			if len(warnings) == 1 && strings.HasPrefix(warnings[0], "User:stranger may WRITE topic docstream.*") {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the stranger was not told of: %v", warnings)
			}
		}
	})
}

// produce writes one record to each topic and returns what it met first.
func produce(t *testing.T, conn stream.Connection, topics ...string) error {
	t.Helper()
	c := client(t, conn)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, topic := range topics {
		if err := c.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr(); err != nil {
			return err
		}
	}
	return nil
}

func refusedWrites(t *testing.T, g guarded) {
	all, err := g.plan.Rights()
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range all {
		c := client(t, g.as(role.Role))
		var mu sync.Mutex
		got := map[string]error{}
		forbidden := 0
		for _, s := range g.plan.Specs() {
			topic := g.plan.Name(s.Name)
			if slices.Contains(role.Writes, topic) {
				continue
			}
			forbidden++
			c.Produce(t.Context(), &kgo.Record{Topic: topic, Value: []byte("x")}, func(_ *kgo.Record, err error) {
				mu.Lock()
				defer mu.Unlock()
				got[topic] = err
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if err := c.Flush(ctx); err != nil || len(got) != forbidden || forbidden == 0 {
			t.Fatalf("%s: %d of %d answers: %v", role.Role, len(got), forbidden, err)
		}
		cancel()
		for topic, err := range got {
			// A role that may write nowhere is refused when it asks for its producer id.
			if !errors.Is(err, kerr.TopicAuthorizationFailed) && !(len(role.Writes) == 0 && errors.Is(err, kerr.ClusterAuthorizationFailed)) {
				t.Errorf("%s wrote into %s: %v", role.Role, topic, err)
			}
		}
	}
}

func refusedSessions(t *testing.T, g guarded) {
	for user, c := range map[string]struct{ of, topic string }{
		"layout":    {topology.OCR.Name, "pages.gpu.high"},
		"producers": {topology.Prepare.Name, "documents.cpu.high"},
		"sinks":     {topology.Track.Name, "facts"},
		"gateway":   {topology.Track.Name, "facts"},
	} {
		topic, group := g.plan.Name(c.topic), g.plan.Group(c.of, c.topic)
		var offsets kadm.Offsets
		offsets.Add(kadm.Offset{Topic: topic, Partition: 0, At: 1})
		done, err := kadm.NewClient(client(t, g.as(user))).CommitOffsets(t.Context(), group, offsets)
		if err == nil {
			err = done.Error()
		}
		if !errors.Is(err, kerr.GroupAuthorizationFailed) {
			t.Errorf("%s moved the offsets of %s: %v", user, c.of, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		tx := client(t, g.as(user), kgo.TransactionalID(group+".x"))
		if err = tx.BeginTransaction(); err == nil {
			err = tx.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr()
		}
		cancel()
		if !errors.Is(err, kerr.TransactionalIDAuthorizationFailed) && (err == nil || !strings.Contains(err.Error(), "TRANSACTIONAL_ID_AUTHORIZATION_FAILED")) {
			t.Errorf("%s took a transactional id of %s: %v", user, c.of, err)
		}
	}
}

// walk sends one submission of two pages through every stage, the fold and the sink, each a harness that logs in as its role; the work
// itself is a stand-in, the sessions, groups and transactions are the true ones. A gateway's view, logged in as one, sees the job end.
func walk(t *testing.T, g guarded) {
	key := schemas.SigningKey{ID: "house", Secret: []byte("0123456789abcdef")}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	codec := func(conn stream.Connection) *schemas.Codec {
		c, err := conn.Codec()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	run := func(role string, add func(*stream.Harness, *schemas.Codec)) {
		conn := g.as(role)
		c := codec(conn)
		h := stream.New(conn, g.plan, stream.DefaultConfig(), c, key, log.With("role", role), prometheus.NewRegistry())
		add(h, c)
		all.Go(func() {
			if err := h.Run(ctx); err != nil {
				t.Errorf("%s: %v", role, err)
			}
		})
	}
	next := func(h schemas.Head, stage string, page int, kind string) schemas.Head {
		h.EventID, h.At = schemas.EventIDFor(h.JobID, h.Run, stage, page, kind, 0), time.Now()
		return h
	}
	run("prepare", func(h *stream.Harness, _ *schemas.Codec) {
		stream.AddStage(h, topology.Prepare, "cpu", func(_ context.Context, e *schemas.DocumentSubmitted, d schemas.Delivery) ([]schemas.Event, error) {
			if e.FromPage == 1 {
				rest := *e
				rest.FromPage = 2
				rest.EventID = schemas.EventIDFor(e.JobID, 0, "prepare", 2, e.Kind(), 0)
				return []schemas.Event{
					&schemas.DocumentOpened{Head: next(e.Head, "prepare", 0, "DocumentOpened"), Submission: d.Wire, PagesTotal: 2, PageRanges: "1-2", Pipeline: "pv"},
					&schemas.PagePrepared{Head: next(e.Head, "prepare", 1, "PagePrepared"), Page: 1, Class: "gpu", Priority: e.Priority}, &rest}, nil
			}
			return []schemas.Event{&schemas.PagePrepared{Head: next(e.Head, "prepare", 2, "PagePrepared"), Page: 2, Class: "gpu", Priority: e.Priority}}, nil
		})
	})
	run("layout", func(h *stream.Harness, _ *schemas.Codec) {
		stream.AddStage(h, topology.Layout, "gpu", func(_ context.Context, e *schemas.PagePrepared, _ schemas.Delivery) ([]schemas.Event, error) {
			return []schemas.Event{&schemas.PageLaidOut{Head: next(e.Head, "layout", e.Page, "PageLaidOut"), Page: e.Page, Class: e.Class, Priority: e.Priority}}, nil
		})
	})
	run("ocr", func(h *stream.Harness, _ *schemas.Codec) {
		stream.AddStage(h, topology.OCR, "gpu", func(_ context.Context, e *schemas.PageLaidOut, _ schemas.Delivery) ([]schemas.Event, error) {
			return []schemas.Event{&schemas.PageFinished{Head: next(e.Head, "ocr", e.Page, "PageFinished"), Page: e.Page, How: "ocr"}}, nil
		})
	})
	run("compose", func(h *stream.Harness, _ *schemas.Codec) {
		stream.AddStage(h, topology.Compose, "cpu", func(_ context.Context, e *schemas.DocumentFinished, _ schemas.Delivery) ([]schemas.Event, error) {
			return []schemas.Event{&schemas.DocumentComposed{Head: next(e.Head, "compose", 0, "DocumentComposed"), Outputs: []schemas.Output{{Format: "text"}}}}, nil
		})
	})
	run("track", func(h *stream.Harness, c *schemas.Codec) {
		stream.AddFold(h, topology.Track, track.New(track.DefaultConfig(), c.Decode))
	})
	var mu sync.Mutex
	rows := map[string]int{}
	run("sinks", func(h *stream.Harness, _ *schemas.Codec) {
		stream.AddSink(h, topology.ClickHouse, func(_ context.Context, b schemas.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			rows[b.Topic] += len(b.Events)
			return nil
		})
	})
	gateway := g.as("gateway")
	gc := codec(gateway)
	if err := stream.Register(ctx, gc, g.plan); err != nil {
		t.Fatal(err)
	}
	cfg := view.DefaultConfig()
	cfg.Dir = t.TempDir()
	v := view.New(cfg, gateway, g.plan, gc, key, log.With("role", "gateway"), prometheus.NewRegistry())
	all.Go(func() {
		if err := v.Run(ctx); err != nil && ctx.Err() == nil {
			t.Errorf("gateway: %v", err)
		}
	})
	job := schemas.JobIDFor("grant", "1")
	now := time.Now()
	e := &schemas.DocumentSubmitted{Head: schemas.Head{EventID: schemas.EventIDFor(job, 0, "gateway", 0, "DocumentSubmitted", 0), Tenant: "acme", JobID: job, At: now, SubmittedAt: now},
		FromPage: 1, Class: "cpu", Priority: "high", Source: schemas.Source{Key: "sources/acme/x", MediaType: "application/pdf", Size: 1}}
	if err := producers.New(client(t, gateway), stream.NewWriter(g.plan, gc, "gateway", key)).Publish(ctx, e, "req_test"); err != nil {
		t.Fatal(err)
	}
	var status string
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if !v.Ready() {
			continue
		}
		if s, ok := v.Job("acme", job); ok {
			status = s.Status
		}
		mu.Lock()
		changes := rows["job-events"]
		mu.Unlock()
		if status == schemas.Completed && changes > 0 {
			return
		}
	}
	t.Fatalf("the job is %q, the sink has %v, the view is ready: %v", status, rows, v.Ready())
}

func TestPrincipalsWithoutAnAuthorizerAreRefused(t *testing.T) {
	if os.Getenv("DOCSTREAM_TEST_KAFKA") == "" {
		t.Skip("the embedded broker knows no access control; Apache Kafka runs this test")
	}
	c := client(t, testenv.Kafka(t))
	_, _, err := ops.Grant(t.Context(), c, testenv.Plan(t), ops.Principals{Track: []string{"track"}}, false)
	if err == nil || !strings.Contains(err.Error(), "no authorizer") {
		t.Errorf("%v", err)
	}
}

func TestNobodyNamedMeansNothingGranted(t *testing.T) {
	if granted, _, err := ops.Grant(t.Context(), nil, topology.DefaultConfig(), ops.Principals{}, false); err != nil || len(granted) > 0 {
		t.Errorf("%v %v", granted, err)
	}
}

func TestPrincipalsThatMakeNoSenseAreRefused(t *testing.T) {
	for name, p := range map[string]ops.Principals{
		"everybody":                      {Track: []string{"User:*"}},
		"a blank":                        {Gateway: []string{"a b"}},
		"nobody":                         {Sinks: []string{""}},
		"an upstream system as the fold": {Producers: []string{"erp"}, Track: []string{"User:erp"}},
		"a customer as an operator":      {Customers: []string{"acme"}, Operators: []string{"acme"}},
	} {
		if p.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	fine := ops.Principals{Layout: []string{"gpu-worker"}, OCR: []string{"gpu-worker"}, Producers: []string{"erp", "User:CN=mail"}}
	if err := fine.Validate(); err != nil {
		t.Error(err)
	}
}

func TestEveryRoleCanBeGivenPrincipals(t *testing.T) {
	p := ops.Principals{Gateway: []string{"x"}, Connectors: []string{"x"}, Producers: []string{"x"}, Prepare: []string{"x"}, Fetch: []string{"x"}, Layout: []string{"x"}, OCR: []string{"x"},
		Track: []string{"x"}, Compose: []string{"x"}, Tally: []string{"x"}, Deliver: []string{"x"}, Sinks: []string{"x"}, Operators: []string{"x"}, Customers: []string{"x"}}
	for _, role := range topology.Roles() {
		if !slices.Equal(p.Of(role), []string{"User:x"}) {
			t.Errorf("%s has no key in principals", role)
		}
	}
}

func TestComparingChangesNothing(t *testing.T) {
	c, plan := client(t, testenv.Kafka(t)), testenv.Plan(t)
	compare := func(p topology.Config) ops.Report {
		t.Helper()
		r, err := ops.Compare(t.Context(), c, p)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for range 2 {
		if r := compare(plan); len(r.Created) != len(plan.Specs()) || len(r.Altered)+len(r.Grown)+len(r.Warnings) > 0 {
			t.Fatalf("before: %+v", r)
		}
	}
	apply(t, c, plan)
	other := plan
	other.Lanes++
	other.Retention += 24 * time.Hour
	for range 2 {
		r := compare(other)
		if len(r.Created) > 0 || !slices.Contains(r.Grown, plan.Name("pages.cpu.high")) || !slices.Contains(r.Altered, plan.Name("facts")) ||
			!slices.Contains(r.Changes, plan.Name("facts")+" retention.ms: 604800000, the plan says 691200000") ||
			!slices.Contains(r.Changes, plan.Name("pages.cpu.high")+" partitions: 2, the plan says 3") {
			t.Errorf("%+v", r)
		}
	}
	if r := compare(plan); r.Changed() {
		t.Errorf("comparing changed something: %+v", r)
	}
	other.State++
	if _, err := ops.Compare(t.Context(), c, other); err == nil || !strings.Contains(err.Error(), "facts") {
		t.Errorf("a plan that cannot be: %v", err)
	}
}
