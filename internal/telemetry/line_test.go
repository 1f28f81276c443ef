package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"docstream/internal/telemetry"
)

// TestEveryLineIsAsSlogWritesIt: whatever is said, and whichever way it takes, a line reads as the standard handler would have written it.
func TestEveryLineIsAsSlogWritesIt(t *testing.T) {
	at := time.Date(2026, 11, 27, 1, 2, 3, 456_000_000, time.UTC)
	for name, as := range map[string][]slog.Attr{
		"nothing":           nil,
		"text":              {slog.String("a", "b c"), slog.String("empty", "")},
		"text to be quoted": {slog.String("a", "say \"x\" \\ \n \u2028 ä <b>&")},
		"not UTF-8":         {slog.String("a", "\xff")},
		"a name":            {slog.String("na\"me", "b")},
		"numbers": {slog.Int("i", -7), slog.Int64("max", math.MaxInt64), slog.Float64("zero", 0), slog.Float64("part", .000123), slog.Float64("tiny", 1e-9),
			slog.Float64("huge", 1e300), slog.Float64("negative", -1.5), slog.Uint64("u", math.MaxUint64)},
		"no number":     {slog.Float64("nan", math.NaN())},
		"flags":         {slog.Bool("yes", true), slog.Bool("no", false)},
		"times":         {slog.Time("t", at), slog.Duration("d", time.Second)},
		"any":           {slog.Any("v", map[string]int{"a": 1}), slog.Any("err", errors.New("broken")), slog.Any("nil", nil)},
		"a group":       {slog.Group("g", slog.Int("n", 1)), slog.Group("empty")},
		"without names": {slog.Attr{}, slog.String("", "x")},
	} {
		for _, level := range []slog.Level{slog.LevelDebug, slog.LevelWarn, slog.LevelError + 1} {
			t.Run(name+" "+level.String(), func(t *testing.T) {
				var ours, theirs bytes.Buffer
				r := slog.NewRecord(at, level, "it's done", 0)
				r.AddAttrs(as...)
				base := []slog.Attr{slog.String("role", "test"), slog.Int("n", 1)}
				if err := telemetry.NewLogger(&ours, "debug", base...).Handler().Handle(context.Background(), r); err != nil {
					t.Fatal(err)
				}
				h := slog.NewJSONHandler(&theirs, &slog.HandlerOptions{Level: slog.LevelDebug})
				if err := h.WithAttrs(base).Handle(context.Background(), r); err != nil {
					t.Fatal(err)
				}
				if ours.String() != theirs.String() {
					t.Errorf("ours   %s\ntheirs %s", &ours, &theirs)
				}
			})
		}
	}
}

// TestALineSaysTheSameOfItsContextEitherWay: a number without a sign is not plain, so that its line takes the long way.
func TestALineSaysTheSameOfItsContextEitherWay(t *testing.T) {
	at := time.Date(2026, 11, 27, 1, 2, 3, 456_000_000, time.UTC)
	traced := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 0xab}, SpanID: trace.SpanID{2}}))
	for name, ctx := range map[string]context.Context{
		"nothing":           context.Background(),
		"a trace":           traced,
		"all of a job":      telemetry.With(traced, telemetry.Job{RequestID: "req_1", JobID: "job_1", Tenant: "acme", Stage: "ocr", Page: 12}),
		"some of it":        telemetry.With(context.Background(), telemetry.Job{Tenant: "acme"}),
		"text to be quoted": telemetry.With(traced, telemetry.Job{RequestID: "say \"x\"", Page: 1}),
		"a secret":          telemetry.With(context.Background(), telemetry.Job{RequestID: "dsk_0123456789abcdef_hushhush"}),
	} {
		t.Run(name, func(t *testing.T) {
			write := func(as ...slog.Attr) string {
				var b bytes.Buffer
				r := slog.NewRecord(at, slog.LevelInfo, "x", 0)
				r.AddAttrs(as...)
				if err := telemetry.NewLogger(&b, "info").Handler().Handle(ctx, r); err != nil {
					t.Fatal(err)
				}
				return b.String()
			}
			short, long := write(), write(slog.Uint64("long", 1))
			if long = strings.Replace(long, `,"long":1`, "", 1); short != long {
				t.Errorf("short %slong  %s", short, long)
			}
			if strings.Contains(short, "hush") {
				t.Errorf("it says a secret: %s", short)
			}
		})
	}
}

