package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// outputs are the result formats.
var outputs = []string{"markdown", "json", "html", "csv", "text"}

func (p *program) submitCommand() *cobra.Command {
	var s submission
	var wait bool
	var format string
	var deadline time.Duration
	c := &cobra.Command{Use: "submit FILE...", Short: "Submit documents; with --wait, follow them and print the result", Args: cobra.MinimumNArgs(1),
		Long: "Submit documents and print their job ids. With --wait (or -o), follow each to its end and print its result.\n" + exitHelp,
		RunE: func(c *cobra.Command, files []string) error {
			if err := oneOf("-o", format, outputs); err != nil {
				return err
			}
			if c.Flags().Changed("deadline") {
				s.deadline = strconv.Itoa(int(deadline.Seconds()))
			}
			if wait || c.Flags().Changed("output") {
				s.formats = union(s.formats, format)
			}
			return p.submit(c.Context(), files, s, wait || c.Flags().Changed("output"), format)
		}}
	f := c.Flags()
	f.BoolVar(&wait, "wait", false, "wait for the end and print the result")
	f.StringVarP(&format, "output", "o", "markdown", "result to print: "+strings.Join(outputs, ", ")+"; implies --wait")
	f.StringVar(&s.priority, "priority", "", "high, normal or low")
	f.StringVar(&s.ocr, "ocr", "", "auto, force or off")
	f.StringVar(&s.pages, "pages", "", "pages to read, such as 1-3,7")
	f.StringVar(&s.languages, "languages", "", "languages of the document as codes, parted by commas; reading needs none")
	f.StringVar(&s.tables, "tables", "", "on or off: off writes tables as lines of text")
	f.StringVar(&s.figures, "figures", "", "on or off: off leaves figures out")
	f.StringVar(&s.dpi, "dpi", "", "pixels an inch of pages that are rendered for recognition: 50 to 400")
	f.StringVar(&s.maxPages, "max-pages", "", "refuse a document of more pages")
	f.StringVar(&s.formats, "formats", "", "formats to compose, parted by commas; all where it is left out")
	f.StringVar(&s.cache, "cache", "", "true or false: false reads the document even where it was read lately with the same options")
	f.DurationVar(&deadline, "deadline", 0, "end the job as expired unless it has ended within this, waiting included, such as 10m")
	f.StringVar(&s.metadata, "metadata", "", "JSON object kept with the job")
	return c
}

// submit sends every file and then, where asked, follows them in order. The worst outcome decides the exit code.
func (p *program) submit(ctx context.Context, files []string, s submission, wait bool, format string) error {
	c, err := p.client()
	if err != nil {
		return err
	}
	var worst error
	var jobs []job
	for _, file := range files {
		j, err := c.submit(ctx, file, s)
		if err != nil {
			if len(files) == 1 || ctx.Err() != nil {
				return err
			}
			fmt.Fprintf(p.stderr, "docstream: %s: %s\n", file, strings.Join(strings.Fields(err.Error()), " "))
			worst = worse(worst, err)
			continue
		}
		jobs = append(jobs, j)
		if !wait {
			if err := p.show(j, j.JobID); err != nil {
				return err
			}
		}
	}
	if !wait {
		return worst
	}
	for _, j := range jobs {
		last, err := c.follow(ctx, j.JobID, p.progress(j.JobID))
		if err != nil {
			return err
		}
		if last.Status == "completed" || last.Status == "partial" {
			if err := c.result(ctx, j.JobID, url.Values{"format": {format}}, p.stdout); err != nil {
				return err
			}
		}
		worst = worse(worst, last.outcome())
	}
	return worst
}

// follow polls a job until it ended, telling each answer to seen. It asks often at first and then twice a second.
func (c *client) follow(ctx context.Context, id string, seen func(job)) (job, error) {
	for wait := 50 * time.Millisecond; ; wait = min(wait*3/2, 500*time.Millisecond) {
		j, err := c.job(ctx, id)
		if err != nil {
			return j, err
		}
		seen(j)
		if ended(j.Status) {
			return j, nil
		}
		select {
		case <-ctx.Done():
			return j, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// show prints an answer of the API: as it came with --json, else as the given text.
func (p *program) show(j job, text string) error {
	if !p.json {
		_, err := fmt.Fprintln(p.stdout, text)
		return err
	}
	return p.print(json.RawMessage(j.raw))
}

// worse keeps the error that weighs more: a failure before a partial result before none.
func worse(a, b error) error {
	var x, y exit
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case errors.As(a, &x) && errors.As(b, &y) && x.code == exitPartial:
		return b
	}
	return a
}

func oneOf(name, value string, allowed []string) error {
	if value != "" && !slices.Contains(allowed, value) {
		return fail(exitUsage, "%s must be one of %s, is %q", name, strings.Join(allowed, ", "), value)
	}
	return nil
}

// union adds a format to a list parted by commas; an empty list stands for all and stays so.
func union(list, format string) string {
	if list == "" || slices.Contains(strings.Split(list, ","), format) {
		return list
	}
	return list + "," + format
}
