package blob

import (
	"context"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// noVersion is how S3 calls the one version of an object that was written while its bucket kept none.
const noVersion = "null"

// GetFrom reads an object whole, in whichever bucket and version it lies. What a foreign bucket lacks is the document's fault.
func (s *S3) GetFrom(ctx context.Context, p Place) (_ io.ReadCloser, _ Object, err error) {
	if p.Bucket != "" && p.Bucket != s.bucket {
		s = s.In(p.Bucket)
	}
	defer s.metrics.observe("get", time.Now(), &err)
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &p.Key, VersionId: optional(p.Version)})
	if err != nil {
		return nil, Object{}, s.fail(ctx, "get", p.Key, err)
	}
	o := Object{
		Key: p.Key, Size: wholeSize(out), ETag: aws.ToString(out.ETag), Version: version(out.VersionId), MediaType: aws.ToString(out.ContentType),
		Modified: aws.ToTime(out.LastModified), Meta: metaIn(out.Metadata),
	}
	return &body{ctx: ctx, s: s, key: p.Key, from: out.Body}, o, nil
}

// HeadFrom describes an object, in whichever bucket and version it lies. What a foreign bucket lacks is the document's fault.
func (s *S3) HeadFrom(ctx context.Context, p Place) (_ Object, err error) {
	if p.Bucket != "" && p.Bucket != s.bucket {
		s = s.In(p.Bucket)
	}
	defer s.metrics.observe("head", time.Now(), &err)
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &p.Key, VersionId: optional(p.Version)})
	if err != nil {
		return Object{}, s.fail(ctx, "head", p.Key, err)
	}
	return Object{
		Key: p.Key, Size: aws.ToInt64(out.ContentLength), ETag: aws.ToString(out.ETag), Version: version(out.VersionId), MediaType: aws.ToString(out.ContentType),
		Modified: aws.ToTime(out.LastModified), Meta: metaIn(out.Metadata),
	}, nil
}

// ListVersions calls f for the newest version of every object under the prefix, deleted ones left out, until f returns false. In a bucket
// that keeps no versions the objects have none.
func (s *S3) ListVersions(ctx context.Context, prefix string, f func(Object) bool) (err error) {
	defer s.metrics.observe("list", time.Now(), &err)
	last := "" // some servers begin a page with the last key of the one before
	pages := s3.NewListObjectVersionsPaginator(s.client, &s3.ListObjectVersionsInput{Bucket: &s.bucket, Prefix: optional(prefix)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return s.fail(ctx, "list", prefix, err)
		}
		for _, v := range page.Versions {
			if !aws.ToBool(v.IsLatest) || aws.ToString(v.Key) == last {
				continue
			}
			last = aws.ToString(v.Key)
			o := Object{Key: aws.ToString(v.Key), Size: aws.ToInt64(v.Size), ETag: aws.ToString(v.ETag), Version: version(v.VersionId), Modified: aws.ToTime(v.LastModified)}
			if !f(o) {
				return nil
			}
		}
	}
	return nil
}

func version(id *string) string {
	if v := aws.ToString(id); v != noVersion {
		return v
	}
	return ""
}

// ListFrom calls f for every object under a prefix of any bucket, in key order, until f returns false. What a foreign bucket lacks is the
// document's fault.
func (s *S3) ListFrom(ctx context.Context, bucket, prefix string, f func(Object) bool) error {
	if bucket != "" && bucket != s.bucket {
		s = s.In(bucket)
	}
	return s.List(ctx, prefix, f)
}
