package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"docstream/ops/bench"
	"docstream/ops/bench/pace"
)

// uploader submits documents of one size. It asks once: a refusal is a measurement.
type uploader struct {
	url, key, kind   string
	keyed            bool // each with an Idempotency-Key of its own
	head, page, tail []byte
	http             *http.Client
	sent, accepted   atomic.Int64
}

// uploadPatience bounds one upload.
const uploadPatience = 30 * time.Second

// newUploader prepares the body once; an upload adds a line that no other has.
func newUploader(d service, size int64, connections int) *uploader {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	_ = w.WriteField("priority", "low") // a buffer takes everything
	_ = w.WriteField("output_formats", "text")
	_ = w.WriteField("cache", "false")
	_, _ = w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="file"; filename="bench.txt"`}, "Content-Type": {"text/plain"}})
	cut := b.Len()
	_ = w.Close()
	return &uploader{
		url: d.API + "/api/v1/documents", key: d.APIKey, kind: w.FormDataContentType(),
		head: slices.Clone(b.Bytes()[:cut]), page: page(size - int64(len(unlike()))), tail: slices.Clone(b.Bytes()[cut:]),
		http: &http.Client{Timeout: uploadPatience, Transport: &http.Transport{MaxIdleConns: connections, MaxIdleConnsPerHost: connections}},
	}
}

// page is a short text that blank lines fill up to its size: nearly nothing to process.
func page(size int64) []byte {
	text := []byte("This document measures how fast documents are accepted.\n\n")
	blank := strings.Repeat(" ", 99) + "\n"
	for int64(len(text)) < size {
		text = append(text, blank...)
	}
	return text[:size]
}

// unlike is a line that no other document has. What is random does not stand at its start, where it could pass for the mark of a format.
func unlike() string { return "Document " + rand.Text() + "\n" }

// do uploads one document.
func (u *uploader) do(ctx context.Context) int {
	u.sent.Add(1)
	line := unlike()
	body := io.MultiReader(bytes.NewReader(u.head), strings.NewReader(line), bytes.NewReader(u.page), bytes.NewReader(u.tail))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.url, body)
	if err != nil {
		return 0
	}
	r.ContentLength = int64(len(u.head) + len(line) + len(u.page) + len(u.tail))
	r.Header.Set("Authorization", "Bearer "+u.key)
	r.Header.Set("Content-Type", u.kind)
	if u.keyed {
		r.Header.Set("Idempotency-Key", rand.Text())
	}
	r.Header.Set("User-Agent", "docstream/"+version)
	res, err := u.http.Do(r)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0
	}
	if res.StatusCode == http.StatusAccepted {
		u.accepted.Add(1)
	}
	return res.StatusCode
}

// countedJobs bounds how far pending jobs are counted.
const countedJobs = 100_000

// pending counts the jobs of the service that have not ended.
func (m *submitMeasure) pending(ctx context.Context) (int, error) {
	n := 0
	for _, status := range []string{"pending", "processing"} {
		query := url.Values{"status": {status}, "limit": {"100"}}
		for n < countedJobs {
			var page struct {
				Jobs []struct {
					JobID string `json:"job_id"`
				} `json:"jobs"`
				Next string `json:"next_cursor"`
			}
			err := m.client.do(ctx, m.client.get(ctx, "/api/v1/jobs", query), func(r io.Reader) error { return json.NewDecoder(r).Decode(&page) })
			if err != nil {
				return n, err
			}
			n += len(page.Jobs)
			if page.Next == "" {
				break
			}
			query.Set("cursor", page.Next)
		}
	}
	return n, nil
}

// drained waits until no job is left, or as long as --drain says: what is left then is measured along, and printed.
func (m *submitMeasure) drained(ctx context.Context) error {
	for end, said := time.Now().Add(m.drain), 0; ; {
		n, err := m.pending(ctx)
		if err != nil {
			return err
		}
		m.report.Left = n
		if n == 0 || time.Now().After(end) {
			return nil
		}
		if said == 0 || n < said*3/4 {
			m.say("waiting for %d jobs to end", n)
			said = n
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(time.Duration(max(n, 100))*5*time.Millisecond, 10*time.Second)): // counting costs something too
		}
	}
}

// A feeder keeps the OCR busy: so many documents are on their way at any time, each of so many scanned pages.
const (
	fedDocuments = 4
	fedPages     = 6
)

// feed starts the feeder and returns once the OCR reads pages; stop lets the documents on their way end.
func (m *submitMeasure) feed(ctx context.Context) (stop func() error, err error) {
	feeding, cancel := context.WithCancel(ctx)
	g, gctx := errgroup.WithContext(ctx)
	reading, ready := make(chan struct{}), atomic.Bool{}
	g.Go(func() error {
		return m.withDocuments(nil, fedPages, func(files []string) error {
			var docs errgroup.Group
			for range fedDocuments {
				docs.Go(func() error {
					for feeding.Err() == nil {
						if err := m.fed(gctx, files[0], func(j job) {
							if j.Progress.PagesDone > 0 && ready.CompareAndSwap(false, true) {
								close(reading)
							}
						}); err != nil {
							return err
						}
					}
					return nil
				})
			}
			return docs.Wait()
		})
	})
	stop = func() error { cancel(); return g.Wait() }
	select {
	case <-reading:
		return stop, nil
	case <-gctx.Done():
		return nil, errors.Join(errors.New("the OCR has nothing to read"), stop())
	case <-time.After(2 * time.Minute):
		return nil, errors.Join(errors.New("the OCR has read no page within two minutes"), stop())
	}
}

// fed submits one scanned document and follows it to its end, asking rarely.
func (m *submitMeasure) fed(ctx context.Context, file string, seen func(job)) error {
	j, err := m.client.submit(ctx, file, submission{formats: "text", ocr: "force", cache: "false"})
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
		now, err := m.client.job(ctx, j.JobID)
		if err != nil {
			return err
		}
		seen(now)
		if ended(now.Status) {
			return now.outcome()
		}
	}
}

// usage is the CPU time that everybody has spent.
type usage struct {
	service        map[string]time.Duration
	load           time.Duration
	machine, steal time.Duration
}

func (m *submitMeasure) spent() usage {
	u := usage{service: map[string]time.Duration{}}
	for name, pid := range m.service.PIDs {
		if name == "dev" {
			continue
		}
		if t, err := bench.Tree(pid); err == nil { // a process that was started anew shows as none
			u.service[name] = t
		}
	}
	u.load, _ = bench.Tree(os.Getpid())
	u.machine, u.steal = pace.Busy()
	return u
}

// cores turns two readings into cores.
func (r *submitRun) cores(before, after usage, wall time.Duration) {
	r.Cores = map[string]float64{"load": (after.load - before.load).Seconds() / wall.Seconds()}
	others := (after.machine - before.machine).Seconds() / wall.Seconds()
	for name, t := range after.service {
		r.Cores[name] = (t - before.service[name]).Seconds() / wall.Seconds()
	}
	for _, c := range r.Cores {
		others -= c
	}
	r.Cores["others"] = max(0, others)
	r.Stolen = (after.steal - before.steal).Seconds() / wall.Seconds()
	r.Loads = loadAverage()
}

// loadAverage is what the machine says of its load; empty where it does not say.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }

// table prints the report for a person.
func (r submitReport) table(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer w.Flush()
	fmt.Fprintf(w, "%d bytes a document, at most %d in flight\n", r.Bytes, r.InFlight)
	row := func(name string, s pace.Summary) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%.1f\t%d", name, s.Count, s.Count-s.Accepted, s.Rate, s.Waited)
		for _, d := range []time.Duration{s.P50, s.P90, s.P99, s.P999, s.Max} {
			fmt.Fprintf(w, "\t%.1f", d.Seconds()*1000)
		}
		for _, status := range slices.Sorted(maps.Keys(s.Errors)) {
			fmt.Fprintf(w, "\t%s: %d", status, s.Errors[status])
		}
		fmt.Fprint(w, "\t\n")
	}
	fmt.Fprint(w, "run\tcount\terrors\taccepted/s\twaited\tp50 ms\tp90 ms\tp99 ms\tp99.9 ms\tmax ms\t\n")
	if r.Saturation != nil {
		row("saturated", *r.Saturation)
	}
	if r.Large != nil {
		row("large", *r.Large)
	}
	for i, run := range r.Runs {
		row(fmt.Sprintf("%s %d", run.OCR, i+1), run.Summary)
		row(fmt.Sprintf("disk %d", i+1), run.Disk)
	}
	_ = w.Flush() // a table of its own follows
	for i, run := range r.Runs {
		fmt.Fprintf(out, "%s %d cores:", run.OCR, i+1)
		for _, name := range slices.Sorted(maps.Keys(run.Cores)) {
			fmt.Fprintf(out, " %s %.2f", name, run.Cores[name])
		}
		fmt.Fprintf(out, "; stolen %.2f; load %s; %d jobs not ended\n", run.Stolen, run.Loads, run.Behind)
	}
	for _, ocr := range slices.Sorted(maps.Keys(r.MedianP99)) {
		fmt.Fprintf(out, "median p99 at %.1f arrivals a second, OCR %s: %s; of the disk alone: %s\n", r.Rate, ocr, milliseconds(r.MedianP99[ocr]),
			milliseconds(r.DiskP99[ocr]))
	}
	fmt.Fprintf(out, "gateway peak memory: %d MiB before, %d MiB after; %d jobs accepted, %d not ended\n", r.PeakBefore>>20, r.PeakAfter>>20, r.Jobs, r.Left)
}
