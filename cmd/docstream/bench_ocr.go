package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"image"
	_ "image/jpeg" // samples
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	_ "golang.org/x/image/tiff" // samples

	"docstream/internal/telemetry"
	"docstream/ops/bench/paper"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/pdf"
	"docstream/schemas/document"
)

// paperOptions are the flags of the comparison of readers.
type paperOptions struct {
	keep       string   // folder of pages and raw results
	each       int      // pages of a PDF at most, evenly spread
	conditions []string // in which each page is read
	ours       []string // name:key=value,key=value
	python     string   // of the environment that has the peer; empty: no peer but tesseract
	peers      []string
	during     time.Duration // no sheet is begun after it; 0: until all are read
	table      bool          // read nothing
}

// paperDPI is the resolution of the pages.
const paperDPI = 150

func (p *program) benchOCRCommand() *cobra.Command {
	var o paperOptions
	c := &cobra.Command{Use: "ocr FILE...", Short: "Compare our reading of pages with other readers'", Args: cobra.MinimumNArgs(1),
		Long: "Render pages of text PDFs (and images that have a transcript NAME.txt in expected beside them), make them worse by rule and\n" +
			"fixed seed, have every reader read every page in turn, and print CPU seconds a page, word F1 and character error rate for\n" +
			"each condition with the paired bootstrap of the differences. Raw results stay in the folder that --keep names: a run that was\n" +
			"stopped goes on where it was, whatever --during let it do at a time, and --table prints what has been measured so far. Only\n" +
			"pages that all readers have read count; they come from each FILE in turn, so that a part of a run is of all of them.",
		RunE: func(c *cobra.Command, files []string) error { return p.benchOCR(c.Context(), files, o) }}
	f := c.Flags()
	f.StringVar(&o.keep, "keep", "", "folder of the pages and of results.jsonl; a result of the same reader that is there is not measured again")
	f.DurationVar(&o.during, "during", 0, "begin no page after this time; 0: read all")
	f.BoolVar(&o.table, "table", false, "read nothing, and print the table of what is kept")
	f.IntVar(&o.each, "each", 8, "pages of one PDF at most")
	f.StringSliceVar(&o.conditions, "conditions", paper.Conditions, "conditions of the pages")
	f.StringArrayVar(&o.ours, "ours", []string{"fast:models.profile=fast", "accurate:models.profile=accurate"}, "our configurations, NAME:KEY=VALUE,…")
	f.StringSliceVar(&o.peers, "peers", []string{"tesseract", "rapidocr-small", "rapidocr-tiny", "faster-paddle-tiny", "faster-paddle-small"}, "readers beside ours")
	f.StringVar(&o.python, "python", "", "Python of the environment that rapidocr and faster-paddle lie in")
	_ = c.MarkFlagRequired("keep")
	return c
}

// sheet is one page in one condition.
type sheet struct {
	name      string // of the page, without the condition
	condition string
	path      string // of its PNG
	truth     string
}

func (s sheet) key() string { return s.name + "." + s.condition }

// benchOCR makes the pages, has them read in turn and prints the table.
func (p *program) benchOCR(ctx context.Context, files []string, o paperOptions) error {
	if err := os.MkdirAll(o.keep, 0o755); err != nil {
		return err
	}
	sheets, err := p.sheets(files, o)
	if err != nil {
		return err
	}
	cfg, err := p.config()
	if err != nil {
		return err
	}
	readers, err := p.readers(cfg, o)
	defer func() {
		for _, r := range readers {
			r.close()
		}
	}()
	if err != nil {
		return err
	}
	path := filepath.Join(o.keep, "results.jsonl")
	results, err := keptResults(path)
	if err != nil {
		return err
	}
	if !o.table {
		if err := readAll(ctx, sheets, readers, results, path, o.during); err != nil {
			return err
		}
	}
	return writePaper(p.stdout, sheets, readers, results, o.conditions)
}

// readers returns ours and the peers; where nothing is to be read none of them is started.
func (p *program) readers(cfg Config, o paperOptions) (all []paperReader, err error) {
	log := telemetry.NewLogger(p.stderr, "error", slog.String("role", "bench"))
	for _, mine := range o.ours {
		name, set, _ := strings.Cut(mine, ":")
		overrides := []string{"engine.slots=1", "engine.max_documents=1000000", "engine.max_pages=1000000"}
		if set != "" {
			overrides = append(overrides, strings.Split(set, ",")...)
		}
		c, err := p.config(overrides...)
		if err != nil {
			return all, err
		}
		r := &ownReader{name: name, cfg: c}
		if !o.table {
			if err := usable(c.Models, native); err != nil {
				return all, err
			}
			if r.pool, err = p.pool(&wiring{cfg: c, log: log, reg: prometheus.NewRegistry()}, native); err != nil {
				return all, err
			}
		}
		all = append(all, r)
	}
	for _, name := range o.peers {
		if o.table {
			all = append(all, &talker{name: name})
			continue
		}
		r, err := newPeer(name, o.python, cfg.Models.Folder())
		if err != nil {
			return all, err
		}
		all = append(all, r)
	}
	return all, nil
}

