package engine

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"syscall"
	"time"

	"docstream/internal/fault"
	"docstream/schemas"
)

// Main is the whole life of a child: it isolates the process, lets build fill the mux and serves the parent until that ends. The
// switchboard calls it as the first thing of the engine command.
func Main(ctx context.Context, build func(*Mux) error) error {
	l := LimitsFromEnv()
	in, out, err := Isolate(l)
	if err != nil {
		return fmt.Errorf("isolate the engine: %w", err)
	}
	var m Mux
	if err := build(&m); err != nil {
		return err
	}
	return Serve(ctx, &m, in, out, l)
}

// Serve is the main loop of a child: one call at a time until in ends, which is the clean end (nil). Where in ends or ctx is cancelled
// during a call it returns at once, the handler still running: native code cannot be interrupted, so the process must exit.
func Serve(ctx context.Context, m *Mux, in io.Reader, out io.Writer, l Limits) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := writeMessage(out, hello{protocol}, nil, l.MaxFrame); err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	calls, ended := make(chan call), make(chan error, 1)
	next := make(chan struct{}, 1) // the handler is done with the request buffer
	var body bytes.Buffer
	go func() { ended <- receive(ctx, in, calls, next, &body, l.MaxFrame) }()

	for {
		var c call
		select {
		case c = <-calls:
		case err := <-ended:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		var a answer
		var result []byte
		done := make(chan struct{})
		go func() {
			defer close(done)
			a, result = perform(ctx, m, c, body.Bytes())
		}()
		select {
		case <-done:
		case err := <-ended:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := reply(out, a, result, l.MaxFrame); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
		next <- struct{}{}
	}
}

// receive reads messages into body and hands their envelopes on; it returns nil at the end of in.
func receive(ctx context.Context, in io.Reader, calls chan<- call, next <-chan struct{}, body *bytes.Buffer, limit int64) error {
	r := bufio.NewReaderSize(in, 64<<10)
	for first := true; ; first = false {
		h, err := readHeader(r) // blocks while a handler runs: this is how the end of the parent is noticed
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		if !first {
			select {
			case <-next:
			case <-ctx.Done():
				return nil
			}
		}
		var c call
		if err := readBody(r, h, &c, body, limit); err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		select {
		case calls <- c:
		case <-ctx.Done():
			return nil
		}
	}
}

// perform runs one handler; a panic becomes an answer.
func perform(ctx context.Context, m *Mux, c call, req []byte) (a answer, result []byte) {
	before := cpuTime()
	defer func() {
		if p := recover(); p != nil {
			a.Fault = &wireFault{int(fault.Unknown), string(schemas.EngineCrashed), schemas.Codes[schemas.EngineCrashed].Meaning,
				fmt.Sprintf("panic: %v\n%s", p, debug.Stack())}
			result = nil
		}
		a.CPU = cpuTime() - before
	}()
	if c.Budget > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Budget)
		defer cancel()
	}
	h, err := m.find(c.Method)
	if err == nil {
		result, err = h(ctx, req)
	}
	if err != nil {
		a.Fault, result = toWire(err), nil
	}
	return a, result
}

// reply writes an answer; a result over the bound becomes an answer that says so.
func reply(out io.Writer, a answer, result []byte, limit int64) error {
	err := writeMessage(out, a, result, limit)
	var large errTooLarge
	if errors.As(err, &large) {
		a.Fault = toWire(tooLarge(large))
		return writeMessage(out, a, nil, limit)
	}
	return err
}

func tooLarge(cause error) *fault.Error {
	return fault.Document(schemas.PageTooLarge, "The page or document is larger than the engine's limit.").Because(cause)
}

func toWire(err error) *wireFault {
	var f *fault.Error
	if !errors.As(err, &f) {
		f = fault.Of(err)
		if errors.Is(err, context.DeadlineExceeded) {
			f = fault.Puzzle(schemas.EngineTimeout, "%s", schemas.Codes[schemas.EngineTimeout].Meaning).Because(err)
		}
	}
	w := &wireFault{Kind: int(f.Kind), Code: string(f.Code), Message: f.Message}
	if err != error(f) {
		w.Cause = err.Error() // the fault lies deeper in the chain: keep what was said around it
	} else if f.Cause != nil {
		w.Cause = f.Cause.Error()
	}
	if len(w.Cause) > maxEnvelope/2 {
		w.Cause = w.Cause[:maxEnvelope/2]
	}
	return w
}

// cpuTime is the user and system time of this process.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
