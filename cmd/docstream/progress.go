package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
)

// barWidth is the number of places of a progress bar.
const barWidth = 30

// progress returns what shows a job's way, page by page, on a terminal; on anything else it shows nothing.
func (p *program) progress(name string) func(job) {
	if !terminal(p.stderr) || p.json {
		return func(job) {}
	}
	shown := ""
	return func(j job) {
		line := bar(j)
		if line != shown {
			fmt.Fprintf(p.stderr, "\r%-79s", name+" "+line)
			shown = line
		}
		if ended(j.Status) {
			fmt.Fprintln(p.stderr)
		}
	}
}

// bar draws the pages of a job.
func bar(j job) string {
	total, done := j.Progress.PagesTotal, j.Progress.PagesDone+j.Progress.PagesFailed
	if ended(j.Status) && j.Status != "failed" {
		done = max(done, total)
	}
	if total == 0 {
		return j.Status
	}
	full := min(barWidth, barWidth*done/total)
	return fmt.Sprintf("[%s%s] %d/%d %s", strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), done, total, j.Status)
}

// terminal reports whether a person is watching w.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
