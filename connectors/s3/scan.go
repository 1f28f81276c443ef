package s3

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"docstream/internal/blob"
	"docstream/schemas"
)

// Listing is a bucket that a scan reads.
type Listing interface {
	ListVersions(ctx context.Context, prefix string, f func(blob.Object) bool) error
}

// ScanOptions say what a scan looks at.
type ScanOptions struct {
	Buckets []string          // only these of the rules' buckets; empty: all
	Since   time.Time         // only objects written since; zero: all
	DryRun  bool              // count, submit nothing
	Report  func(ScanSummary) // called now and then with what was found so far; may be nil
}

// ScanSummary is what a scan found.
type ScanSummary struct {
	Listed    int            `json:"listed"`    // objects
	Filtered  map[string]int `json:"filtered"`  // objects nobody wants, by reason
	Known     int            `json:"known"`     // objects whose job is there already
	Missing   int            `json:"missing"`   // objects nobody announced
	Submitted int            `json:"submitted"` // of those, made into jobs
	Bytes     int64          `json:"bytes"`     // of the missing objects
	DryRun    bool           `json:"dry_run"`
	Seconds   float64        `json:"seconds"`
}

// What a scan does at a time.
const (
	scanBatch   = 500
	scanLookups = 16
	scanReport  = time.Second
)

// Scan lists the buckets of the rules and submits every object whose job nobody has heard of: what a notification should have announced
// and did not. It gives the same ids as the notifications do, so that the two can run at once and nothing is read twice. open returns a
// bucket.
//
// A job is known when its submission or its state is in the log, or when it has left something in the object store.
func (c *Connector) Scan(ctx context.Context, open func(bucket string) Listing, o ScanOptions) (ScanSummary, error) {
	s := &scan{Connector: c, options: o, began: time.Now(), sum: ScanSummary{Filtered: map[string]int{}, DryRun: o.DryRun}}
	buckets, err := c.cfg.scanned(o.Buckets)
	if err != nil {
		return s.sum, err
	}
	if s.known, err = c.announced(ctx, o.Since); err != nil {
		return s.sum, fmt.Errorf("reading what the log knows: %w", err)
	}
	for _, b := range buckets {
		if err := s.bucket(ctx, b, open(b)); err != nil {
			return s.done(), fmt.Errorf("bucket %s: %w", b, err)
		}
	}
	return s.done(), nil
}

// scanned lists the buckets of the rules, each once, narrowed to the wanted ones.
func (c Config) scanned(wanted []string) ([]string, error) {
	var out []string
	for _, r := range c.Rules {
		if !slices.Contains(out, r.Bucket) {
			out = append(out, r.Bucket)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("connectors.s3.rules is empty: no bucket to scan")
	}
	for _, w := range wanted {
		if !slices.Contains(out, w) {
			return nil, fmt.Errorf("no rule names the bucket %s", w)
		}
	}
	if len(wanted) > 0 {
		return wanted, nil
	}
	return out, nil
}

// prefix is the longest prefix that all rules of a bucket share: what lies elsewhere need not be listed.
func (c Config) prefix(bucket string) string {
	var out string
	first := true
	for _, r := range c.Rules {
		switch {
		case r.Bucket != bucket:
		case first:
			out, first = r.Prefix, false
		default:
			n := 0
			for n < len(out) && n < len(r.Prefix) && out[n] == r.Prefix[n] {
				n++
			}
			out = out[:n]
		}
	}
	return out
}

// scan is one scan under way.
type scan struct {
	*Connector
	options  ScanOptions
	known    *known
	sum      ScanSummary
	batch    []*schemas.DocumentSubmitted
	began    time.Time
	reported time.Time
}

// bucket lists one bucket and takes its objects batch by batch, so that memory does not grow with the bucket.
func (s *scan) bucket(ctx context.Context, name string, l Listing) error {
	var failed error
	err := l.ListVersions(ctx, s.cfg.prefix(name), func(o blob.Object) bool {
		s.sum.Listed++
		s.consider(object{bucket: name, key: o.Key, version: o.Version, etag: strings.Trim(o.ETag, `"`), size: o.Size, at: o.Modified})
		if len(s.batch) >= scanBatch {
			failed = s.flush(ctx)
		}
		s.report()
		return failed == nil
	})
	if err := errors.Join(failed, err); err != nil {
		return err
	}
	return s.flush(ctx)
}

// consider keeps an object for the next batch, or counts why not.
func (s *scan) consider(o object) {
	if !s.options.Since.IsZero() && o.at.Before(s.options.Since) {
		s.sum.Filtered["older"]++
		return
	}
	if o.size == 0 && o.key[len(o.key)-1] == '/' {
		s.sum.Filtered[reasonFolder]++
		return
	}
	r, ok := s.cfg.rule(o)
	if !ok {
		s.sum.Filtered[reasonNoRule]++
		return
	}
	e := s.cfg.submission(o, r, time.Now().UTC())
	if s.known.has(e.JobID) {
		s.sum.Known++
		return
	}
	s.batch = append(s.batch, e)
}

// flush looks up the batch in the object store and submits what is missing there too.
func (s *scan) flush(ctx context.Context) error {
	left := make([]bool, len(s.batch))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(scanLookups)
	for i, e := range s.batch {
		g.Go(func() (err error) {
			left[i], err = s.left(gctx, e)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var missing []*schemas.DocumentSubmitted
	for i, e := range s.batch {
		if left[i] {
			s.sum.Known++
			continue
		}
		missing = append(missing, e)
		s.sum.Bytes += e.Source.Size
	}
	s.batch = s.batch[:0]
	s.sum.Missing += len(missing)
	if s.options.DryRun || len(missing) == 0 {
		return nil
	}
	if err := s.append(ctx, missing, nil); err != nil {
		return err
	}
	for _, e := range missing {
		s.known.add(e.JobID)
		s.log.InfoContext(ctx, "submitted what nobody announced", "job_id", e.JobID, "tenant", e.Tenant, "bucket", e.Source.Bucket, "key", e.Source.Key, "version", e.Source.Version)
	}
	s.sum.Submitted += len(missing)
	s.metrics.count("scanned", len(missing))
	return nil
}

func (s *scan) report() {
	if s.options.Report != nil && time.Since(s.reported) >= scanReport {
		s.reported = time.Now()
		s.options.Report(s.done())
	}
}

func (s *scan) done() ScanSummary {
	s.sum.Seconds = time.Since(s.began).Seconds()
	return s.sum
}
