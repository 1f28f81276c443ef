package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"docstream/internal/engine"
	"docstream/internal/fault"
	"docstream/internal/turn"
	"docstream/schemas"
)

func config() engine.Config {
	c := engine.DefaultConfig()
	c.Slots = 1
	c.PageDeadline = 20 * time.Second
	return c
}

// logBook collects what the pool logs.
type logBook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newPool(t *testing.T, c engine.Config, env ...string) (*engine.Pool, *logBook) {
	t.Helper()
	book := &logBook{}
	p := engine.NewPool(c, []string{os.Args[0], "engine"}, append(os.Environ(), env...), slog.New(slog.NewTextHandler(book, nil)), nil)
	t.Cleanup(p.Close)
	return p, book
}

func lease(t *testing.T, p *engine.Pool) *engine.Slot {
	t.Helper()
	s, err := p.Lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Release)
	return s
}

func factsOf(t *testing.T, s *engine.Slot) facts {
	t.Helper()
	var f facts
	if _, err := s.Call(t.Context(), "facts", nil, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAChildAnswersAtLowPriorityAndFirstToGo(t *testing.T) {
	p, _ := newPool(t, config())
	if got := p.PIDs(); len(got) != 0 {
		t.Fatalf("an unused pool has the children %v", got)
	}
	f := factsOf(t, lease(t, p))
	if got := p.PIDs(); !slices.Equal(got, []int{f.PID}) {
		t.Errorf("PIDs = %v, the child says %d", got, f.PID)
	}
	if f.Nice != 15 {
		t.Errorf("niceness %d, want 15", f.Nice)
	}
	if f.OOM != 900 && os.Getuid() == 0 {
		t.Errorf("oom_score_adj %d, want 900", f.OOM)
	}
}

func TestACallThatLosesItsChildSaysHow(t *testing.T) {
	c := config()
	c.MemoryMark, c.MemoryLimit = 200<<20, 300<<20
	for _, tc := range []struct {
		method  string
		page    time.Duration
		code    schemas.Code
		because string
	}{
		{"exit", 0, schemas.EngineCrashed, "my last words"},
		{"segv", 0, schemas.EngineCrashed, "SIGSEGV"},
		{"hang", 300 * time.Millisecond, schemas.EngineTimeout, "longer than"},
		{"bomb", 0, schemas.EngineOutOfMemory, "over the limit"},
		{"burst", 0, schemas.EngineOutOfMemory, "memory"},
	} {
		t.Run(tc.method, func(t *testing.T) {
			c := c
			if tc.page > 0 {
				c.PageDeadline = tc.page
			}
			p, _ := newPool(t, c)
			s := lease(t, p)
			_, err := s.Call(t.Context(), tc.method, nil, nil)
			f := fault.Of(err)
			if f.Code != tc.code || f.Kind != fault.Unknown {
				t.Fatalf("got %v, want %s, unknown", err, tc.code)
			}
			if f.Cause == nil || !strings.Contains(f.Cause.Error(), tc.because) {
				t.Errorf("cause %v does not say %q", f.Cause, tc.because)
			}
			if strings.Contains(f.Message, "last words") {
				t.Errorf("message for clients tells internals: %s", f.Message)
			}
			if got := p.PIDs(); len(got) != 0 {
				t.Errorf("children %v are left", got)
			}
			factsOf(t, s) // the next call finds a fresh child
		})
	}
}

func TestAChildKilledDuringACallCostsOnlyThatCall(t *testing.T) {
	p, _ := newPool(t, config())
	s := lease(t, p)
	pid := factsOf(t, s).PID
	time.AfterFunc(200*time.Millisecond, func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	_, err := s.Call(t.Context(), "hang", nil, nil)
	if f := fault.Of(err); f.Code != schemas.EngineCrashed || f.Kind != fault.Unknown {
		t.Fatalf("got %v", err)
	}
	if got := factsOf(t, s).PID; got == pid {
		t.Error("the dead child answered")
	}
}

func TestAChildLostBetweenTwoCallsIsToldOnce(t *testing.T) {
	p, _ := newPool(t, config())
	s := lease(t, p)
	if !s.Fresh() {
		t.Error("a slot is fresh before its first call")
	}
	if _, err := s.Call(t.Context(), "open", "a document", nil); err != nil {
		t.Fatal(err)
	}
	f, generation := factsOf(t, s), s.Generation()
	if f.Opened != "a document" || s.Fresh() {
		t.Fatalf("the child should know its document: %+v, fresh %v", f, s.Fresh())
	}
	_ = syscall.Kill(f.PID, syscall.SIGKILL)
	for !s.Fresh() {
		time.Sleep(time.Millisecond)
	}
	if _, err := s.Call(t.Context(), "facts", nil, nil); fault.Of(err).Code != schemas.EngineCrashed {
		t.Fatalf("the loss was not told: %v", err)
	}
	if f := factsOf(t, s); f.Opened != "" {
		t.Errorf("a fresh child knows %q", f.Opened)
	}
	if s.Generation() == generation {
		t.Error("the generation did not change")
	}
}

func TestAChildThatDiedIdleIsReplacedSilently(t *testing.T) {
	p, _ := newPool(t, config())
	s := lease(t, p)
	pid := factsOf(t, s).PID
	s.Release()
	_ = syscall.Kill(pid, syscall.SIGKILL)
	for len(p.PIDs()) > 0 {
		time.Sleep(time.Millisecond)
	}
	if got := factsOf(t, lease(t, p)).PID; got == pid {
		t.Error("same child")
	}
}

func TestFaultsCrossWithKindCodeMessageAndCause(t *testing.T) {
	p, _ := newPool(t, config())
	s := lease(t, p)
	for _, tc := range []struct {
		method  string
		kind    fault.Kind
		code    schemas.Code
		message string
		because string
	}{
		{"refuse", fault.Permanent, schemas.PageCorrupt, "Page 7 is damaged.", "bad checksum"},
		{"wrapped", fault.Unavailable, schemas.EngineUnavailable, "Not now.", "while reading"},
		{"plain", fault.Unknown, schemas.StageFailed, schemas.Codes[schemas.StageFailed].Meaning, "odd"},
		{"panic", fault.Unknown, schemas.EngineCrashed, schemas.Codes[schemas.EngineCrashed].Meaning, "child_test.go"},
		{"no such method", fault.Unavailable, schemas.EngineUnavailable, schemas.Codes[schemas.EngineUnavailable].Meaning, "no such method"},
	} {
		_, err := s.Call(t.Context(), tc.method, nil, nil)
		f := fault.Of(err)
		if f.Kind != tc.kind || f.Code != tc.code || f.Message != tc.message {
			t.Errorf("%s: got %v", tc.method, err)
		}
		if f.Cause == nil || !strings.Contains(f.Cause.Error(), tc.because) {
			t.Errorf("%s: cause %v does not say %q", tc.method, f.Cause, tc.because)
		}
	}
	if s.Generation() != 1 {
		t.Errorf("%d children; an error of a handler, even a panic, costs none", s.Generation())
	}
}

func TestADeadlineReachesTheHandler(t *testing.T) {
	p, _ := newPool(t, config())
	s := lease(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.Call(ctx, "patient", nil, nil); fault.Of(err).Code != schemas.EngineTimeout {
		t.Fatalf("got %v", err)
	}
}

func TestACancelledCallerGetsItsOwnErrorAndEndsTheChild(t *testing.T) {
	p, _ := newPool(t, config())
	s := lease(t, p)
	pid := factsOf(t, s).PID
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := s.Call(ctx, "hang", nil, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("child %d lives: %v", pid, err)
	}
}

func TestADocumentHasADeadlineOfItsOwn(t *testing.T) {
	c := config()
	c.PageDeadline, c.DocumentDeadline = 500*time.Millisecond, 500*time.Millisecond
	p, _ := newPool(t, c)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := lease(t, p)
	time.Sleep(450 * time.Millisecond)
	start := time.Now()
	if _, err := s.Call(t.Context(), "hang", nil, nil); fault.Of(err).Code != schemas.EngineTimeout {
		t.Fatalf("got %v", err)
	}
	if took := time.Since(start); took > 400*time.Millisecond {
		t.Errorf("the last call of the document took %s", took)
	}
}

// gated is a pool of one place, whose children are ready only while the gate is open.
func gated(t *testing.T, c engine.Config) (p *engine.Pool, book *logBook, gate string) {
	gate = filepath.Join(t.TempDir(), "gate")
	p, book = newPool(t, c, "ENGINE_TEST_GATE="+gate)
	openGate(t, gate)
	return p, book, gate
}

func openGate(t *testing.T, gate string) {
	t.Helper()
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func shutGate(t *testing.T, gate string) {
	t.Helper()
	if err := os.Remove(gate); err != nil {
		t.Fatal(err)
	}
}

// eventually waits for what is to come true soon.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for ends := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(ends) {
			t.Fatalf("%s: not after 20 s", what)
		}
	}
}

// A document of many pages comes back for lease after lease, and each page twice where a child serves two stages.
func TestADocumentCountsOnceForAChild(t *testing.T) {
	c := config()
	c.MaxDocuments = 3
	p, _, gate := gated(t, c)
	first := 0
	for i, job := range []string{"a", "b", "a", "a", "b", "b", "c"} {
		s, err := p.Lease(turn.With(t.Context(), turn.Claim{Lane: "normal", Tenant: "acme", Job: job}))
		if err != nil {
			t.Fatal(err)
		}
		pid := factsOf(t, s).PID
		if i == 0 {
			first = pid
			shutGate(t, gate)
		}
		if pid != first || len(p.PIDs()) != 1 {
			t.Errorf("lease %d, of %s: child %d of %v, the first was %d", i, job, pid, p.PIDs(), first)
		}
		s.Release()
	}
	openGate(t, gate)
	eventually(t, "another child", func() bool { return !slices.Contains(p.PIDs(), first) })
}

func TestAChildIsReplacedAfterItsShare(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*engine.Config)
		calls  int // a lease
		hoard  int // megabytes
		leases int // before a successor is started
	}{
		"documents":   {func(c *engine.Config) { c.MaxDocuments = 3 }, 1, 0, 3},
		"pages":       {func(c *engine.Config) { c.MaxPages = 4 }, 2, 0, 2},
		"memory mark": {func(c *engine.Config) { c.MemoryMark, c.MemoryLimit = 150<<20, 1<<30 }, 1, 150, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := config()
			tc.change(&c)
			p, book := newPool(t, c)
			first := 0
			for i := range tc.leases {
				s := lease(t, p)
				pid := 0
				for range tc.calls {
					pid = factsOf(t, s).PID
				}
				if tc.hoard > 0 && i == 0 {
					if _, err := s.Call(t.Context(), "hoard", tc.hoard, nil); err != nil {
						t.Fatal(err)
					}
				}
				if i == 0 {
					first = pid
				}
				if pid != first {
					t.Errorf("lease %d: child %d, the first was %d", i, pid, first)
				}
				s.Release()
			}
			eventually(t, "another child in its place", func() bool {
				pids := p.PIDs()
				return len(pids) == 1 && pids[0] != first
			})
			if got := factsOf(t, lease(t, p)).PID; got == first {
				t.Error("the first child answers still")
			}
			if !strings.Contains(book.String(), name) {
				t.Errorf("the log does not say %q:\n%s", name, book)
			}
		})
	}
}

