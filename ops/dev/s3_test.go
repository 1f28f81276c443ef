package main_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const bucket = "docstream"

// store is an S3 endpoint with a client that signs as its owner.
type store struct {
	*running
	*s3.Client
	args []string
}

func newStore(t *testing.T) *store {
	t.Helper()
	keys(t, "key", "secret-secret")
	s := &store{args: []string{"s3", "--data", t.TempDir(), "--listen", freeAddress(t)}}
	s.running = start(t, s.args...)
	s.Client = s3Client(s.Addr, "secret-secret")
	return s
}

func s3Client(addr, secret string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + addr), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("key", secret, ""),
	})
}

func (s *store) put(ctx context.Context, key, body string) error {
	_, err := s.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(body)})
	return err
}

func (s *store) get(ctx context.Context, key, byteRange string) (string, error) {
	in := &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key}
	if byteRange != "" {
		in.Range = &byteRange
	}
	out, err := s.GetObject(ctx, in)
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	return string(body), err
}

func status(err error) int {
	var resp *smithyhttp.ResponseError
	if errors.As(err, &resp) {
		return resp.HTTPStatusCode()
	}
	return 0
}

func TestTheSecretIsOnNoCommandLine(t *testing.T) {
	s := newStore(t)
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.PID))
	if err != nil || len(line) == 0 || strings.Contains(string(line), "secret-secret") || strings.Contains(s.log.String(), "secret-secret") {
		t.Errorf("%q, %v\n%s", line, err, s.log)
	}
}

func TestObjectStoreKeepsWhatItAcknowledgedOverAKill(t *testing.T) {
	s := newStore(t)
	ctx := within(t, 30*time.Second)
	for i := range 50 {
		check(t, s.put(ctx, fmt.Sprintf("results/a/%d", i), strings.Repeat("x", i)))
	}
	s.kill()
	s.running = start(t, s.args...)
	for i := range 50 {
		body, err := s.get(ctx, fmt.Sprintf("results/a/%d", i), "")
		check(t, err)
		if len(body) != i {
			t.Errorf("object %d has %d bytes", i, len(body))
		}
	}
}

func TestObjectStoreChecksSignatures(t *testing.T) {
	s := newStore(t)
	ctx := within(t, 10*time.Second)
	check(t, s.put(ctx, "k", "v"))
	_, err := s3Client(s.Addr, "another-secret").GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	if status(err) != http.StatusForbidden {
		t.Errorf("a wrong secret gets %v", err)
	}
	resp, err := http.Get("http://" + s.Addr + "/" + bucket + "/k")
	check(t, err)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("an unsigned request gets %d", resp.StatusCode)
	}
}

func TestObjectStoreAcceptsPresignedURLs(t *testing.T) {
	s := newStore(t)
	ctx := within(t, 10*time.Second)
	check(t, s.put(ctx, "k", "v"))
	req, err := s3.NewPresignClient(s.Client).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	check(t, err)
	resp, err := http.Get(req.URL)
	check(t, err)
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != "v" {
		t.Errorf("status %d, body %q", resp.StatusCode, body)
	}
}

func TestObjectStoreLetsOneConditionalPutWin(t *testing.T) {
	s := newStore(t)
	ctx := within(t, 20*time.Second)
	var won, lost atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			_, err := s.PutObject(ctx, &s3.PutObjectInput{
				Bucket: aws.String(bucket), Key: aws.String("pages/1"), IfNoneMatch: aws.String("*"),
				Body: strings.NewReader(fmt.Sprint(i)),
			})
			var api smithy.APIError
			switch {
			case err == nil:
				won.Add(1)
			case status(err) == http.StatusPreconditionFailed && errors.As(err, &api) && api.ErrorCode() == "PreconditionFailed":
				lost.Add(1)
			default:
				t.Errorf("conditional put: %v", err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || lost.Load() != 15 {
		t.Errorf("%d won, %d lost", won.Load(), lost.Load())
	}
}

func TestObjectStoreServesRangesMetadataAndHeads(t *testing.T) {
	s := newStore(t)
	ctx := within(t, 10*time.Second)
	_, err := s.PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("k"), Body: strings.NewReader("0123456789"),
		ContentType: aws.String("application/pdf"), Metadata: map[string]string{"tenant": "acme", "sha256": "ab"},
	})
	check(t, err)
	for byteRange, want := range map[string]string{"bytes=2-4": "234", "bytes=7-": "789", "bytes=-2": "89", "": "0123456789"} {
		got, err := s.get(ctx, "k", byteRange)
		check(t, err)
		if got != want {
			t.Errorf("range %q is %q, want %q", byteRange, got, want)
		}
	}
	if _, err := s.get(ctx, "k", "bytes=50-60"); status(err) != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("a range past the end gets %v", err)
	}
	head, err := s.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	check(t, err)
	if head.Metadata["tenant"] != "acme" || aws.ToString(head.ContentType) != "application/pdf" || aws.ToInt64(head.ContentLength) != 10 {
		t.Errorf("head says %v %v %v", head.Metadata, aws.ToString(head.ContentType), aws.ToInt64(head.ContentLength))
	}
	if _, err := s.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("nope")}); status(err) != http.StatusNotFound {
		t.Errorf("head of a missing object: %v", err)
	}
}

