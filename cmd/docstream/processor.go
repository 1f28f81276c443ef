package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"docstream/internal/engine"
	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/processors/compose"
	"docstream/processors/fetch"
	"docstream/processors/layout"
	"docstream/processors/ocr"
	"docstream/processors/prepare"
	"docstream/processors/tally"
	"docstream/processors/track"
)

// stages are the names --stages takes, in the order of the stream.
var stages = []string{"prepare", "fetch", "layout", "ocr", "track", "compose", "tally", "deliver"}

// native are the stages whose work runs in an engine child.
var native = []string{"prepare", "layout", "ocr"}

func (p *program) processorCommand() *cobra.Command {
	var names []string
	var class, device string
	c := &cobra.Command{Use: "processor --stages NAME,...", Short: "Run stages of the stream", Args: cobra.NoArgs,
		Long: "Run one or more stages: " + strings.Join(stages, ", ") + ".\n" +
			"--class says which lanes are served (cpu or gpu), --device what the models run on: --class gpu --device cpu serves the gpu lanes\n" +
			"where no GPU exists.",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := oneOf("--class", class, topology.Classes); err != nil {
				return err
			}
			if len(names) == 0 {
				return fail(exitUsage, "--stages is missing: one or more of %s", strings.Join(stages, ", "))
			}
			for _, n := range names {
				if err := oneOf("--stages", n, stages); err != nil {
					return err
				}
			}
			var more []string
			if c.Flags().Changed("device") {
				more = append(more, "models.device="+device)
			}
			w, err := p.wire("processor", more...)
			if err != nil {
				return err
			}
			if slices.Contains(names, topology.Fetch.Name) {
				if len(names) > 1 {
					return fail(exitUsage, "fetch waits for strangers: run it in a process of its own")
				}
				w.waits()
			}
			return p.process(c.Context(), w, names, class)
		}}
	c.Flags().StringSliceVar(&names, "stages", nil, "stages to run: "+strings.Join(stages, ", "))
	c.Flags().StringVar(&class, "class", "cpu", "hardware class of the lanes to serve: cpu or gpu")
	c.Flags().StringVar(&device, "device", "cpu", "what the models run on: cpu or cuda")
	return c
}

// process runs the stages until ctx ends; work in flight is finished first, then the engine closes.
func (p *program) process(ctx context.Context, w *wiring, names []string, class string) error {
	ctx, cancel := p.alive(ctx)
	defer cancel()
	h := stream.New(w.cfg.Kafka, w.cfg.Topics, w.cfg.Stream, w.codec, w.key, w.log, w.reg)
	var pool *engine.Pool
	if slices.ContainsFunc(names, func(n string) bool { return slices.Contains(native, n) }) {
		if err := usable(w.cfg.Models, names); err != nil {
			return err
		}
		var err error
		if pool, err = p.pool(w, names); err != nil {
			return err
		}
		defer pool.Close()
		if err := pool.StartDevice(ctx); err != nil {
			return fail(exitFailed, "the %s device does not start: %s", w.cfg.Models.Device, oneLine(errors.Join(err, errors.Unwrap(err))))
		}
	}
	var also []func(context.Context) error
	for _, name := range names {
		if name != "deliver" {
			add(h, w, pool, name, class)
			continue
		}
		runs, end, err := addDeliver(h, w)
		if err != nil {
			return err
		}
		defer end()
		also = append(also, runs...)
	}
	var started atomic.Bool
	w.ready = func() error {
		if !started.Load() {
			return errors.New("the engine is starting")
		}
		return h.Stopped()
	}
	if slices.Contains(names, "prepare") {
		verifier, follow, err := w.verifier()
		if err != nil {
			return err
		}
		h.Believe(verifier)
		also = append(also, follow)
	}
	return w.serve(ctx, append(also, h.Run, func(ctx context.Context) error {
		if pool != nil {
			if err := pool.Start(ctx); err != nil && ctx.Err() == nil {
				w.log.Error("the engine does not start", "error", err) // a call tries again by itself
				return nil
			}
		}
		started.Store(true)
		return nil
	})...)
}

// add binds one stage to the plan. A new stage is one more case here.
func add(h *stream.Harness, w *wiring, pool *engine.Pool, name, class string) {
	digests := w.cfg.Models.Digests()
	switch name {
	case "prepare":
		stream.AddStage(h, topology.Prepare, class, prepare.New(w.cfg.Prepare, w.objects, pool, digests, w.log).Work)
	case "fetch":
		stream.AddStage(h, topology.Fetch, class, fetch.New(w.cfg.Fetch, w.guard(), w.objects).Work)
	case "layout":
		stream.AddStage(h, topology.Layout, class, layout.New(w.cfg.Layout, w.objects, pool, w.log).Work)
	case "ocr":
		stream.AddStage(h, topology.OCR, class, ocr.New(w.cfg.OCR, w.objects, pool, w.log).Work)
	case "compose":
		stream.AddStage(h, topology.Compose, class, compose.New(w.cfg.Compose, w.objects, digests, w.log).Work)
	case "track":
		stream.AddFold(h, topology.Track, track.New(w.cfg.Track, w.codec.Decode))
	case "tally":
		stream.AddFold(h, topology.Tally, tally.New())
	}
}

// usable says at once, in one line, what the models lack.
func usable(m engine.ModelSet, names []string) error {
	reads := slices.Contains(names, "layout") || slices.Contains(names, "ocr")
	if !reads && !slices.Contains(names, "prepare") {
		return nil
	}
	if err := m.Check(); err != nil {
		return fail(exitFailed, "the models are not complete (%s): run make parts", oneLine(err))
	}
	if !reads || m.Device == engine.CPU {
		return nil
	}
	_, err := engine.OpenRuntime(m.LibraryPath(), m.Device)
	return err
}

// pool makes the engine of a worker: children of this very program, with only the settings their work needs in their environment. Hostile
// documents are opened there, so no secret goes along.
func (p *program) pool(w *wiring, names []string) (*engine.Pool, error) {
	exe, err := self()
	if err != nil {
		return nil, err
	}
	var mine []string
	for _, n := range names {
		if slices.Contains(native, n) {
			mine = append(mine, n)
		}
	}
	env := append(p.plain(), environment(w.cfg, "models", "prepare")...)
	bounds := w.cfg.Engine
	bounds.Weights = w.cfg.Stream.Weights()
	pool := engine.NewPool(bounds, []string{exe, "engine", "--stages", strings.Join(mine, ",")}, env, w.log, w.reg)
	if w.cfg.Models.Shares() && (slices.Contains(mine, "layout") || slices.Contains(mine, "ocr")) {
		return pool, pool.Share([]string{exe, "engine", "--device"}, w.reg)
	}
	return pool, nil
}

// plain is the part of the environment that native code may need and that holds no secret.
func (p *program) plain() []string {
	var out []string
	for _, pair := range p.Env {
		name, _, _ := strings.Cut(pair, "=")
		switch {
		case slices.Contains([]string{"PATH", "HOME", "TMPDIR", "LANG", "TZ", "LD_LIBRARY_PATH", "XDG_CACHE_HOME", "DOCSTREAM_CACHE", "GOCOVERDIR"}, name),
			strings.HasPrefix(name, "CUDA_"), strings.HasPrefix(name, "NVIDIA_"):
			out = append(out, pair)
		}
	}
	return out
}
