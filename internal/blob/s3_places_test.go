package blob_test

import (
	"errors"
	"io"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/internal/testenv"
)

func whole(t *testing.T, s *blob.S3, p blob.Place) (string, blob.Object) {
	t.Helper()
	r, o, err := s.GetFrom(t.Context(), p)
	if err != nil {
		t.Fatalf("%+v: %v", p, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), o
}

func TestVersionsOfAForeignBucketAreReadAndListed(t *testing.T) {
	cfg := blob.DefaultConfig()
	cfg.Endpoint, cfg.AccessKey, cfg.SecretKey = testenv.Moto(t), "test", "test"
	own := open(t, cfg)
	theirs := own.In("theirs")
	for _, s := range []*blob.S3{own, theirs} {
		if err := s.EnsureBucket(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := theirs.Put(t.Context(), "plain", []byte("plain"), blob.Options{}); err != nil {
		t.Fatal(err)
	}
	client := s3.New(s3.Options{Region: cfg.Region, BaseEndpoint: &cfg.Endpoint, UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
	if _, err := client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{Bucket: aws.String("theirs"),
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}}); err != nil {
		t.Fatal(err)
	}
	for _, o := range []struct{ key, body string }{{"a b+ü", "one"}, {"a b+ü", "two"}, {"gone", "x"}} {
		if err := theirs.Put(t.Context(), o.key, []byte(o.body), blob.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	_, first := whole(t, own, blob.Place{Bucket: "theirs", Key: "gone"})
	if err := theirs.Delete(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	if b, _ := whole(t, own, blob.Place{Bucket: "theirs", Key: "gone", Version: first.Version}); b != "x" {
		t.Errorf("an old version reads %q", b)
	}
	if _, _, err := own.GetFrom(t.Context(), blob.Place{Bucket: "theirs", Key: "gone"}); !errors.Is(err, blob.ErrNotFound) && fault.KindOf(err) != fault.Permanent {
		t.Errorf("a deleted object: %v", err)
	}
	got := map[string]blob.Object{}
	if err := theirs.ListVersions(t.Context(), "", func(o blob.Object) bool { got[o.Key] = o; return true }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got["plain"].Version != "" || got["a b+ü"].Version == "" {
		t.Errorf("listed %+v", got)
	}
	if b, o := whole(t, own, blob.Place{Bucket: "theirs", Key: "a b+ü", Version: got["a b+ü"].Version}); b != "two" || o.Version != got["a b+ü"].Version || o.ETag != got["a b+ü"].ETag {
		t.Errorf("the newest version reads %q, %+v", b, o)
	}
}

func TestABucketThatKeepsNoVersionsIsListed(t *testing.T) {
	s := open(t, testenv.S3(t))
	for _, k := range []string{"in/a", "in/b", "out/c"} {
		if err := s.Put(t.Context(), k, []byte(k), blob.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	var keys []string
	err := s.ListVersions(t.Context(), "in/", func(o blob.Object) bool {
		if o.Version != "" || o.ETag == "" || o.Size != 4 || o.Modified.IsZero() {
			t.Errorf("listed %+v", o)
		}
		keys = append(keys, o.Key)
		return true
	})
	if err != nil || len(keys) != 2 {
		t.Errorf("listed %v, %v", keys, err)
	}
}
