// Package upstream submits documents to Docstream by writing records into its documents lanes, without its API: for systems that live on
// Kafka themselves.
//
// A document is submitted by reference. Its bytes lie in a bucket that the operator has registered for the tenant, or below sources/TENANT/
// in the platform's own. The record is a DocumentSubmitted in Avro, in the Confluent wire format, and carries a signature with the tenant's
// producer key (docstream keys create --kind producer). What becomes of the job stands in the API and in the topic job-events.
//
//	p, err := upstream.New(ctx, upstream.Config{Brokers: brokers, Registry: registry, Tenant: "acme", Key: os.Getenv("PRODUCER_KEY")})
//	defer p.Close()
//	job, err := p.Submit(ctx, upstream.Document{Bucket: "scans", Key: "in/a.pdf", Size: 12345})
package upstream

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"docstream/schemas"
)

// Config says where to write and in whose name.
type Config struct {
	Brokers  []string
	Registry string // URL of the schema registry
	Prefix   string // of the topics; empty: "docstream."
	Tenant   string
	Key      string // the tenant's producer key, dpk_<id>_<secret>; empty for a lane that the operator trusts

	Kafka []kgo.Opt // more options, such as TLS and SASL
}

// Document is one document, by reference. Only Key and Size are needed.
type Document struct {
	Bucket    string // registered for the tenant; empty: the platform's own
	Key       string // of the object
	Version   string // where the bucket keeps versions
	ETag      string // what was submitted is what is read, or the job fails
	Size      int64  // in bytes
	SHA256    string // lower-case hex
	MediaType string // empty: found from the bytes
	Filename  string // for display; empty: the last part of Key

	JobID    string // empty: a new one. The same id again is the same job: give one to be able to submit again after an error
	Class    string // cpu (the default) or gpu
	Priority string // high, normal (the default) or low

	OCR           string    // auto (the default), force or off
	Pages         string    // such as 1-3,7; empty: all
	OutputFormats []string  // markdown, json, html, csv, text; empty: all
	Deadline      time.Time // the job ends expired unless it has ended before; zero: it may take as long as it takes
	Metadata      map[string]string
	RequestID     string
}

// Producer writes submissions; safe for concurrent use.
type Producer struct {
	cfg    Config
	key    schemas.SigningKey
	client *kgo.Client
	codec  *schemas.Codec
}

// The words of the lanes.
const (
	family        = "documents"
	kind          = "DocumentSubmitted"
	defaultPrefix = "docstream."
)

// New connects to the registry and the brokers. It fails where the registry does not answer.
func New(ctx context.Context, cfg Config) (*Producer, error) {
	if cfg.Prefix == "" {
		cfg.Prefix = defaultPrefix
	}
	p := &Producer{cfg: cfg}
	if cfg.Key != "" {
		parts := strings.SplitN(cfg.Key, "_", 3)
		if len(parts) != 3 || parts[0] != "dpk" || parts[1] == "" || parts[2] == "" {
			return nil, errors.New("upstream: the key is not of the form dpk_<id>_<secret>")
		}
		p.key = schemas.SigningKey{ID: parts[1], Secret: []byte(parts[2])}
	}
	if !schemas.ValidTenant(cfg.Tenant) {
		return nil, errors.New("upstream: a tenant is 1 to 40 of a-z, 0-9 and -")
	}
	registry, err := sr.NewClient(sr.URLs(cfg.Registry))
	if err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	p.codec = schemas.NewCodec(registry)
	if err := p.codec.Register(ctx, p.topic("cpu", "normal")+"-value", kind); err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	opts := append([]kgo.Opt{kgo.SeedBrokers(cfg.Brokers...), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordDeliveryTimeout(30 * time.Second)}, cfg.Kafka...)
	if p.client, err = kgo.NewClient(opts...); err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	return p, nil
}

// Close ends the connections.
func (p *Producer) Close() { p.client.Close() }

// Submit appends the submission of a document and returns its job id once every in-sync replica has it. After an error the record may have
// been appended all the same: submit again with the id that is returned beside the error.
func (p *Producer) Submit(ctx context.Context, d Document) (jobID string, err error) {
	e := p.event(d)
	value, err := p.codec.Encode(e)
	if err != nil {
		return e.JobID, fmt.Errorf("upstream: %w", err)
	}
	r := &kgo.Record{Topic: p.topic(e.Class, e.Priority), Key: []byte(e.JobID), Value: value}
	add := func(key, value string) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	add(schemas.HeaderTenant, e.Tenant)
	add(schemas.HeaderSubject, e.JobID)
	if e.RequestID != "" {
		add(schemas.HeaderRequestID, e.RequestID)
	}
	if p.key.ID != "" {
		add(schemas.HeaderSignature, p.key.Sign(r.Topic, value))
	}
	if err := p.client.ProduceSync(ctx, r).FirstErr(); err != nil {
		return e.JobID, fmt.Errorf("upstream: appending %s: %w", e.JobID, err)
	}
	return e.JobID, nil
}

// event is what is said of a document.
func (p *Producer) event(d Document) *schemas.DocumentSubmitted {
	now := time.Now().UTC()
	or := func(s, usual string) string {
		if s == "" {
			return usual
		}
		return s
	}
	job := or(d.JobID, schemas.NewJobID(now))
	return &schemas.DocumentSubmitted{
		Head: schemas.Head{EventID: schemas.EventIDFor(job, 0, "submit", 0, kind, 0), Tenant: p.cfg.Tenant, JobID: job, At: now, SubmittedAt: now},
		Source: schemas.Source{Bucket: d.Bucket, Key: d.Key, Version: d.Version, ETag: d.ETag, Size: d.Size, SHA256: d.SHA256, MediaType: d.MediaType,
			Filename: or(d.Filename, path.Base(d.Key))},
		RequestID: d.RequestID, FromPage: 1, Class: or(d.Class, "cpu"), Priority: or(d.Priority, "normal"),
		Options: schemas.Options{OCR: or(d.OCR, "auto"), Pages: d.Pages, OutputFormats: d.OutputFormats}, Metadata: d.Metadata, Deadline: d.Deadline,
	}
}

// topic is the full name of a lane.
func (p *Producer) topic(class, priority string) string {
	return p.cfg.Prefix + strings.Join([]string{family, class, priority}, ".")
}
