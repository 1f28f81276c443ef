package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"docstream/internal/engine"
	"docstream/internal/fault"
	"docstream/schemas"
)

// TestMain makes the test binary its own engine: started with the word engine it is a child.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "engine" {
		if err := engine.Main(context.Background(), build); err != nil {
			fmt.Fprintln(os.Stderr, "engine:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

type blobOf struct{ Data []byte }

type facts struct {
	PID, Nice, OOM int
	Opened         string
	Warm           bool
}

var hoard [][]byte

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func build(m *engine.Mux) error {
	if os.Getenv("ENGINE_TEST_BROKEN") != "" {
		return errors.New("the model is missing")
	}
	if gate := os.Getenv("ENGINE_TEST_GATE"); gate != "" {
		for !exists(gate) {
			time.Sleep(time.Millisecond)
		}
	}
	var opened string
	warm := false
	m.Warm("facts", func() error { warm = true; return nil })
	engine.Handle(m, "echo", func(_ context.Context, b blobOf) (blobOf, error) { return b, nil })
	engine.Handle(m, "open", func(_ context.Context, s string) (facts, error) { opened = s; return facts{}, nil })
	engine.Handle(m, "facts", func(context.Context, struct{}) (facts, error) {
		b, _ := os.ReadFile("/proc/self/oom_score_adj")
		oom, _ := strconv.Atoi(strings.TrimSpace(string(b)))
		nice, _ := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
		return facts{os.Getpid(), 20 - nice, oom, opened, warm}, nil
	})
	engine.Handle(m, "refuse", func(context.Context, struct{}) (facts, error) {
		return facts{}, fault.Document(schemas.PageCorrupt, "Page 7 is damaged.").Because(errors.New("bad checksum"))
	})
	engine.Handle(m, "wrapped", func(context.Context, struct{}) (facts, error) {
		return facts{}, fmt.Errorf("while reading: %w", fault.World(schemas.EngineUnavailable, "Not now."))
	})
	engine.Handle(m, "plain", func(context.Context, struct{}) (facts, error) { return facts{}, errors.New("odd") })
	engine.Handle(m, "panic", func(context.Context, struct{}) (facts, error) { panic("secret text of the page") })
	engine.Handle(m, "exit", func(context.Context, struct{}) (facts, error) {
		fmt.Fprintln(os.Stderr, "my last words")
		os.Exit(3)
		return facts{}, nil
	})
	engine.Handle(m, "segv", func(context.Context, struct{}) (facts, error) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		select {}
	})
	engine.Handle(m, "hang", func(context.Context, struct{}) (facts, error) { select {} })
	engine.Handle(m, "patient", func(ctx context.Context, _ struct{}) (facts, error) { <-ctx.Done(); return facts{}, ctx.Err() })
	engine.Handle(m, "hoard", func(_ context.Context, mb int) (facts, error) {
		for range mb {
			hoard = append(hoard, bytes.Repeat([]byte{1}, 1<<20))
		}
		return facts{}, nil
	})
	engine.Handle(m, "bomb", func(context.Context, struct{}) (facts, error) {
		for {
			hoard = append(hoard, bytes.Repeat([]byte{1}, 1<<20))
			time.Sleep(time.Millisecond)
		}
	})
	engine.Handle(m, "burst", func(context.Context, struct{}) (facts, error) {
		hoard = append(hoard, make([]byte, 8<<30)) // at once, faster than anybody looks
		return facts{}, nil
	})
	engine.Handle(m, "grow", func(_ context.Context, n int) (blobOf, error) { return blobOf{make([]byte, n)}, nil })
	engine.Handle(m, "chatter", func(context.Context, struct{}) (facts, error) {
		fmt.Println("native chatter on standard output")
		return facts{PID: 1}, nil
	})
	engine.Handle(m, "burn", func(context.Context, struct{}) (facts, error) {
		var used syscall.Rusage // of processor time, whoever else wants the processor
		for start := int64(-1); start < 0 || used.Utime.Nano()-start < int64(100*time.Millisecond); {
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
			if start < 0 {
				start = used.Utime.Nano()
			}
		}
		return facts{}, nil
	})
	return nil
}
