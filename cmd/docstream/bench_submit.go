package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"docstream/ops/bench"
	"docstream/ops/bench/pace"
)

// submitBench are the flags of bench submit.
type submitBench struct {
	size       string
	bytes      int64
	duration   time.Duration
	saturation time.Duration
	runs       int
	inFlight   int
	uploads    int
	rate       float64
	jobs       int64
	drain      time.Duration
	idle, busy bool
	keyed      bool
	raw        string
}

func (p *program) benchSubmitCommand() *cobra.Command {
	var o submitBench
	c := &cobra.Command{Use: "submit", Short: "Measure how fast a running service accepts documents", Args: cobra.NoArgs,
		Long: "Find the rate at which the gateway of the running one-machine service is saturated, then send documents at half of it, on a\n" +
			"schedule of their own, and print how long each took from the time at which it was due: with nothing else to do, and while the OCR\n" +
			"is busy on all cores. Beside them a file of the same size is written and synced 20 times a second, past the service: a document is\n" +
			"accepted when it is safe, hence no sooner than the disk lets it. The documents are one-page texts of the given size, no two the\n" +
			"same, of low priority; they are processed, so the service is fuller afterwards. With a size above 1MB it sends many at once and\n" +
			"prints the gateway's peak memory.",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.complete(); err != nil {
				return err
			}
			return p.benchSubmit(c.Context(), o)
		}}
	f := c.Flags()
	f.StringVar(&o.size, "size", "100KB", "bytes of a document, up to 8MB")
	f.DurationVar(&o.duration, "duration", time.Minute, "of one run, up to 10m")
	f.DurationVar(&o.saturation, "saturation", 10*time.Second, "how long to saturate, up to 1m")
	f.IntVar(&o.runs, "runs", 5, "runs in each condition, up to 20")
	f.IntVar(&o.inFlight, "in-flight", 100, "documents in flight, up to 1000")
	f.IntVar(&o.uploads, "uploads", 64, "documents at once, where they are above 1MB")
	f.Float64Var(&o.rate, "rate", 0, "arrivals a second instead of half of what saturates")
	f.Int64Var(&o.jobs, "max-jobs", 100_000, "documents in all, up to 1000000")
	f.DurationVar(&o.drain, "drain", 10*time.Minute, "how long to wait for the backlog between the conditions")
	f.BoolVar(&o.idle, "idle", false, "only with nothing else to do")
	f.BoolVar(&o.busy, "busy", false, "only while the OCR is busy")
	f.BoolVar(&o.keyed, "keyed", false, "send an Idempotency-Key with each document, which is one more object")
	f.StringVar(&o.raw, "raw", "", "folder for every single measurement, as JSON lines")
	return c
}

// largeUpload is the size above which memory is measured, not time; maxUpload is what the stages behind the gateway take as a text.
const (
	largeUpload = 1 << 20
	maxUpload   = 8 << 20
)

// complete reads the size and refuses what has no bound.
func (o *submitBench) complete() error {
	n, err := parseSize(o.size)
	if err != nil {
		return exit{exitUsage, err.Error()}
	}
	o.bytes = n
	if !o.idle && !o.busy {
		o.idle, o.busy = true, true
	}
	switch {
	case n < 1<<10 || n > maxUpload:
		return fail(exitUsage, "--size must be from 1KB to 8MB")
	case o.duration <= 0 || o.duration > 10*time.Minute:
		return fail(exitUsage, "--duration must be above 0 and at most 10m")
	case o.saturation < time.Second || o.saturation > time.Minute:
		return fail(exitUsage, "--saturation must be from 1s to 1m")
	case o.runs < 1 || o.runs > 20:
		return fail(exitUsage, "--runs must be from 1 to 20")
	case o.inFlight < 1 || o.inFlight > 1000 || o.uploads < 1 || o.uploads > 1000:
		return fail(exitUsage, "--in-flight and --uploads must be from 1 to 1000")
	case o.rate < 0 || o.rate > 10_000:
		return fail(exitUsage, "--rate must be at most 10000")
	case o.jobs < 1 || o.jobs > 1_000_000:
		return fail(exitUsage, "--max-jobs must be from 1 to 1000000")
	}
	return nil
}