// A child takes a while to load its models. Meanwhile the one that it is to replace works on.
func TestALaneDoesNotWaitForAReplacement(t *testing.T) {
	c := config()
	c.MaxDocuments = 2
	p, _, gate := gated(t, c)
	s := lease(t, p)
	first := factsOf(t, s).PID
	s.Release()
	shutGate(t, gate)
	for range 5 {
		s = lease(t, p)
		if got := factsOf(t, s).PID; got != first {
			t.Fatalf("child %d answers before it may be ready, the first was %d", got, first)
		}
		s.Release()
	}
	s = lease(t, p)
	if _, err := s.Call(t.Context(), "open", "a document", nil); err != nil {
		t.Fatal(err)
	}
	openGate(t, gate)
	eventually(t, "a successor", func() bool { return len(p.PIDs()) == 2 })
	if f := factsOf(t, s); f.PID != first || f.Opened != "a document" {
		t.Errorf("a lease lost its document to a successor: %+v, the first child was %d", f, first)
	}
	s.Release()
	var f facts
	eventually(t, "another child", func() bool { // the successor counts once it is warm
		s := lease(t, p)
		defer s.Release()
		f = factsOf(t, s)
		return f.PID != first
	})
	if !f.Warm {
		t.Error("a successor took over before it had done what a first call does first")
	}
}

