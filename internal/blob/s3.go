package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
	"github.com/prometheus/client_golang/prometheus"

	"docstream/internal/fault"
	"docstream/schemas"
)

// S3 is a bucket of any S3-compatible server. Safe for concurrent use.
//
// A failure of the caller's context comes back as that context's error, and a failure of the body handed to Upload as the body's own;
// everything else is [ErrNotFound], [ErrExists] or a fault.
type S3 struct {
	client  *s3.Client
	bucket  string
	region  string
	public  string // endpoint in links; empty: the client's own
	foreign bool   // not the configured bucket: what it lacks is the document's fault
	part    int64
	parts   *sync.Pool // of *[]byte, each one part long
	metrics *metrics
}

var _ Store = (*S3)(nil)

// Open returns a store on the configured bucket; it makes no call. reg may be nil.
func Open(cfg Config, reg prometheus.Registerer) (*S3, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	client, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	return &S3{
		client: client, bucket: cfg.Bucket, region: cfg.Region, public: cfg.Public, part: cfg.PartBytes, metrics: newMetrics(reg),
		parts: &sync.Pool{New: func() any { b := make([]byte, cfg.PartBytes); return &b }},
	}, nil
}

// In returns the same connection on another bucket. A bucket that is missing or closed to us is then the document's fault
// (SOURCE_MISSING), not the world's: one tenant's wrong bucket must not stop a lane (P7).
func (s *S3) In(bucket string) *S3 {
	other := *s
	other.bucket, other.foreign = bucket, s.foreign || bucket != s.bucket
	return &other
}

// Ready reports whether the bucket answers now: it asks once.
func (s *S3) Ready(ctx context.Context) (err error) {
	defer s.metrics.observe("ready", time.Now(), &err)
	_, err = s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.bucket}, func(o *s3.Options) { o.Retryer = aws.NopRetryer{} })
	return s.fail(ctx, "ready", "", err)
}

// EnsureBucket creates the bucket where it does not exist.
func (s *S3) EnsureBucket(ctx context.Context) (err error) {
	defer s.metrics.observe("create_bucket", time.Now(), &err)
	if _, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.bucket}); err == nil || statusOf(err) != 404 {
		return s.fail(ctx, "create_bucket", "", err)
	}
	in := &s3.CreateBucketInput{Bucket: &s.bucket}
	if s.region != "us-east-1" {
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(s.region)}
	}
	_, err = s.client.CreateBucket(ctx, in)
	if slices.Contains([]string{"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}, codeOf(err)) {
		_, err = s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.bucket}) // another replica was first, or it is somebody else's
	}
	return s.fail(ctx, "create_bucket", "", err)
}

// Put writes an object from memory in one request.
//
// With Once, ErrExists can also mean this very call: an attempt whose answer was lost wrote the object, and the next one found it.
func (s *S3) Put(ctx context.Context, key string, body []byte, o Options) (err error) {
	defer s.metrics.observe("put", time.Now(), &err)
	in := &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))),
		Metadata: metaOut(o.Meta), ContentType: optional(o.MediaType), IfNoneMatch: onceHeader(o),
	}
	_, err = s.client.PutObject(ctx, in, hashed(o.SHA256))
	return s.settle(ctx, "put", key, o, err)
}

// hashed tells the signer the digest of a request's body; empty: it finds it.
func hashed(sum string) func(*s3.Options) {
	return func(o *s3.Options) {
		if sum == "" {
			return
		}
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("KnownPayloadHash",
				func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
					return next.HandleInitialize(v4.SetPayloadHash(ctx, sum), in)
				}), middleware.Before)
		})
	}
}

