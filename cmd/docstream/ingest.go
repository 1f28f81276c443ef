package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"docstream/producers/replay"
)

// ingestFlags are how an ingestion is made.
type ingestFlags struct {
	submission
	rate, label string
	perSecond   float64
	parallel    int
	detach, dry bool
}

func (p *program) ingestCommand() *cobra.Command {
	var o ingestFlags
	c := &cobra.Command{Use: "ingest PATH|s3://BUCKET/PREFIX|MANIFEST.jsonl...", Short: "Submit folders, buckets and lists of documents, and follow them to their end", Args: cobra.MinimumNArgs(1),
		Long: "Submit every file of a folder, every object below a prefix of a bucket, or every line of a manifest, at low priority, and follow them\n" +
			"to their end. The same command again goes on where it was stopped: a document that was submitted is never submitted twice, unless its\n" +
			"bytes, its place, or what is asked for have changed, or --as names another ingestion.\n\n" +
			"A line of a manifest is {\"path\": …}, {\"url\": …} or {\"s3\": \"s3://bucket/key\"}, with custom_id, filename and metadata where wanted;\n" +
			"custom_id stands in the metadata of the job. Objects are read by the workers, from buckets the operator registered; listing them takes\n" +
			"objects.* of the configuration. Hidden files and links are left out.\n" + exitHelp,
		RunE: func(c *cobra.Command, sources []string) error {
			if o.rate != "" {
				n, err := replay.ParseRate(o.rate)
				if err != nil {
					return fail(exitUsage, "--rate reads like 20/s, 600/m or 10000/h, is %q", o.rate)
				}
				o.perSecond = n
			}
			if o.parallel < 1 || o.parallel > 64 {
				return fail(exitUsage, "--parallel is a number from 1 to 64")
			}
			return p.ingest(c.Context(), sources, o)
		}}
	f := c.Flags()
	f.StringVar(&o.rate, "rate", "", "submissions, at most: 20/s, 600/m or 10000/h")
	f.IntVar(&o.parallel, "parallel", 4, "documents that are sent at once")
	f.StringVar(&o.label, "as", "", "name of the ingestion: under another name all is submitted again")
	f.StringVar(&o.priority, "priority", "low", "high, normal or low")
	f.StringVar(&o.formats, "formats", "", "formats to compose, parted by commas; all where it is left out")
	f.StringVar(&o.ocr, "ocr", "", "auto, force or off")
	f.StringVar(&o.pages, "pages", "", "pages to read of each, such as 1-3,7")
	f.BoolVar(&o.detach, "detach", false, "do not wait for the ends")
	f.BoolVar(&o.dry, "dry-run", false, "submit nothing: say how many documents, pages and dollars it would be, as far as it can be known")
	return c
}

// ingest counts, so that the end can be foreseen and a manifest with a mistake submits nothing; then it sends.
func (p *program) ingest(ctx context.Context, sources []string, o ingestFlags) error {
	c, err := p.client()
	if err != nil {
		return err
	}
	c.insist = 10 * time.Minute
	t := &counts{Statuses: map[string]int{}, began: time.Now(), detached: o.detach, page: -1}
	if err := p.each(ctx, sources, func(item) error { t.Documents++; return nil }); err != nil {
		return err
	}
	i := &ingestion{client: c, flags: o, tally: t, window: make(chan struct{}, windowJobs), way: map[string][]string{}}
	if i.tenant, t.page, err = c.ask(ctx); err != nil {
		return err
	}
	shown := p.watch(t)
	err = i.run(ctx, func(ctx context.Context, do func(item) error) error { return p.each(ctx, sources, do) })
	shown()
	t.Seconds = time.Since(t.began).Seconds()
	if said := p.sum(t, o.dry); said != nil {
		return said
	}
	if err != nil {
		return err
	}
	return t.outcome()
}

// watch shows a tally until the returned function is called: to a person as a bar that moves, and each failure as a line.
func (p *program) watch(t *counts) (stop func()) {
	live := terminal(p.stderr) && !p.json
	colour := live && p.getenv("NO_COLOR") == "" && p.getenv("TERM") != "dumb"
	clear := ""
	if live {
		clear = fmt.Sprintf("\r%79s\r", "")
	}
	t.failed = func(name, why string) {
		if !p.json {
			fmt.Fprintf(p.stderr, "%sdocstream: %s: %s\n", clear, name, strings.Join(strings.Fields(why), " "))
		}
	}
	if !live {
		return func() {}
	}
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for tick := time.NewTicker(200 * time.Millisecond); ; {
			t.mu.Lock()
			fmt.Fprintf(p.stderr, "\r%-79s", t.line(time.Now(), colour))
			t.mu.Unlock()
			select {
			case <-tick.C:
			case <-done:
				tick.Stop()
				fmt.Fprintln(p.stderr)
				return
			}
		}
	}()
	return func() { close(done); <-gone }
}

