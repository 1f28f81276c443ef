package blob

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Incoming is an object that somebody without a key is to write.
type Incoming struct {
	Key       string
	Size      int64
	SHA256    string        // lower-case hex digest of the bytes; empty: not known
	MediaType string        // empty: not known
	For       time.Duration // the address holds so long, at most MaxLink
}

// Request is what writes an object or a part of one: a PUT to the address with exactly these headers.
type Request struct {
	URL     string
	Headers map[string]string
}

// PutLink returns the request that writes the object, whole, once and with the announced size: a second one is refused by the store, so that
// what was looked at stays as it is. A store that knows checksums refuses other bytes than those announced. It makes no call.
func (s *S3) PutLink(ctx context.Context, in Incoming) (Request, error) {
	put := &s3.PutObjectInput{Bucket: &s.bucket, Key: &in.Key, ContentLength: aws.Int64(in.Size), ContentType: optional(in.MediaType), IfNoneMatch: aws.String("*")}
	if sum, err := hex.DecodeString(in.SHA256); err == nil && in.SHA256 != "" {
		put.ChecksumSHA256 = aws.String(base64.StdEncoding.EncodeToString(sum))
	}
	r, err := s.presigner(in.For).PresignPutObject(ctx, put)
	return s.presigned(ctx, in.Key, r, err)
}

// BeginParts opens an upload in parts and returns its id.
func (s *S3) BeginParts(ctx context.Context, in Incoming) (string, error) {
	u := &upload{s: s, key: in.Key, o: Options{MediaType: in.MediaType}}
	if err := u.begin(ctx); err != nil {
		return "", err
	}
	return aws.ToString(u.id), nil
}

// PartLink returns the request that writes part number, from 1, of an upload in parts; in.Size is that of the part. It makes no call.
func (s *S3) PartLink(ctx context.Context, in Incoming, id string, number int) (Request, error) {
	r, err := s.presigner(in.For).PresignUploadPart(ctx, &s3.UploadPartInput{Bucket: &s.bucket, Key: &in.Key, UploadId: &id,
		PartNumber: aws.Int32(int32(number)), ContentLength: aws.Int64(in.Size)})
	return s.presigned(ctx, in.Key, r, err)
}

// JoinParts makes the object of the parts that have arrived, once: ErrExists where it is there already, ErrNotFound where the upload is not,
// ErrParts where there are not as many parts as there should be.
func (s *S3) JoinParts(ctx context.Context, key, id string, parts int) (err error) {
	u := &upload{s: s, key: key, id: &id, o: Options{Once: true}}
	list := s3.NewListPartsPaginator(s.client, &s3.ListPartsInput{Bucket: &s.bucket, Key: &key, UploadId: &id})
	for list.HasMorePages() {
		page, err := list.NextPage(ctx)
		if err != nil {
			return s.unknownUpload(ctx, key, err)
		}
		for _, p := range page.Parts {
			u.done = append(u.done, types.CompletedPart{ETag: p.ETag, PartNumber: p.PartNumber})
		}
	}
	if len(u.done) != parts {
		return fmt.Errorf("%w: %d of %d", ErrParts, len(u.done), parts)
	}
	return u.complete(ctx)
}

// ErrParts says that parts of an upload are missing.
var ErrParts = errors.New("parts are missing")

// DropParts ends an upload in parts that nobody completes; one that is gone is no error.
func (s *S3) DropParts(ctx context.Context, key, id string) (err error) {
	defer s.metrics.observe("upload_abort", time.Now(), &err)
	_, err = s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: &key, UploadId: &id})
	if err = s.unknownUpload(ctx, key, err); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// DropStale ends the uploads in parts below a prefix that were begun before a time.
func (s *S3) DropStale(ctx context.Context, prefix string, before time.Time) (err error) {
	defer s.metrics.observe("upload_list", time.Now(), &err)
	pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{Bucket: &s.bucket, Prefix: optional(prefix)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return s.fail(ctx, "upload_list", prefix, err)
		}
		for _, u := range page.Uploads {
			if aws.ToTime(u.Initiated).Before(before) {
				if err := s.DropParts(ctx, aws.ToString(u.Key), aws.ToString(u.UploadId)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Sum returns the lower-case hex SHA-256 of a whole object where the store keeps one, else nothing.
func (s *S3) Sum(ctx context.Context, key string) (_ string, err error) {
	defer s.metrics.observe("head", time.Now(), &err)
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		return "", s.fail(ctx, "head", key, err)
	}
	sum, err := base64.StdEncoding.DecodeString(aws.ToString(out.ChecksumSHA256))
	if err != nil || len(sum) != 32 || out.ChecksumType == types.ChecksumTypeComposite { // of parts: not the digest of the bytes
		return "", nil
	}
	return hex.EncodeToString(sum), nil
}

// unknownUpload tells an upload that is not there from a store that does not answer.
func (s *S3) unknownUpload(ctx context.Context, key string, err error) error {
	if codeOf(err) == "NoSuchUpload" {
		return ErrNotFound
	}
	return s.fail(ctx, "upload_list", key, err)
}

func (s *S3) presigner(holds time.Duration) *s3.PresignClient {
	return s3.NewPresignClient(s.client, func(o *s3.PresignOptions) {
		o.Expires = holds
		if s.public != "" {
			o.ClientOptions = append(o.ClientOptions, func(o *s3.Options) { o.BaseEndpoint = aws.String(s.public) })
		}
	})
}

// presigned takes from a signed request what its sender must send. Host is not told: it follows from the address. A checksum that the signer put into
// the query instead of a header is sent by following the address.
func (s *S3) presigned(ctx context.Context, key string, r *v4.PresignedHTTPRequest, err error) (Request, error) {
	if err != nil {
		return Request{}, s.fail(ctx, "link", key, err)
	}
	out := Request{URL: r.URL, Headers: map[string]string{}}
	for name, v := range r.SignedHeader {
		if !strings.EqualFold(name, "Host") {
			out.Headers[http.CanonicalHeaderKey(name)] = strings.Join(v, ",")
		}
	}
	return out, nil
}
