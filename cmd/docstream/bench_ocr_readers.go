package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"docstream/internal/engine"
	"docstream/ops/bench/paper"
	"docstream/processors/layout"
	"docstream/processors/ocr"
	"docstream/schemas"
	"docstream/schemas/document"
)

// paperReader reads a page image and says what CPU time that took.
type paperReader interface {
	label() string
	version() string // of ours: a result of another one is measured again
	read(ctx context.Context, path string) (string, time.Duration, error)
	close()
}

// paperResult is one line of the raw results.
type paperResult struct {
	Reader    string  `json:"reader"`
	Version   string  `json:"version,omitempty"`
	Page      string  `json:"page"`
	Condition string  `json:"condition"`
	CPU       float64 `json:"cpu_seconds"`
	paper.Score
	Text string `json:"text"`
}

func keptResults(path string) (map[string]paperResult, error) {
	out := map[string]paperResult{}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return out, nil
	}
	for d := json.NewDecoder(bytes.NewReader(b)); err == nil; {
		var r paperResult
		if err = d.Decode(&r); err == nil {
			out[r.Reader+" "+r.Page+"."+r.Condition] = r
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // a run that was stopped leaves half a line
	}
	return out, err
}

// hasRead reports whether a reader of today has read a sheet.
func hasRead(results map[string]paperResult, r paperReader, s sheet) bool {
	one, ok := results[r.label()+" "+s.key()]
	return ok && one.Version == r.version()
}

// ownReader is layout and reading in one child of the engine, as a worker does it.
type ownReader struct {
	name string
	cfg  Config
	pool *engine.Pool
}

func (r *ownReader) label() string { return r.name }

func (r *ownReader) close() {
	if r.pool != nil {
		r.pool.Close()
	}
}

// version tells the models, the stages and their settings apart, as the pipeline version does.
func (r *ownReader) version() string {
	return schemas.PipelineVersion(nil, append(slices.Sorted(maps.Values(r.cfg.Models.Digests())), r.cfg.Prepare.Versions...), nil)
}

func (r *ownReader) read(ctx context.Context, path string) (string, time.Duration, error) {
	slot, err := r.pool.Lease(ctx)
	if err != nil {
		return "", 0, err
	}
	defer slot.Release()
	b, err := os.ReadFile(path)
	if err != nil {
		return "", 0, err
	}
	fresh := slot.Fresh()
	for {
		text, cpu, err := r.page(ctx, slot, b)
		if !fresh || err != nil {
			return text, cpu, err
		}
		fresh = false // the first reading loads the models: read again
	}
}

func (r *ownReader) page(ctx context.Context, slot *engine.Slot, b []byte) (string, time.Duration, error) {
	var laid layout.Result
	u, err := slot.Call(ctx, layout.Method, layout.Request{Image: b, MaxPixels: r.cfg.Layout.MaxPixels}, &laid)
	if err != nil {
		return "", 0, err
	}
	var res ocr.Result
	v, err := slot.Call(ctx, ocr.Method, ocr.Request{Image: b, MaxPixels: r.cfg.OCR.MaxPixels, Reading: r.cfg.OCR.Reading, Number: 1, DPI: paperDPI,
		Regions: laid.Regions}, &res)
	if err != nil {
		return "", 0, err
	}
	var p document.Page
	if err := json.Unmarshal(res.JSON, &p); err != nil {
		return "", 0, err
	}
	return plain(&p), u.CPU + v.CPU, nil
}

// newPeer starts one of the readers beside ours.
func newPeer(name, python, models string) (paperReader, error) {
	if name == "tesseract" {
		path, err := exec.LookPath("tesseract")
		if err != nil {
			return nil, fail(exitUsage, "tesseract is missing (package tesseract-ocr on Debian); leave it out with --peers")
		}
		return tesseract{path}, nil
	}
	known := []string{"rapidocr-tiny", "rapidocr-small", "faster-paddle-tiny", "faster-paddle-small"}
	if !slices.Contains(known, name) || python == "" {
		return nil, fail(exitUsage, "peer %q: it must be tesseract, or with --python one of %s", name, strings.Join(known, ", "))
	}
	return newTalker(name, python, filepath.Join("ops", "bench", "peer.py"), models, name)
}

// newTalker starts a peer that reads paths and answers with JSON.
func newTalker(name, program string, args ...string) (*talker, error) {
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "OMP_NUM_THREADS=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &talker{name: name, cmd: cmd, in: in, out: bufio.NewReaderSize(out, 1<<20)}, nil
}

