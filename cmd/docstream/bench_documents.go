package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"docstream/ops/bench"
	"docstream/ops/bench/structure"
	"docstream/processors/compose"
)

// documentOptions are the flags of the comparison of converters.
type documentOptions struct {
	keep, expected string
	python, tika   string
	peers          []string
	set            []string
}

func (p *program) benchDocumentsCommand() *cobra.Command {
	var o documentOptions
	c := &cobra.Command{Use: "documents FILE...", Short: "Compare our conversion of documents with other converters'", Args: cobra.MinimumNArgs(1),
		Long: "Have every converter turn every FILE into Markdown, one thread each where it can be told, and print pages per CPU second, peak memory and\n" +
			"the scores of bench structure beside each other. The smallest file is converted once before it counts. What was made and measured stays in\n" +
			"the folder that --keep names, so that a run goes on where the last one was stopped.",
		RunE: func(c *cobra.Command, files []string) error { return p.benchDocuments(c.Context(), files, o) }}
	f := c.Flags()
	f.StringVar(&o.keep, "keep", "", "folder of what was made, and of results.jsonl")
	f.StringVar(&o.expected, "expected", "", "folder of the expected files; empty: expected beside the first FILE")
	f.StringSliceVar(&o.peers, "peers", []string{"markitdown", "pymupdf4llm", "kreuzberg", "tika"}, "converters beside ours")
	f.StringVar(&o.python, "python", "", "Python of the environment that the peers lie in")
	f.StringVar(&o.tika, "tika", "", "folder of Tika's jars")
	f.StringSliceVar(&o.set, "set", nil, "our configuration for this run, KEY=VALUE")
	_ = c.MarkFlagRequired("keep")
	return c
}

// documentResult is one line of the raw results.
type documentResult struct {
	Converter string  `json:"converter"`
	File      string  `json:"file"`
	Pages     int     `json:"pages"` // as we count them; 0: not known
	CPU       float64 `json:"cpu_seconds"`
	Peak      int64   `json:"peak_bytes"` // of the processes, since they began
	Error     string  `json:"error,omitempty"`
}

// converter turns one file into Markdown.
type converter interface {
	label() string
	convert(ctx context.Context, file string) (markdown string, r documentResult, err error)
	close()
}

const ownName = "docstream"

func (p *program) benchDocuments(ctx context.Context, files []string, o documentOptions) error {
	slices.SortStableFunc(files, func(a, b string) int { return cmp.Compare(size(a), size(b)) })
	if o.expected == "" {
		o.expected = filepath.Join(filepath.Dir(files[0]), "expected")
	}
	all, err := p.converters(o)
	defer func() {
		for _, c := range all {
			c.close()
		}
	}()
	if err != nil {
		return err
	}
	path := filepath.Join(o.keep, "results.jsonl")
	results, err := keptDocuments(path)
	if err != nil {
		return err
	}
	raw, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer raw.Close()
	warm := map[string]bool{}
	for _, file := range files {
		for _, c := range all {
			if _, ok := results[c.label()+" "+filepath.Base(file)]; ok {
				continue
			}
			if !warm[c.label()] {
				if _, _, err := c.convert(ctx, files[0]); err != nil {
					return err
				}
				warm[c.label()] = true
			}
			made, r, err := c.convert(ctx, file)
			if err != nil {
				return fmt.Errorf("%s converts %s: %w", c.label(), filepath.Base(file), err)
			}
			if r.Error == "" {
				if err := os.WriteFile(filepath.Join(o.keep, c.label(), stem(file)+".md"), []byte(made), 0o644); err != nil {
					return err
				}
			}
			results[c.label()+" "+r.File] = r
			if err := json.NewEncoder(raw).Encode(r); err != nil {
				return err
			}
		}
	}
	return writeDocuments(p.stdout, files, all, results, o)
}

// stem is the file's name without its ending.
func stem(path string) string { return strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)) }

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func keptDocuments(path string) (map[string]documentResult, error) {
	out := map[string]documentResult{}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return out, nil
	}
	for d := json.NewDecoder(bytes.NewReader(b)); err == nil; {
		var r documentResult
		if err = d.Decode(&r); err == nil {
			out[r.Converter+" "+r.File] = r
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // a run that was stopped leaves half a line
	}
	return out, err
}