// TestLinesAtOnceStayWhole: both ways lead to one writer.
func TestLinesAtOnceStayWhole(t *testing.T) {
	var b bytes.Buffer
	log := telemetry.NewLogger(&b, "info")
	done := make(chan struct{})
	for _, text := range []string{"plain", "\"quoted\"\n"} {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 200 {
				log.Info("x", "text", text)
			}
		}()
	}
	<-done
	<-done
	var got []string
	for line := range strings.Lines(b.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		got = append(got, m["text"].(string))
	}
	slices.Sort(got)
	if want := append(slices.Repeat([]string{"\"quoted\"\n"}, 200), slices.Repeat([]string{"plain"}, 200)...); !reflect.DeepEqual(got, want) {
		t.Errorf("%d lines", len(got))
	}
}

func TestALineHoldsWhatWasFoundOutOnTheWay(t *testing.T) {
	ctx := telemetry.With(context.Background(), telemetry.Job{RequestID: "req_1"})
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	telemetry.Add(inner, telemetry.Job{Tenant: "acme"})
	telemetry.Add(inner, telemetry.Job{JobID: "job_1"})
	telemetry.Add(context.Background(), telemetry.Job{JobID: "job_2"}) // says nothing, and harms nobody
	got := line(t, func(l *slog.Logger) { l.InfoContext(ctx, "x") })
	for k, v := range map[string]string{"request_id": "req_1", "tenant": "acme", "job_id": "job_1"} {
		if got[k] != v {
			t.Errorf("%s = %v, want %v", k, got[k], v)
		}
	}
	apart := telemetry.With(ctx, telemetry.Job{Tenant: "globex"})
	if telemetry.JobOf(ctx).Tenant != "acme" || telemetry.JobOf(apart) != (telemetry.Job{RequestID: "req_1", Tenant: "globex", JobID: "job_1"}) {
		t.Errorf("%+v, %+v", telemetry.JobOf(ctx), telemetry.JobOf(apart))
	}
}

// writes is a writer that hands on what it is given, each time for itself.
type writes chan string

func (w writes) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}

func TestUnhurriedLinesComeByThemselves(t *testing.T) {
	to := make(writes, 1)
	log := telemetry.NewLogger(to, "info")
	slog.New(telemetry.Unhurried(log.Handler())).Info("late")
	if got := <-to; !strings.Contains(got, `"msg":"late"`) || strings.Count(got, "\n") != 1 {
		t.Errorf("%q", got)
	}
}

func TestUnhurriedLinesKeepTheirOrderAndABound(t *testing.T) {
	for name, c := range map[string]struct {
		say  func(hurried, late *slog.Logger)
		want []string
	}{
		"before a hurried one": {func(hurried, late *slog.Logger) {
			late.Info("1")
			late.Info("2")
			hurried.Error("3")
			hurried.Info("4")
		}, []string{"1", "2", "3", "4"}},
		"before one that is not plain": {func(hurried, late *slog.Logger) { late.Info("1"); late.Info("2", "v", []int{1}) }, []string{"1", "2"}},
		"more than is kept":            {func(_, late *slog.Logger) { late.Info("1", "v", strings.Repeat("x", 1<<16)) }, []string{"1"}},
		"with attributes of its own":   {func(hurried, late *slog.Logger) { late.With("a", "b").Info("1"); hurried.Info("2") }, []string{"1", "2"}},
	} {
		t.Run(name, func(t *testing.T) {
			to := make(writes, 10)
			log := telemetry.NewLogger(to, "info")
			c.say(log, slog.New(telemetry.Unhurried(log.Handler())))
			close(to) // what comes later would panic
			var got []string
			for some := range to {
				for line := range strings.Lines(some) {
					var m struct{ Msg string }
					if err := json.Unmarshal([]byte(line), &m); err != nil {
						t.Fatalf("%v: %s", err, line)
					}
					got = append(got, m.Msg)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestAnotherHandlerIsLeftAsItIs(t *testing.T) {
	if h := slog.DiscardHandler; telemetry.Unhurried(h) != h {
		t.Error("it is another one")
	}
}