// tesseract is started for each page with one thread, in English.
type tesseract struct{ path string }

func (tesseract) label() string   { return "tesseract" }
func (tesseract) version() string { return "" }
func (tesseract) close()          {}

func (t tesseract) read(ctx context.Context, path string) (string, time.Duration, error) {
	cmd := exec.CommandContext(ctx, t.path, path, "-", "--dpi", fmt.Sprint(paperDPI))
	cmd.Env = append(os.Environ(), "OMP_THREAD_LIMIT=1")
	out, err := cmd.Output()
	if err != nil {
		return "", 0, err
	}
	return string(out), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// talker is a peer that stays up.
type talker struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	warm bool
}

func (t *talker) label() string { return t.name }

func (*talker) version() string { return "" }

func (t *talker) close() {
	if t.cmd == nil {
		return
	}
	_ = t.in.Close()
	_ = t.cmd.Wait()
}

func (t *talker) read(_ context.Context, path string) (string, time.Duration, error) {
	for {
		if _, err := fmt.Fprintln(t.in, path); err != nil {
			return "", 0, err
		}
		line, err := t.out.ReadBytes('\n')
		if err != nil {
			return "", 0, err
		}
		var said struct {
			Text string
			CPU  float64
		}
		if err := json.Unmarshal(line, &said); err != nil {
			return "", 0, err
		}
		if t.warm {
			return said.Text, time.Duration(said.CPU * float64(time.Second)), nil
		}
		t.warm = true // the first reading loads the models: read again
	}
}

// untrue reports whether every reader reads much more on a page than its truth has: parts of it are pictures of text that the text layer
// does not hold. The page is left out of the figures in all conditions.
func untrue(s sheet, readers []paperReader, results map[string]paperResult) bool {
	const more = 1.3
	known := false
	for _, r := range readers {
		one, ok := results[r.label()+" "+s.name+"."+paper.Clean]
		if !ok {
			continue
		}
		known = true
		if float64(one.Read) < more*float64(one.True) {
			return false
		}
	}
	return known
}

// writePaper prints a table for each condition and one for all, and what lies between our readers and the others.
func writePaper(w io.Writer, sheets []sheet, readers []paperReader, results map[string]paperResult, conditions []string) error {
	complete := slices.DeleteFunc(slices.Clone(sheets), func(s sheet) bool {
		return untrue(s, readers, results) || slices.ContainsFunc(readers, func(r paperReader) bool { return !hasRead(results, r, s) })
	})
	var b strings.Builder
	for _, c := range conditions {
		writeSheets(&b, c, slices.DeleteFunc(slices.Clone(complete), func(s sheet) bool { return s.condition != c }), readers, results)
	}
	if len(conditions) > 1 {
		writeSheets(&b, "all", complete, readers, results)
	}
	if len(complete) < len(sheets) {
		fmt.Fprintf(&b, "%d of %d sheets: the others are not read by all readers, or say more than their text layer\n", len(complete), len(sheets))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeSheets(b *strings.Builder, name string, sheets []sheet, readers []paperReader, results map[string]paperResult) {
	if len(sheets) == 0 {
		return
	}
	scores, sums, cpu := make([][]paper.Score, len(readers)), make([]paper.Score, len(readers)), make([]float64, len(readers))
	for k, r := range readers {
		for _, s := range sheets {
			one := results[r.label()+" "+s.key()]
			scores[k], sums[k], cpu[k] = append(scores[k], one.Score), sums[k].Add(one.Score), cpu[k]+one.CPU
		}
	}
	if len(readers) > 0 {
		fmt.Fprintf(b, "%s: %d sheets, %d words\n", name, len(sheets), sums[0].True)
	}
	for k, r := range readers {
		fmt.Fprintf(b, "  %-19s  %6.2f CPU s a page  F1 %.4f  CER %.4f", r.label(), cpu[k]/float64(len(sheets)), sums[k].F1(), sums[k].CER())
		if _, ours := r.(*ownReader); ours {
			for j, other := range readers {
				if _, mine := other.(*ownReader); !mine {
					d := paper.Bootstrap(scores[k], scores[j])
					fmt.Fprintf(b, "  F1 - %s's %+.4f [%+.4f, %+.4f]", other.label(), d.Mean, d.Low, d.High)
				}
			}
		}
		b.WriteString("\n")
	}
}