// parseSize reads 100KB or 5MB: powers of 1024, as file sizes mostly are.
func parseSize(s string) (int64, error) {
	number, unit := strings.ToUpper(s), int64(1)
	for suffix, n := range map[string]int64{"KB": 1 << 10, "MB": 1 << 20} {
		if rest, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = rest, n
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("--size reads like 100KB or 5MB, is %q", s)
	}
	return n * unit, nil
}

// submitRun is one run of the open loop, with what the machine did meanwhile.
type submitRun struct {
	pace.Summary
	Disk   pace.Summary       `json:"disk"`              // a file of the same size, written and synced without us, in the same run
	OCR    string             `json:"ocr"`               // idle or busy
	Cores  map[string]float64 `json:"cores"`             // by process of the service, "load": this program, "others": the rest of the machine
	Stolen float64            `json:"stolen"`            // cores that the machine's host took
	Behind int                `json:"behind"`            // jobs that had not ended when the run did
	Loads  string             `json:"loadavg,omitempty"` // when the run ended
}

// submitReport is what bench submit prints.
type submitReport struct {
	Bytes      int64                    `json:"bytes"`
	InFlight   int                      `json:"in_flight"`
	Saturation *pace.Summary            `json:"saturation,omitempty"`
	Rate       float64                  `json:"rate"` // of the arrivals, a second
	Runs       []submitRun              `json:"runs,omitempty"`
	MedianP99  map[string]time.Duration `json:"median_p99,omitempty"` // idle and busy
	DiskP99    map[string]time.Duration `json:"disk_p99,omitempty"`   // of the disk alone, in the same runs
	Large      *pace.Summary            `json:"large,omitempty"`
	PeakBefore int64                    `json:"gateway_peak_before"` // resident bytes
	PeakAfter  int64                    `json:"gateway_peak_after"`
	Jobs       int64                    `json:"jobs"` // accepted in all
	Left       int                      `json:"left"` // of them, not ended at the end
}

// submitMeasure is a measurement under way.
type submitMeasure struct {
	*program
	submitBench
	service service
	client  *client
	upload  *uploader
	report  submitReport
}

// benchSubmit measures; what was measured before an error is printed as well.
func (p *program) benchSubmit(ctx context.Context, o submitBench) error {
	d, err := p.service()
	if err != nil {
		return err
	}
	if !loopback(d.API) {
		return fail(exitUsage, "%s is not on this machine: a service of others is not to be saturated", d.API)
	}
	m := &submitMeasure{program: p, submitBench: o, service: d, client: newClient(d.API, d.APIKey), upload: newUploader(d, o.bytes, max(o.inFlight, o.uploads))}
	m.upload.keyed = o.keyed
	m.report = submitReport{Bytes: o.bytes, InFlight: o.inFlight, MedianP99: map[string]time.Duration{}, DiskP99: map[string]time.Duration{},
		PeakBefore: bench.Peak(d.PIDs["gateway"])}
	if o.raw != "" {
		if err := os.MkdirAll(o.raw, 0o755); err != nil {
			return err
		}
	}
	if o.bytes > largeUpload {
		err = m.large(ctx)
	} else {
		err = m.small(ctx)
	}
	m.report.PeakAfter, m.report.Jobs = bench.Peak(d.PIDs["gateway"]), m.upload.accepted.Load()
	if p.json {
		return errors.Join(err, p.print(m.report))
	}
	m.report.table(p.stdout)
	return err
}

// localService is service, refused where it is not on this machine.
func (p *program) localService() (service, error) {
	d, err := p.service()
	if err == nil && !loopback(d.API) {
		err = fail(exitUsage, "%s is not on this machine: a service of others is not to be loaded", d.API)
	}
	return d, err
}

// loopback reports whether an address lies on this machine.
func loopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return ip != nil && ip.IsLoopback()
}

// small finds the rate, then measures at half of it.
func (m *submitMeasure) small(ctx context.Context) error {
	if err := m.drained(ctx); err != nil {
		return err
	}
	m.report.Rate = m.rate
	if m.rate == 0 {
		if err := m.saturate(ctx); err != nil {
			return err
		}
	}
	if m.idle {
		if err := m.condition(ctx, "idle"); err != nil {
			return err
		}
	}
	if !m.busy {
		return nil
	}
	stop, err := m.feed(ctx)
	if err != nil {
		return err
	}
	return errors.Join(m.measure(ctx, "busy"), stop(), m.drained(ctx))
}