// converters starts ours and the peers, each with a folder for what it makes.
func (p *program) converters(o documentOptions) (all []converter, err error) {
	for _, name := range append([]string{ownName}, o.peers...) {
		if err := os.MkdirAll(filepath.Join(o.keep, name), 0o755); err != nil {
			return all, err
		}
		switch {
		case name == ownName:
			cfg, err := p.config(append([]string{"engine.slots=1", "engine.max_documents=1000000", "engine.max_pages=100000000"}, o.set...)...)
			if err != nil {
				return all, err
			}
			e, err := p.bareEngines(cfg)
			if err != nil {
				return all, err
			}
			all = append(all, &ownConverter{cfg, e, filepath.Join(o.keep, ownName)})
			continue
		case name == "tika" && o.tika != "":
			t, err := newTalker(name, "java", "-XX:ActiveProcessorCount=1", "-cp", filepath.Join(o.tika, "*"), filepath.Join("ops", "bench", "tika", "Peer.java"))
			if err != nil {
				return all, err
			}
			all = append(all, documentTalker{t})
		case slices.Contains([]string{"markitdown", "pymupdf4llm", "kreuzberg"}, name) && o.python != "":
			t, err := newTalker(name, o.python, filepath.Join("ops", "bench", "document_peer.py"), name)
			if err != nil {
				return all, err
			}
			all = append(all, documentTalker{t})
		default:
			return all, fail(exitUsage, "peer %q: it must be tika with --tika, or with --python markitdown, pymupdf4llm or kreuzberg", name)
		}
	}
	return all, nil
}

// ownConverter is the bare engine.
type ownConverter struct {
	cfg    Config
	engine *bareEngines
	out    string
}

func (c *ownConverter) label() string { return ownName }
func (c *ownConverter) close()        { c.engine.close() }

// convert measures this process, which does nothing else meanwhile, and the engine's children.
func (c *ownConverter) convert(ctx context.Context, file string) (string, documentResult, error) {
	m, r := newMemory(), documentResult{Converter: ownName, File: filepath.Base(file)}
	before, err := bench.Tree(os.Getpid())
	if err != nil {
		return "", r, err
	}
	pages, problem := convert(ctx, c.engine.stages(m), compose.New(c.cfg.Compose, m, c.cfg.Models.Digests(), c.engine.log), m, file,
		convertOptions{out: c.out, read: "auto"})
	after, err := bench.Tree(os.Getpid())
	if err != nil || ctx.Err() != nil {
		return "", r, errors.Join(err, ctx.Err())
	}
	r.Pages, r.CPU, r.Peak = pages, (after - before).Seconds(), bench.Peak(os.Getpid())
	for _, pid := range c.engine.pool.PIDs() {
		r.Peak += bench.Peak(pid)
	}
	if problem != nil {
		r.Error = problem.Error()
		return "", r, nil
	}
	made, err := os.ReadFile(filepath.Join(c.out, stem(file)+".md"))
	return string(made), r, err
}

// documentTalker is a peer that stays up.
type documentTalker struct{ *talker }

func (t documentTalker) convert(_ context.Context, file string) (string, documentResult, error) {
	r := documentResult{Converter: t.name, File: filepath.Base(file)}
	if _, err := fmt.Fprintln(t.in, file); err != nil {
		return "", r, err
	}
	line, err := t.out.ReadBytes('\n')
	if err != nil {
		return "", r, err
	}
	var said struct {
		Text, Error string
		CPU         float64
	}
	if err := json.Unmarshal(line, &said); err != nil {
		return "", r, err
	}
	r.CPU, r.Error, r.Peak = said.CPU, said.Error, bench.Peak(t.cmd.Process.Pid)
	return said.Text, r, nil
}

// writeDocuments prints what each file cost and how it scored, ours first; a score of ours that a peer exceeds has a mark.
func writeDocuments(w io.Writer, files []string, all []converter, results map[string]documentResult, o documentOptions) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "file\tconverter\tpages\tCPU s\tpages per CPU s\tpeak MB")
	for _, file := range files {
		pages := results[ownName+" "+filepath.Base(file)].Pages
		for _, c := range all {
			r := results[c.label()+" "+filepath.Base(file)]
			fmt.Fprintf(t, "%s\t%s\t%d\t%.2f\t%.1f\t%d\t%s\n", r.File, r.Converter, pages, r.CPU, float64(pages)/max(r.CPU, 1e-9), r.Peak>>20, oneLine(errors.New(r.Error)))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var rows [][]structure.Row
	for _, c := range all {
		one, err := structure.Folders(filepath.Join(o.keep, c.label()), o.expected)
		if err != nil {
			return err
		}
		one = slices.DeleteFunc(one, func(r structure.Row) bool { // another file's
			return !slices.ContainsFunc(files, func(file string) bool { return stem(file) == stem(r.File) })
		})
		rows = append(rows, one)
		fmt.Fprintf(w, "\n%s\n", c.label())
		if err := structure.Write(w, one); err != nil {
			return err
		}
	}
	for k, c := range all[1:] {
		for i, mine := range rows[0] {
			if worse := structure.Behind(mine.Scores, rows[k+1][i].Scores); len(worse) > 0 {
				fmt.Fprintf(w, "behind %s on %s: %s\n", c.label(), mine.File, strings.Join(worse, ", "))
			}
		}
	}
	return nil
}
