package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"docstream/internal/pause"
)

// batch is what the API says of a batch.
type batch struct {
	BatchID    string           `json:"batch_id"`
	Status     string           `json:"status"`
	Cancelling bool             `json:"cancelling"`
	Items      int64            `json:"items"`
	Counts     map[string]int64 `json:"counts"`
	Percent    float64          `json:"percent"`
	WaitingFor string           `json:"waiting_for"`

	raw json.RawMessage // the answer as it came
}

// batchItem is what the API says of an item of a batch.
type batchItem struct {
	Item     int    `json:"item"`
	CustomID string `json:"custom_id"`
	Status   string `json:"status"`
	JobID    string `json:"job_id"`
	Error    *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

func (p *program) batchCommand() *cobra.Command {
	c := &cobra.Command{Use: "batch", Short: "Hand in up to 10,000 documents at once, and see what becomes of them", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fail(exitUsage, "say batch create, batch status, batch items or batch cancel")
		}}
	c.AddCommand(p.batchCreateCommand(), p.batchStatusCommand(), p.batchItemsCommand(),
		&cobra.Command{Use: "cancel BATCH", Short: "Submit no more items of a batch, and cancel the jobs under way", Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				return p.withBatch(c.Context(), http.MethodPost, args[0], "/cancel", func(b batch) error { return p.showBatch(b) })
			}})
	return c
}

// batchFlags are how a batch is created.
type batchFlags struct {
	key, priority, formats, ocr, pages string
	wait                               bool
}

func (p *program) batchCreateCommand() *cobra.Command {
	var o batchFlags
	c := &cobra.Command{Use: "create FILE.jsonl|FILE.zip|s3://BUCKET/PREFIX", Short: "Hand in a batch and print its id", Args: cobra.ExactArgs(1),
		Long: "Hand in the documents of a batch: each line of a .jsonl has a custom_id of its own and one source (base64, url, s3 or upload), with options\n" +
			"where wanted; each file of a .zip is one document; or every object below a prefix of a bucket that the operator registered. With --wait,\n" +
			"follow the batch to its end.\n" + exitHelp,
		RunE: func(c *cobra.Command, args []string) error { return p.createBatch(c.Context(), args[0], o) }}
	f := c.Flags()
	f.BoolVar(&o.wait, "wait", false, "follow the batch to its end")
	f.StringVar(&o.key, "key", "", "Idempotency-Key: the same batch under the same key is created once")
	f.StringVar(&o.priority, "priority", "", "high, normal or low, of the items that say nothing else, as the other options")
	f.StringVar(&o.formats, "formats", "", "formats to compose, parted by commas; all where it is left out")
	f.StringVar(&o.ocr, "ocr", "", "auto, force or off")
	f.StringVar(&o.pages, "pages", "", "pages to read of each, such as 1-3,7")
	return c
}

func (p *program) batchStatusCommand() *cobra.Command {
	return &cobra.Command{Use: "status BATCH", Short: "Say how far a batch is", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return p.withBatch(c.Context(), http.MethodGet, args[0], "", p.showBatch)
		}}
}

func (p *program) batchItemsCommand() *cobra.Command {
	var status string
	c := &cobra.Command{Use: "items BATCH", Short: "List the items of a batch, in their order", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return p.listItems(c.Context(), args[0], status) }}
	c.Flags().StringVar(&status, "status", "", "only items that stand so: waiting, refused, or as a job does")
	return c
}