// Get reads length bytes from offset; length 0 reads to the end. Object.Size is that of the whole object. An empty object reads as
// nothing whatever the length.
func (s *S3) Get(ctx context.Context, key string, offset, length int64) (_ io.ReadCloser, _ Object, err error) {
	defer s.metrics.observe("get", time.Now(), &err)
	if offset < 0 || length < 0 {
		return nil, Object{}, fault.Puzzle(schemas.Internal, "The range of an object is invalid.").
			Because(fmt.Errorf("s3: get %s: offset %d, length %d", key, offset, length))
	}
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key, Range: byteRange(offset, length)})
	if err != nil {
		if statusOf(err) == 416 && offset == 0 {
			o, err := s.Head(ctx, key)
			return io.NopCloser(strings.NewReader("")), o, err
		}
		return nil, Object{}, s.fail(ctx, "get", key, err)
	}
	o := Object{
		Key: key, Size: wholeSize(out), ETag: aws.ToString(out.ETag), MediaType: aws.ToString(out.ContentType),
		Modified: aws.ToTime(out.LastModified), Meta: metaIn(out.Metadata),
	}
	return &body{ctx: ctx, s: s, key: key, from: out.Body}, o, nil
}

// Head describes an object.
func (s *S3) Head(ctx context.Context, key string) (_ Object, err error) {
	defer s.metrics.observe("head", time.Now(), &err)
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return Object{}, s.fail(ctx, "head", key, err)
	}
	return Object{
		Key: key, Size: aws.ToInt64(out.ContentLength), ETag: aws.ToString(out.ETag), MediaType: aws.ToString(out.ContentType),
		Modified: aws.ToTime(out.LastModified), Meta: metaIn(out.Metadata),
	}, nil
}

// List calls f for every object under the prefix in key order, until f returns false. The objects carry no media type and no metadata.
func (s *S3) List(ctx context.Context, prefix string, f func(Object) bool) (err error) {
	defer s.metrics.observe("list", time.Now(), &err)
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: optional(prefix)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return s.fail(ctx, "list", prefix, err)
		}
		for _, c := range page.Contents {
			o := Object{Key: aws.ToString(c.Key), Size: aws.ToInt64(c.Size), ETag: aws.ToString(c.ETag), Modified: aws.ToTime(c.LastModified)}
			if !f(o) {
				return nil
			}
		}
	}
	return nil
}

// Delete removes an object; a missing one is no error.
func (s *S3) Delete(ctx context.Context, key string) (err error) {
	defer s.metrics.observe("delete", time.Now(), &err)
	_, err = s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &key})
	if err = s.fail(ctx, "delete", key, err); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// body is what Get hands out: its read errors are faults as all others.
type body struct {
	ctx  context.Context
	s    *S3
	key  string
	from io.ReadCloser
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	if err != nil && err != io.EOF {
		err = b.s.fail(b.ctx, "read", b.key, err)
	}
	return n, err
}

func (b *body) Close() error { return b.from.Close() }

func byteRange(offset, length int64) *string {
	switch {
	case length > 0:
		return aws.String(fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	case offset > 0:
		return aws.String(fmt.Sprintf("bytes=%d-", offset))
	}
	return nil
}

// wholeSize takes an object's size from "bytes 0-99/1234", else from the length of the body.
func wholeSize(out *s3.GetObjectOutput) int64 {
	r := aws.ToString(out.ContentRange)
	if n, err := strconv.ParseInt(r[strings.LastIndexByte(r, '/')+1:], 10, 64); err == nil {
		return n
	}
	return aws.ToInt64(out.ContentLength)
}

func optional(v string) *string {
	if v == "" {
		return nil
	}
	return &v
}

func onceHeader(o Options) *string {
	if o.Once {
		return aws.String("*")
	}
	return nil
}

func metaOut(m map[string]string) map[string]string { return mapValues(m, encodeMeta) }
func metaIn(m map[string]string) map[string]string  { return mapValues(m, decodeMeta) }

func mapValues(m map[string]string, f func(string) string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := maps.Clone(m)
	for k, v := range m {
		out[k] = f(v)
	}
	return out
}