// counts is what became of the documents of an ingestion.
type counts struct {
	mu       sync.Mutex
	began    time.Time
	detached bool
	page     float64                // what a page has cost lately; below 0: nobody knows
	failed   func(name, why string) // told of every document that failed, under mu

	Documents int            `json:"documents"`
	Submitted int            `json:"submitted"` // by this command
	Known     int            `json:"known"`     // submitted before
	Refused   int            `json:"refused"`
	Foreseen  int            `json:"foreseen,omitempty"` // in a dry run
	Unknown   int            `json:"unknown,omitempty"`  // of those: documents whose pages only opening them would tell
	Statuses  map[string]int `json:"statuses"`           // ended, by status
	Pages     int            `json:"pages"`
	Bytes     int64          `json:"bytes,omitempty"`
	Cost      *int64         `json:"cost_nano_dollars,omitempty"`
	Seconds   float64        `json:"seconds"`
}

func (t *counts) know() { t.mu.Lock(); t.Known++; t.mu.Unlock() }
func (t *counts) sent() { t.mu.Lock(); t.Submitted++; t.mu.Unlock() }

// end counts a job that has ended, or was deleted.
func (t *counts) end(name string, j job) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Statuses[j.Status]++
	t.Pages += j.Progress.PagesDone
	if err := j.outcome(); j.Status != "deleted" && err != nil {
		t.failed(name, err.Error())
	}
}

// foreseen counts a document of a dry run.
func (t *counts) foreseen(bytes int64, pages *int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Foreseen++
	t.Bytes += bytes
	if pages == nil {
		t.Unknown++
		return
	}
	t.Pages += *pages
}

// refuse counts a document that was not taken, and returns an error only where no other would be taken either.
func (t *counts) refuse(name string, err error) error {
	var said refused
	var e exit
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &said) && (said.code == "SOURCE_FORBIDDEN" || said.code == "URL_BLOCKED"):
	case errors.As(err, &said) && slices.Contains([]int{401, 403, 429, 502, 503, 504}, said.status), !errors.As(err, &said) && errors.As(err, &e) && e.code == exitUnreachable:
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Refused++
	t.failed(name, err.Error())
	return nil
}

// line is the bar: how many of how many, how fast, how long yet, and what went wrong.
func (t *counts) line(now time.Time, colour bool) string {
	done, bad := t.Refused+t.Foreseen, t.Refused
	for status, n := range t.Statuses {
		if done += n; status != "completed" && status != "partial" && status != "deleted" {
			bad += n
		}
	}
	if t.detached {
		done = t.Refused + t.Submitted + t.Known
	}
	full := 0
	if t.Documents > 0 {
		full = min(barWidth, barWidth*done/t.Documents)
	}
	line := fmt.Sprintf("[%s%s] %d/%d", strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), done, t.Documents)
	if fresh, took := done-t.Known, now.Sub(t.began).Seconds(); fresh > 0 && took > 0 {
		rate := float64(fresh) / took
		line += fmt.Sprintf(" %.1f/s", rate)
		if left := t.Documents - done; left > 0 {
			line += " " + time.Duration(float64(left)/rate*float64(time.Second)).Round(time.Second).String() + " left"
		}
	}
	if bad > 0 {
		text := strconv.Itoa(bad) + " failed"
		if colour {
			text = "\x1b[31m" + text + "\x1b[0m"
		}
		line += " " + text
	}
	return line
}

// sum prints what became of all.
func (p *program) sum(t *counts, dry bool) error {
	if dry && t.page >= 0 {
		cost := int64(t.page * float64(t.Pages))
		t.Cost = &cost
	}
	if p.json {
		return p.print(t)
	}
	var parts []string
	for _, status := range []string{"completed", "partial", "failed", "cancelled", "expired", "deleted"} {
		if n := t.Statuses[status]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, status))
		}
	}
	if t.Refused > 0 {
		parts = append(parts, fmt.Sprintf("%d refused", t.Refused))
	}
	if n := t.open(); n > 0 {
		parts = append(parts, fmt.Sprintf("%d not ended", n))
	}
	text := fmt.Sprintf("%d documents: %s; %d submitted now, %d before; %d pages in %.1f s", t.Documents, strings.Join(parts, ", "), t.Submitted, t.Known, t.Pages, t.Seconds)
	if dry {
		text = fmt.Sprintf("%d documents, %d bytes: %d pages, and the pages of %d documents that only opening them would tell; %d refused", t.Documents, t.Bytes, t.Pages, t.Unknown, t.Refused)
		if t.Cost != nil {
			text += fmt.Sprintf("; %.4f USD for the known pages at what a page has cost in the last 30 days", float64(*t.Cost)/1e9)
		} else {
			text += "; what a page costs is known after the first"
		}
	}
	_, err := fmt.Fprintln(p.stdout, text)
	return err
}

// open counts the documents whose end was not seen.
func (t *counts) open() int {
	n := t.Documents - t.Refused
	for _, ended := range t.Statuses {
		n -= ended
	}
	return n
}

// outcome is the error of an ingestion of which not all was completed: the worst decides.
func (t *counts) outcome() error {
	failed := t.Refused + t.Statuses["failed"] + t.Statuses["cancelled"] + t.Statuses["expired"]
	switch {
	case failed > 0:
		return fail(exitFailed, "%d of %d documents were not read", failed, t.Documents)
	case t.Statuses["partial"] > 0:
		return fail(exitPartial, "%d of %d documents are partial", t.Statuses["partial"], t.Documents)
	}
	return nil
}