// createBatch hands a batch in. One Idempotency-Key covers all tries, so that a retry after a lost answer is no second batch.
func (p *program) createBatch(ctx context.Context, from string, o batchFlags) error {
	kind, open, err := batchBody(from)
	if err != nil {
		return err
	}
	c, err := p.client()
	if err != nil {
		return err
	}
	query := url.Values{}
	for name, value := range map[string]string{"priority": o.priority, "output_formats": o.formats, "ocr": o.ocr, "pages": o.pages} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if o.key == "" {
		o.key = rand.Text()
	}
	var b batch
	err = c.do(ctx, func() (*http.Request, error) {
		body, size, err := open()
		if err != nil {
			return nil, err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/api/v1/batches?"+query.Encode(), body)
		if err != nil {
			return nil, err
		}
		r.ContentLength = size
		r.Header.Set("Content-Type", kind)
		r.Header.Set("Idempotency-Key", o.key)
		return r, nil
	}, b.read)
	if err != nil {
		return err
	}
	if !o.wait {
		if p.json {
			return p.showBatch(b)
		}
		_, err := fmt.Fprintln(p.stdout, b.BatchID)
		return err
	}
	return p.followBatch(ctx, c, b)
}

// batchBody is the media type of what a batch is made of, and what opens it anew for each try.
func batchBody(from string) (kind string, open func() (io.ReadCloser, int64, error), err error) {
	if rest, ok := strings.CutPrefix(from, "s3://"); ok {
		bucket, prefix, _ := strings.Cut(rest, "/")
		text, err := json.Marshal(map[string]any{"s3": map[string]string{"bucket": bucket, "prefix": prefix}})
		return "application/json", func() (io.ReadCloser, int64, error) {
			return io.NopCloser(bytes.NewReader(text)), int64(len(text)), nil
		}, err
	}
	switch {
	case strings.HasSuffix(strings.ToLower(from), ".zip"):
		kind = "application/zip"
	case strings.HasSuffix(strings.ToLower(from), ".jsonl"):
		kind = "application/jsonl"
	default:
		return "", nil, fail(exitUsage, "a batch is a .jsonl, a .zip or s3://BUCKET/PREFIX, not %s", from)
	}
	return kind, func() (io.ReadCloser, int64, error) {
		f, err := os.Open(from)
		if err != nil {
			return nil, 0, err
		}
		info, err := f.Stat()
		if err != nil {
			return nil, 0, err
		}
		return f, info.Size(), nil
	}, nil
}

// followBatch shows how far a batch is until it has ended. The error says what did not become a whole result.
func (p *program) followBatch(ctx context.Context, c *client, b batch) error {
	watched := terminal(p.stderr) && !p.json
	for id := b.BatchID; b.Status == "running"; {
		if watched {
			fmt.Fprintf(p.stderr, "\r%-79s", b.line())
		}
		if !pause.For(ctx, time.Second) {
			return ctx.Err()
		}
		if err := c.do(ctx, c.get(ctx, "/api/v1/batches/"+url.PathEscape(id), nil), b.read); err != nil {
			return err
		}
	}
	if watched {
		fmt.Fprintln(p.stderr)
	}
	if err := p.showBatch(b); err != nil {
		return err
	}
	return b.outcome()
}

// outcome is the error of a batch of which not everything was read.
func (b batch) outcome() error {
	lost := b.Counts["failed"] + b.Counts["refused"] + b.Counts["cancelled"] + b.Counts["expired"]
	switch {
	case lost > 0:
		return fail(exitFailed, "%d of %d items were not read: docstream batch items %s", lost, b.Items, b.BatchID)
	case b.Counts["partial"] > 0:
		return fail(exitPartial, "%d of %d items lack pages", b.Counts["partial"], b.Items)
	}
	return nil
}

// withBatch makes a request about a batch and shows what came.
func (p *program) withBatch(ctx context.Context, method, id, rest string, do func(batch) error) error {
	c, err := p.client()
	if err != nil {
		return err
	}
	var b batch
	err = c.do(ctx, func() (*http.Request, error) {
		return http.NewRequestWithContext(ctx, method, c.base+"/api/v1/batches/"+url.PathEscape(id)+rest, nil)
	}, b.read)
	if err != nil {
		return err
	}
	return do(b)
}

func (b *batch) read(r io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(r, 8<<20))
	if err != nil {
		return err
	}
	*b = batch{raw: text}
	return json.Unmarshal(text, b)
}

func (p *program) showBatch(b batch) error {
	if p.json {
		return p.print(b.raw)
	}
	_, err := fmt.Fprintln(p.stdout, b.line())
	return err
}

// line describes a batch in one line.
func (b batch) line() string {
	status := b.Status
	if b.Cancelling {
		status = "cancelling"
	}
	text := fmt.Sprintf("%s  %s  %s %%  %d items", b.BatchID, status, strconv.FormatFloat(b.Percent, 'f', -1, 64), b.Items)
	var names []string
	for name, n := range b.Counts {
		if n > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for i, name := range names {
		text += map[bool]string{true: ": ", false: ", "}[i == 0] + strconv.FormatInt(b.Counts[name], 10) + " " + name
	}
	if b.WaitingFor != "" {
		text += "  waits: " + b.WaitingFor
	}
	return text
}

// listItems prints the items of a batch, page by page.
func (p *program) listItems(ctx context.Context, id, status string) error {
	c, err := p.client()
	if err != nil {
		return err
	}
	query, all := url.Values{"limit": {"100"}}, []json.RawMessage{}
	if status != "" {
		query.Set("status", status)
	}
	for {
		var page struct {
			Items []json.RawMessage
			Next  string `json:"next_cursor"`
		}
		err := c.do(ctx, c.get(ctx, "/api/v1/batches/"+url.PathEscape(id)+"/items", query), func(r io.Reader) error { return json.NewDecoder(r).Decode(&page) })
		if err != nil {
			return err
		}
		for _, raw := range page.Items {
			if p.json {
				all = append(all, raw)
				continue
			}
			if err := p.showItem(raw); err != nil {
				return err
			}
		}
		if page.Next == "" {
			break
		}
		query.Set("cursor", page.Next)
	}
	if p.json {
		return p.print(all)
	}
	return nil
}

func (p *program) showItem(raw json.RawMessage) error {
	var i batchItem
	if err := json.Unmarshal(raw, &i); err != nil {
		return err
	}
	text := i.CustomID + "  " + i.Status
	if i.JobID != "" {
		text += "  " + i.JobID
	}
	if i.Error != nil {
		text += "  " + i.Error.Message + " (" + i.Error.Code + ")"
	}
	_, err := fmt.Fprintln(p.stdout, text)
	return err
}