func TestObjectStoreListsInPages(t *testing.T) {
	s := newStore(t)
	ctx := within(t, 20*time.Second)
	var want []string
	for i := range 25 {
		key := fmt.Sprintf("work/acme/%02d/page.png", i)
		want = append(want, key)
		check(t, s.put(ctx, key, "x"))
	}
	check(t, s.put(ctx, "other/1", "x"))
	pages := s3.NewListObjectsV2Paginator(s.Client, &s3.ListObjectsV2Input{
		Bucket: aws.String(bucket), Prefix: aws.String("work/acme/"), MaxKeys: aws.Int32(10),
	})
	var got []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		check(t, err)
		for _, o := range page.Contents {
			got = append(got, *o.Key)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %v", got)
	}
	dirs, err := s.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(bucket), Delimiter: aws.String("/")})
	check(t, err)
	if len(dirs.CommonPrefixes) != 2 || len(dirs.Contents) != 0 {
		t.Errorf("top level: %d prefixes, %d objects", len(dirs.CommonPrefixes), len(dirs.Contents))
	}
}

func TestObjectStoreCopiesAndDeletes(t *testing.T) {
	s := newStore(t)
	ctx := within(t, 10*time.Second)
	check(t, s.put(ctx, "a/1", "page"))
	_, err := s.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("b/2"), CopySource: aws.String(bucket + "/a/1"),
	})
	check(t, err)
	if body, err := s.get(ctx, "b/2", ""); err != nil || body != "page" {
		t.Errorf("the copy is %q, %v", body, err)
	}
	out, err := s.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: aws.String(bucket), Delete: &types.Delete{
		Objects: []types.ObjectIdentifier{{Key: aws.String("a/1")}, {Key: aws.String("b/2")}, {Key: aws.String("never")}},
	}})
	check(t, err)
	if len(out.Errors) > 0 {
		t.Errorf("deleting: %v", out.Errors)
	}
	if _, err := s.get(ctx, "b/2", ""); status(err) != http.StatusNotFound {
		t.Errorf("a deleted object: %v", err)
	}
}

func TestObjectStoreTakesMultipartUploads(t *testing.T) {
	s := newStore(t)
	ctx := within(t, 30*time.Second)
	want := make([]byte, 17<<20)
	_, _ = rand.Read(want)
	uploader := manager.NewUploader(s.Client, func(u *manager.Uploader) { u.PartSize = 5 << 20 }) //nolint:staticcheck // what clients use today
	_, err := uploader.Upload(ctx, &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("large"), Body: bytes.NewReader(want), Metadata: map[string]string{"m": "1"},
	})
	check(t, err)
	got, err := s.get(ctx, "large", "")
	check(t, err)
	if got != string(want) {
		t.Error("the parts were joined to something else")
	}
	begun, err := s.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("unfinished")})
	check(t, err)
	list, err := s.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: aws.String(bucket)})
	check(t, err)
	if len(list.Uploads) != 1 {
		t.Errorf("%d unfinished uploads", len(list.Uploads))
	}
	_, err = s.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: aws.String(bucket), Key: aws.String("unfinished"), UploadId: begun.UploadId,
	})
	check(t, err)
}
