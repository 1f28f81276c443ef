package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"docstream/internal/blob"
	"docstream/ops/bench"
	"docstream/processors/compose"
	"docstream/schemas"
)

// convertOptions are the flags of the conversion.
type convertOptions struct {
	out  string
	read string // the option ocr of the job
	set  []string
}

func (p *program) benchConvertCommand() *cobra.Command {
	var o convertOptions
	c := &cobra.Command{Use: "convert FILE...", Short: "Convert files with the bare engine, to be scored by bench structure", Args: cobra.MinimumNArgs(1),
		Long: "Take each FILE through the stages with no broker and no store, and write NAME.md, NAME.txt, NAME.html, NAME.csv and NAME.json into a\n" +
			"folder. A file that is refused leaves its reason in NAME.error. Each line printed is pages, CPU seconds and the file.",
		RunE: func(c *cobra.Command, files []string) error { return p.benchConvert(c.Context(), files, o) }}
	f := c.Flags()
	f.StringVar(&o.out, "out", "", "folder for the outputs")
	f.StringVar(&o.read, "ocr", "auto", "auto, force or off")
	f.StringSliceVar(&o.set, "set", nil, "configuration for this run, KEY=VALUE")
	_ = c.MarkFlagRequired("out")
	return c
}

// benchConvert converts one file after another in one child, which is not replaced meanwhile.
func (p *program) benchConvert(ctx context.Context, files []string, o convertOptions) error {
	cfg, err := p.config(append([]string{"engine.slots=1", "engine.max_documents=1000000", "engine.max_pages=100000000"}, o.set...)...)
	if err != nil {
		return err
	}
	e, err := p.bareEngines(cfg)
	if err != nil {
		return err
	}
	defer e.close()
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	for _, file := range files {
		m := newMemory()
		s := e.stages(m)
		before, err := bench.Tree(os.Getpid())
		if err != nil {
			return err
		}
		pages, problem := convert(ctx, s, compose.New(cfg.Compose, m, cfg.Models.Digests(), e.log), m, file, o)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		after, err := bench.Tree(os.Getpid())
		if err != nil {
			return err
		}
		name := filepath.Join(o.out, filepath.Base(file)+".error")
		if problem == nil {
			_ = os.Remove(name)
		} else if err := os.WriteFile(name, []byte(problem.Error()+"\n"), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(p.stdout, "%4d pages %8.2f CPU s  %s%s\n", pages, (after - before).Seconds(), filepath.Base(file), map[bool]string{true: "  refused"}[problem != nil])
	}
	return nil
}

// convert takes one file through all stages and writes its outputs.
func convert(ctx context.Context, s bareStages, c *compose.Stage, m *memoryStore, file string, o convertOptions) (int, error) {
	d, err := bareDocument(ctx, m, file)
	if err != nil {
		return 0, err
	}
	d.Options.OCR, d.Source.Filename = o.read, filepath.Base(file)
	f := &finished{bareStages: s}
	f.event = schemas.DocumentFinished{Head: d.Head, Source: d.Source, Options: d.Options}
	pages, err := bareEngine(ctx, bareStages{Prepare: f.prepare, Layout: s.Layout, OCR: s.OCR}, m, d, 1)
	if err != nil {
		return 0, err
	}
	out, err := c.Work(ctx, &f.event, schemas.Delivery{})
	if err != nil {
		return 0, err
	}
	stem := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	for _, written := range out[0].(*schemas.DocumentComposed).Outputs {
		body, _, err := m.Get(ctx, written.Key, 0, 0)
		if err != nil {
			return 0, err
		}
		path := filepath.Join(o.out, stem+filepath.Ext(written.Key))
		if err := writeFile(path, func(w io.Writer) error { _, err := io.Copy(w, body); return err }); err != nil {
			return 0, err
		}
	}
	return pages, nil
}

// finished gathers what track would know of a document when its last page is there.
type finished struct {
	bareStages
	event schemas.DocumentFinished
}

// prepare notes what becomes of every page. All of them are read in the end, or the conversion fails.
func (f *finished) prepare(ctx context.Context, e *schemas.DocumentSubmitted, d schemas.Delivery) ([]schemas.Event, error) {
	out, err := f.Prepare(ctx, e, d)
	for _, e := range out {
		switch e := e.(type) {
		case *schemas.DocumentOpened:
			f.event.PagesTotal, f.event.PageRanges, f.event.Pipeline, f.event.Source.MediaType = e.PagesTotal, e.PageRanges, e.Pipeline, e.MediaType
		case *schemas.PageFinished:
			f.event.Finished, f.event.Text = schemas.Bitmap(f.event.Finished).Set(e.Page), schemas.Bitmap(f.event.Text).Set(e.Page)
		case *schemas.PagePrepared:
			f.event.Finished = schemas.Bitmap(f.event.Finished).Set(e.Page)
		}
	}
	return out, err
}

// Upload keeps an object that arrives as a stream.
func (m *memoryStore) Upload(ctx context.Context, key string, body io.Reader, o blob.Options) error {
	var b bytes.Buffer
	if _, err := io.Copy(&b, body); err != nil {
		return err
	}
	return m.Put(ctx, key, b.Bytes(), o)
}