// A successor that does not start costs nothing but a line in the log; one that is ready when the worn child crashes takes its place.
func TestAWornChildGoesOnWhereItsSuccessorDoesNotStart(t *testing.T) {
	c := config()
	c.MaxDocuments, c.StartDeadline = 1, 4*time.Second
	p, book, gate := gated(t, c)
	s := lease(t, p)
	first := factsOf(t, s).PID
	shutGate(t, gate)
	s.Release()
	eventually(t, "a successor given up", func() bool { return strings.Contains(book.String(), "did not start") })
	s = lease(t, p)
	if got := factsOf(t, s).PID; got != first {
		t.Fatalf("child %d answers, the first was %d", got, first)
	}
	s.Release()
	s = lease(t, p)
	openGate(t, gate)
	eventually(t, "a successor", func() bool { return len(p.PIDs()) == 2 })
	if _, err := s.Call(t.Context(), "exit", nil, nil); fault.Of(err).Code != schemas.EngineCrashed {
		t.Fatalf("got %v", err)
	}
	if got := factsOf(t, s).PID; got == first {
		t.Error("the dead child answers")
	}
}

func TestAnEngineThatCannotStartIsTheWorldsFault(t *testing.T) {
	book := &logBook{}
	log := slog.New(slog.NewTextHandler(book, nil))
	missing := engine.NewPool(config(), []string{"/no/such/engine"}, nil, log, nil)
	defer missing.Close()
	broken, _ := newPool(t, config(), "ENGINE_TEST_BROKEN=1")
	c := config()
	c.StartDeadline = 200 * time.Millisecond
	mute := engine.NewPool(c, []string{"sleep", "60"}, nil, log, nil)
	defer mute.Close()
	for name, tc := range map[string]struct {
		pool    *engine.Pool
		because string
	}{
		"no binary": {missing, "no such file"}, "no model": {broken, "the model is missing"}, "never ready": {mute, "not ready"},
	} {
		_, err := lease(t, tc.pool).Call(t.Context(), "facts", nil, nil)
		f := fault.Of(err)
		if f.Kind != fault.Unavailable || f.Code != schemas.EngineUnavailable || !strings.Contains(fmt.Sprint(f.Cause), tc.because) {
			t.Errorf("%s: got %v", name, err)
		}
		if pids := tc.pool.PIDs(); len(pids) != 0 {
			t.Errorf("%s: children %v are left", name, pids)
		}
	}
}