// sheets renders and degrades what is not there yet: the first page of every file, then the second ones.
func (p *program) sheets(files []string, o paperOptions) (out []sheet, err error) {
	format := pdf.New("", nil)
	defer format.Close()
	all, most := make([][]cleanPage, len(files)), 0
	for i, file := range files {
		if all[i], err = clean(format, file, o.each); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		most = max(most, len(all[i]))
	}
	for n := range most {
		for _, pages := range all {
			if n >= len(pages) {
				continue
			}
			page := pages[n]
			if err := os.WriteFile(filepath.Join(o.keep, page.name+".txt"), []byte(page.truth), 0o644); err != nil {
				return nil, err
			}
			for _, c := range o.conditions {
				s := sheet{page.name, c, filepath.Join(o.keep, page.name+"."+c+".png"), page.truth}
				out = append(out, s)
				if err := s.draw(page.image); err != nil {
					return nil, err
				}
			}
		}
	}
	return out, nil
}

// draw writes the page in its condition; the seed is the page's name.
func (s sheet) draw(im *image.Gray) error {
	if _, err := os.Stat(s.path); err == nil {
		return nil
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.key()))
	worse, err := paper.Degrade(im, s.condition, h.Sum64())
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := png.Encode(&b, worse); err != nil {
		return err
	}
	return os.WriteFile(s.path, b.Bytes(), 0o644)
}

// cleanPage is a page as it was rendered, with what it says.
type cleanPage struct {
	name  string
	image *image.Gray
	truth string
}

// clean returns pages of a PDF that have a text layer, evenly spread, or an image with its transcript.
func clean(format *pdf.Format, file string, each int) ([]cleanPage, error) {
	name := strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	if filepath.Ext(file) != ".pdf" {
		truth, err := os.ReadFile(filepath.Join(filepath.Dir(file), "expected", name+".txt"))
		if err != nil {
			return nil, err
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		im, _, err := image.Decode(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		return []cleanPage{{name, paper.Grey(im), string(truth)}}, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	d, err := format.Open(f, info.Size(), "", formats.Limits{Pages: 10000, Side: 10000, Pixels: 100e6})
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var out []cleanPage
	step := max(1, d.Pages()/each)
	for n := 1; n <= d.Pages() && len(out) < each; n += step {
		text, err := d.Read(n, formats.Want{OCR: formats.Auto, DPI: paperDPI, Side: 10000})
		if err != nil {
			return nil, err
		}
		if text.Text == nil || len(strings.Fields(plain(text.Text))) < 40 {
			continue
		}
		drawn, err := d.Read(n, formats.Want{OCR: formats.Force, DPI: paperDPI, Side: 10000})
		if err != nil || drawn.Image == nil {
			return nil, fmt.Errorf("page %d has no image: %w", n, err)
		}
		im, err := png.Decode(bytes.NewReader(drawn.Image.PNG))
		if err != nil {
			return nil, err
		}
		out = append(out, cleanPage{fmt.Sprintf("%s-%03d", name, n), paper.Grey(im), plain(text.Text)})
	}
	return out, nil
}

// plain is a page's text line by line as it is printed: nothing joined or mended.
func plain(p *document.Page) string {
	var b strings.Builder
	for _, block := range p.Blocks {
		for _, l := range block.Lines {
			b.WriteString(l.Text + "\n")
		}
		if len(block.Lines) == 0 {
			b.WriteString(block.Text + "\n")
		}
		if block.Table == nil {
			continue
		}
		for _, c := range block.Table.Cells {
			b.WriteString(c.Text + "\n")
		}
	}
	return b.String()
}

// readAll has every reader read every page, the readers in turn and each page beginning with another one. A result is kept as soon as it
// is there.
func readAll(ctx context.Context, sheets []sheet, readers []paperReader, results map[string]paperResult, path string, during time.Duration) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	raw, began := json.NewEncoder(f), time.Now()
	for i, s := range sheets {
		if during > 0 && time.Since(began) > during {
			return nil
		}
		for k := range readers {
			r := readers[(i+k)%len(readers)]
			if hasRead(results, r, s) {
				continue
			}
			text, cpu, err := r.read(ctx, s.path)
			if err != nil {
				return fmt.Errorf("%s reads %s: %w", r.label(), s.key(), err)
			}
			one := paperResult{Reader: r.label(), Version: r.version(), Page: s.name, Condition: s.condition, CPU: cpu.Seconds(),
				Score: paper.Compare(text, s.truth), Text: text}
			results[r.label()+" "+s.key()] = one
			if err := raw.Encode(one); err != nil {
				return err
			}
		}
	}
	return nil
}
