package s3

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"time"

	"docstream/internal/topology"
	"docstream/schemas"
)

// Config says where notifications come from and what becomes of them.
type Config struct {
	Queue      string        `koanf:"queue"`    // URL of the SQS queue
	Endpoint   string        `koanf:"endpoint"` // of SQS; empty: AWS
	Region     string        `koanf:"region"`
	AccessKey  string        `koanf:"access_key"` // for SQS; empty: the SDK's own chain (environment, profile, role of the machine)
	SecretKey  string        `koanf:"secret_key" secret:"true"`
	Receivers  int           `koanf:"receivers"`  // of SQS messages at once, ten messages each
	Visibility time.Duration `koanf:"visibility"` // a received message is hidden for so long, and for longer while it is worked on
	Topic      string        `koanf:"topic"`      // full name of the Kafka topic, on the platform's brokers
	Batch      int           `koanf:"batch"`      // Kafka records a time

	// LookUpAfter is the age from which a notification is first compared with what jobs have left in the object store: the stream forgets
	// ended jobs, and a message can be older than its memory.
	LookUpAfter time.Duration `koanf:"look_up_after"`
	Recent      int           `koanf:"recent"`     // submissions remembered, so that a duplicate costs nobody anything
	ScanKnown   int           `koanf:"scan_known"` // jobs a scan remembers; past it, it asks the object store about each

	// Rules are asked in their order; the first that matches decides. An object that none matches is no document of ours.
	Rules []Rule `koanf:"rules"`

	// GPUTypes are the media types that go to the gpu class where a rule names no class. The switchboard fills them in.
	GPUTypes []string `koanf:"-"`
}

// Rule maps objects to what their jobs are. An empty condition holds for every object.
type Rule struct {
	Bucket  string `koanf:"bucket"`
	Prefix  string `koanf:"prefix"`
	Suffix  string `koanf:"suffix"`   // letter case does not matter
	MinSize int64  `koanf:"min_size"` // bytes
	MaxSize int64  `koanf:"max_size"` // bytes; 0: any

	Tenant        string   `koanf:"tenant"`
	Priority      string   `koanf:"priority"` // empty: normal
	Class         string   `koanf:"class"`    // empty: by the kind of file
	OCR           string   `koanf:"ocr"`      // empty: auto
	Pages         string   `koanf:"pages"`
	OutputFormats []string `koanf:"output_formats"`
}

// DefaultConfig has no source and no rules: both are the operator's.
func DefaultConfig() Config {
	return Config{Region: "us-east-1", Receivers: 4, Visibility: time.Minute, Batch: 500, LookUpAfter: 12 * time.Hour, Recent: 100_000,
		ScanKnown: 5_000_000, Rules: []Rule{}}
}

// bucketForm is S3's own, without its finer rules.
var bucketForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// Validate names every value that cannot work. A source is asked for only by the command that reads it.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, a ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("connectors.s3: "+format, a...))
		}
	}
	check(address(c.Queue), "queue is not an http:// or https:// address")
	check(address(c.Endpoint), "endpoint is not an http:// or https:// address")
	check(c.Region != "", "region is empty")
	check((c.AccessKey == "") == (c.SecretKey == ""), "access_key and secret_key go together")
	check(c.Receivers >= 1 && c.Receivers <= 100, "receivers must be 1 to 100, is %d", c.Receivers)
	check(c.Visibility >= 6*time.Second && c.Visibility <= 12*time.Hour, "visibility must be 6s to 12h, is %s", c.Visibility)
	check(c.Batch >= 1 && c.Batch <= 10_000, "batch must be 1 to 10000, is %d", c.Batch)
	check(c.LookUpAfter > 0, "look_up_after must be positive, is %s", c.LookUpAfter)
	check(c.Recent >= 0 && c.ScanKnown >= 0, "recent and scan_known must not be negative")
	for i, r := range c.Rules {
		if err := r.validate(); err != nil {
			errs = append(errs, fmt.Errorf("connectors.s3: rules[%d]: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

func address(s string) bool {
	u, err := url.Parse(s)
	return s == "" || err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

func (r Rule) validate() error {
	_, pages := schemas.ParseRanges(r.Pages)
	switch {
	case !bucketForm.MatchString(r.Bucket):
		return fmt.Errorf("%q is no name of a bucket", r.Bucket)
	case !schemas.ValidTenant(r.Tenant):
		return fmt.Errorf("tenant %q is not of the form [a-z0-9-]{1,40}", r.Tenant)
	case r.MinSize < 0 || r.MaxSize < 0 || r.MaxSize > 0 && r.MaxSize < r.MinSize:
		return fmt.Errorf("min_size %d and max_size %d match no object", r.MinSize, r.MaxSize)
	case r.Priority != "" && !slices.Contains(topology.Priorities, r.Priority):
		return fmt.Errorf("priority must be one of %v, is %q", topology.Priorities, r.Priority)
	case r.Class != "" && !slices.Contains(topology.Classes, r.Class):
		return fmt.Errorf("class must be one of %v, is %q", topology.Classes, r.Class)
	case r.OCR != "" && !slices.Contains(ocrModes, r.OCR):
		return fmt.Errorf("ocr must be one of %v, is %q", ocrModes, r.OCR)
	case pages != nil:
		return fmt.Errorf("pages %q is not of the form 1-3,7", r.Pages)
	}
	for _, f := range r.OutputFormats {
		if !slices.Contains(formats, f) {
			return fmt.Errorf("output_formats must be among %v, one is %q", formats, f)
		}
	}
	return nil
}

// The values of the options, as the gateway takes them.
var (
	ocrModes = []string{"auto", "force", "off"}
	formats  = []string{"markdown", "json", "html", "csv", "text"}
)
