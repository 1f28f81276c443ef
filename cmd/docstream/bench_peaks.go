package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"docstream/internal/engine"
	"docstream/ops/sample"
)

// peakOptions are the flags of the memory measurement.
type peakOptions struct {
	documents int
	scans     int
}

func (p *program) benchMemoryCommand() *cobra.Command {
	var o peakOptions
	c := &cobra.Command{Use: "memory [FILE...]", Short: "Measure the memory of one worker: each file, a scan, then many documents in a row", Args: cobra.ArbitraryArgs,
		Long: "Read each FILE, then a generated scan, then as many one-page documents in a row, through one engine child at a time, and print the peaks of\n" +
			"the child and of this process, and how much the child grows for each thousand documents. Children are not replaced meanwhile.",
		RunE: func(c *cobra.Command, files []string) error { return p.benchMemory(c.Context(), files, o) }}
	c.Flags().IntVar(&o.documents, "documents", 2000, "documents in a row")
	c.Flags().IntVar(&o.scans, "scans", 100, "pages of the generated scan; 0: none")
	return c
}

// benchMemory never replaces a child for its age: what grows has to show.
func (p *program) benchMemory(ctx context.Context, files []string, o peakOptions) error {
	cfg, err := p.config("engine.slots=1", "engine.max_documents=1000000", "engine.max_pages=100000000")
	if err != nil {
		return err
	}
	e, err := p.bareEngines(cfg)
	if err != nil {
		return err
	}
	defer e.close()
	read := func(file string) (int, error) {
		m := newMemory() // gone with the document
		s := e.stages(m)
		d, err := bareDocument(ctx, m, file)
		if err != nil {
			return 0, err
		}
		return bareEngine(ctx, s, m, d, 1)
	}
	tell := func(what string, pages int) {
		fmt.Fprintf(p.stdout, "%-32s %5d pages   child at most %s   worker at most %s\n", what, pages, mebibytes(engineMemory(e.pool, "VmHWM:")), mebibytes(memoryOf(os.Getpid(), "VmHWM:")))
	}
	for _, f := range files {
		n, err := read(f)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(f), err)
		}
		tell(filepath.Base(f), n)
	}
	if o.scans > 0 {
		err := p.withDocuments(nil, o.scans, func(made []string) error {
			n, err := read(made[0])
			if err == nil {
				tell("a generated scan", n)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return p.benchRow(e.pool, e.dir, o.documents, read, tell)
}

// benchRow reads small documents of a few kinds in a row. The slope is that of a straight line through the child's size in the second half.
func (p *program) benchRow(pool *engine.Pool, dir string, documents int, read func(string) (int, error), tell func(string, int)) error {
	book := sample.Default()
	book.Pages, book.Text = 1, true
	var pdf bytes.Buffer
	if err := sample.Write(&pdf, book); err != nil {
		return err
	}
	kinds := []struct{ name, body string }{
		{"a.html", "<h1>Harbour</h1><table border=1><tr><th>name<th>age<tr><td>Ann<td>3</table>" + strings.Repeat("<p>The harbour book, read by nobody.", 200)},
		{"a.md", "# Harbour\n\n" + strings.Repeat("- one\n- two\n\nThe harbour book.\n\n", 100)},
		{"a.csv", "name,age\n" + strings.Repeat("Ann,3\nBob,4\n", 500)},
		{"a.pdf", pdf.String()},
		{"a.txt", strings.Repeat("The harbour book.\n\n", 300)},
	}
	pages, step := 0, max(1, documents/100)
	var xs, ys []float64
	for i := range documents {
		k := kinds[i%len(kinds)]
		file := filepath.Join(dir, k.name)
		if i < len(kinds) {
			if err := os.WriteFile(file, []byte(k.body), 0o600); err != nil {
				return err
			}
		}
		n, err := read(file)
		if err != nil {
			return fmt.Errorf("document %d: %w", i+1, err)
		}
		if pages += n; i >= documents/2 && i%step == 0 {
			xs, ys = append(xs, float64(i)/1000), append(ys, float64(engineMemory(pool, "VmRSS:"))/(1<<20))
		}
	}
	tell(fmt.Sprintf("%d documents in a row", documents), pages)
	fmt.Fprintf(p.stdout, "the child grows by %.2f MiB for 1,000 documents\n", slope(xs, ys))
	return nil
}

// slope is that of the straight line nearest to the points, by least squares.
func slope(xs, ys []float64) float64 {
	var mx, my, xy, xx float64
	for i := range xs {
		mx, my = mx+xs[i]/float64(len(xs)), my+ys[i]/float64(len(xs))
	}
	for i := range xs {
		xy, xx = xy+(xs[i]-mx)*(ys[i]-my), xx+(xs[i]-mx)*(xs[i]-mx)
	}
	if xx == 0 {
		return 0
	}
	return xy / xx
}

func mebibytes(n int64) string { return fmt.Sprintf("%4d MiB", n>>20) }

// engineMemory is a size of the largest child of a pool, in bytes.
func engineMemory(pool *engine.Pool, field string) (most int64) {
	for _, pid := range pool.PIDs() {
		most = max(most, memoryOf(pid, field))
	}
	return most
}

// memoryOf reads a size of a process from what the kernel says of it, in bytes; 0 where it says nothing.
func memoryOf(pid int, field string) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		var kb int64
		if v, ok := strings.CutPrefix(line, field); ok {
			if _, err := fmt.Sscan(v, &kb); err == nil {
				return kb << 10
			}
		}
	}
	return 0
}