func (m *submitMeasure) condition(ctx context.Context, ocr string) error {
	return errors.Join(m.measure(ctx, ocr), m.drained(ctx))
}

// warmUp is left out of the saturation: connections are made, caches are filled.
const warmUp = 2 * time.Second

// saturate finds what the gateway can take with all in flight, and waits until that is processed.
func (m *submitMeasure) saturate(ctx context.Context) error {
	m.say("saturating for %s", warmUp+m.saturation)
	samples := pace.Closed(ctx, m.bounds(m.inFlight, warmUp+m.saturation), m.upload.do)
	s := pace.Summarize(samples, http.StatusAccepted, warmUp+m.saturation)
	s.Rate = pace.Throughput(samples, http.StatusAccepted, warmUp, warmUp+m.saturation)
	m.report.Saturation, m.report.Rate = &s, s.Rate/2
	if err := m.keep("saturation", samples); err != nil {
		return err
	}
	if s.Rate == 0 {
		return fail(exitFailed, "the service accepted nothing: %v", s.Errors)
	}
	m.say("saturated at %.1f documents a second", s.Rate)
	return m.drained(ctx)
}

// bounds keeps all requests of the measurement below --max-jobs.
func (m *submitMeasure) bounds(inFlight int, d time.Duration) pace.Bounds {
	return pace.Bounds{InFlight: inFlight, Time: d, Count: m.jobs - m.upload.sent.Load()}
}

// measure makes the runs of one condition.
func (m *submitMeasure) measure(ctx context.Context, ocr string) (err error) {
	var p99, floor []time.Duration
	k, err := newDisk(m.service.Data, m.bytes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.remove()) }()
	for n := range m.runs {
		before := m.spent()
		began := time.Now()
		alone := make(chan pace.Summary, 1)
		go func() { alone <- k.run(ctx, m.duration) }()
		samples := pace.Open(ctx, m.report.Rate, m.bounds(m.inFlight, m.duration), m.upload.do)
		r := submitRun{Summary: pace.Summarize(samples, http.StatusAccepted, max(m.duration, time.Since(began))), OCR: ocr, Disk: <-alone}
		r.cores(before, m.spent(), time.Since(began))
		if err := errors.Join(m.keep(fmt.Sprintf("%s-%d", ocr, n+1), samples), ctx.Err()); err != nil {
			return err
		}
		if len(samples) == 0 {
			return fail(exitFailed, "no document is left of --max-jobs %d", m.jobs)
		}
		if r.Behind, err = m.pending(ctx); err != nil {
			return err
		}
		m.report.Runs, p99, floor = append(m.report.Runs, r), append(p99, r.P99), append(floor, r.Disk.P99)
		m.say("%s %d of %d: p99 %s, of the disk alone %s, %d not ended", ocr, n+1, m.runs, milliseconds(r.P99), milliseconds(r.Disk.P99), r.Behind)
	}
	m.report.MedianP99[ocr], m.report.DiskP99[ocr] = pace.Median(p99), pace.Median(floor)
	return nil
}

// large sends four rounds of all at once.
func (m *submitMeasure) large(ctx context.Context) error {
	if err := m.drained(ctx); err != nil {
		return err
	}
	b := pace.Bounds{InFlight: m.uploads, Time: m.duration, Count: min(4*int64(m.uploads), m.jobs)}
	m.report.InFlight = m.uploads
	began := time.Now()
	samples := pace.Closed(ctx, b, m.upload.do)
	s := pace.Summarize(samples, http.StatusAccepted, time.Since(began))
	m.report.Large = &s
	return errors.Join(m.keep("large", samples), m.drained(ctx))
}

// keep writes the samples of a run where --raw says.
func (m *submitMeasure) keep(name string, samples []pace.Sample) error {
	if m.raw == "" {
		return nil
	}
	return writeFile(filepath.Join(m.raw, name+".jsonl"), func(w io.Writer) error {
		e := json.NewEncoder(w)
		for _, s := range samples {
			if err := e.Encode(s); err != nil {
				return err
			}
		}
		return nil
	})
}

func (m *submitMeasure) say(format string, a ...any) {
	fmt.Fprintf(m.stderr, "docstream: "+format+"\n", a...)
}