func TestFramesAreBoundedBothWays(t *testing.T) {
	c := config()
	c.MaxFrame = 40 << 20
	p, _ := newPool(t, c)
	s := lease(t, p)
	sent := blobOf{bytes.Repeat([]byte("docstream"), 4<<20)} // 36 MiB
	var got blobOf
	for range 2 {
		if _, err := s.Call(t.Context(), "echo", sent, &got); err != nil || !bytes.Equal(got.Data, sent.Data) {
			t.Fatalf("echo of %d bytes: %d, %v", len(sent.Data), len(got.Data), err)
		}
	}
	for name, call := range map[string]func() error{
		"request": func() error { _, err := s.Call(t.Context(), "echo", blobOf{make([]byte, 41<<20)}, nil); return err },
		"answer":  func() error { _, err := s.Call(t.Context(), "grow", 41<<20, nil); return err },
	} {
		if f := fault.Of(call()); f.Code != schemas.PageTooLarge || f.Kind != fault.Permanent {
			t.Errorf("%s over the bound: %v", name, f)
		}
	}
	factsOf(t, s)
	if s.Generation() != 1 {
		t.Error("a frame over the bound cost a child")
	}
}

func TestNativeChatterGoesToTheLogNotIntoTheProtocol(t *testing.T) {
	p, book := newPool(t, config())
	s := lease(t, p)
	var f facts
	if _, err := s.Call(t.Context(), "chatter", nil, &f); err != nil || f.PID != 1 {
		t.Fatalf("got %+v, %v", f, err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for !strings.Contains(book.String(), "native chatter") || !strings.Contains(book.String(), "slot=0") {
		if time.Now().After(deadline) {
			t.Fatalf("not in the log:\n%s", book)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestUsageIsTheChildsOwn(t *testing.T) {
	p, _ := newPool(t, config())
	u, err := lease(t, p).Call(t.Context(), "burn", nil, nil)
	if err != nil || u.CPU < 20*time.Millisecond || u.Wall < 100*time.Millisecond {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestALeaseIsExclusiveAndWaits(t *testing.T) {
	p, _ := newPool(t, config())
	first := lease(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Lease(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a second lease of one place: %v", err)
	}
	first.Release()
	first.Release() // does nothing
	lease(t, p)
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Lease(ctx); err == nil {
		t.Fatal("a double release made a second place")
	}
}

func TestCloseEndsCallsAndChildren(t *testing.T) {
	p, _ := newPool(t, config())
	s := lease(t, p)
	pid := factsOf(t, s).PID
	time.AfterFunc(100*time.Millisecond, p.Close)
	_, err := s.Call(t.Context(), "hang", nil, nil)
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v", err)
	}
	p.Close()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("child %d lives: %v", pid, err)
	}
	s.Release()
	if _, err := p.Lease(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a lease after close: %v", err)
	}
}

func TestAChildEndsWithItsInputEvenDuringACall(t *testing.T) {
	for _, method := range []string{"", "hang"} {
		cmd := exec.Command(os.Args[0], "engine")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil { // it said hello
			t.Fatal(err)
		}
		_ = cmd.Process.Signal(syscall.SIGTERM) // of no concern to a child: its parent decides
		if method != "" {
			if _, err := in.Write(engine.EncodeCall(method)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
		}
		_ = in.Close()
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%q: the end was not clean: %v", method, err)
			}
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			t.Errorf("%q: the child outlived its input", method)
		}
	}
}
