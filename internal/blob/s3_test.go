package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/prometheus/client_golang/prometheus"

	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/internal/testenv"
	"docstream/schemas"
)

func open(t testing.TB, cfg blob.Config) *blob.S3 {
	t.Helper()
	s, err := blob.Open(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(b)
	return b
}

func read(t *testing.T, s blob.Store, key string, offset, length int64) ([]byte, blob.Object) {
	t.Helper()
	r, o, err := s.Get(t.Context(), key, offset, length)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b, o
}

func TestS3(t *testing.T) {
	cfg := testenv.S3(t)
	s := open(t, cfg)
	ctx := t.Context()
	if err := s.Ready(ctx); err != nil {
		t.Fatal(err)
	}

	t.Run("reads back what was put, whole and in ranges", func(t *testing.T) {
		body := []byte("0123456789")
		o := blob.Options{MediaType: "text/plain; charset=utf-8", Meta: map[string]string{"tenant": "acme", "label": "Grüße 契約 =?", "odd": " x "}}
		if err := s.Put(ctx, "a/plain", body, o); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			offset, length int64
			want           string
		}{{0, 0, "0123456789"}, {0, 4, "0123"}, {3, 2, "34"}, {8, 100, "89"}, {5, 0, "56789"}} {
			got, obj := read(t, s, "a/plain", c.offset, c.length)
			if string(got) != c.want || obj.Size != 10 {
				t.Errorf("%d+%d: %q of %d bytes, want %q of 10", c.offset, c.length, got, obj.Size, c.want)
			}
		}
		h, err := s.Head(ctx, "a/plain")
		if err != nil {
			t.Fatal(err)
		}
		if h.Size != 10 || h.MediaType != o.MediaType || !maps.Equal(h.Meta, o.Meta) || h.ETag == "" || time.Since(h.Modified) > time.Hour {
			t.Errorf("%+v", h)
		}
	})

	t.Run("an empty object reads as nothing", func(t *testing.T) {
		if err := s.Upload(ctx, "a/empty", strings.NewReader(""), blob.Options{}); err != nil {
			t.Fatal(err)
		}
		for _, length := range []int64{0, 512} {
			if got, o := read(t, s, "a/empty", 0, length); len(got) != 0 || o.Size != 0 {
				t.Errorf("length %d: %q, %+v", length, got, o)
			}
		}
	})

	t.Run("what is missing is ErrNotFound, and deleting it is no error", func(t *testing.T) {
		if _, err := s.Head(ctx, "a/none"); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("head: %v", err)
		}
		if _, _, err := s.Get(ctx, "a/none", 0, 0); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("get: %v", err)
		}
		if err := s.Delete(ctx, "a/none"); err != nil {
			t.Errorf("delete: %v", err)
		}
	})

	t.Run("a range behind the end is neither missing nor waited for", func(t *testing.T) {
		if err := s.Put(ctx, "a/short", []byte("x"), blob.Options{}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Get(ctx, "a/short", 5, 1); err == nil || fault.KindOf(err) != fault.Unknown {
			t.Errorf("%v", err)
		}
	})

	t.Run("uploads of every size arrive whole", func(t *testing.T) {
		part := int(cfg.PartBytes)
		for _, n := range []int{1, part - 1, part, part + 1, 2 * part, 2*part + 1, 3*part + 7} {
			body := noise(n)
			key := fmt.Sprintf("a/size-%d", n)
			if err := s.Upload(ctx, key, iotest.HalfReader(bytes.NewReader(body)), blob.Options{MediaType: "application/pdf"}); err != nil {
				t.Fatalf("%d: %v", n, err)
			}
			got, o := read(t, s, key, 0, 0)
			if sha256.Sum256(got) != sha256.Sum256(body) || o.Size != int64(n) || o.MediaType != "application/pdf" {
				t.Errorf("%d bytes became %d, %+v", n, len(got), o)
			}
		}
	})

	t.Run("lists in key order until told to stop", func(t *testing.T) {
		for _, i := range []int{3, 1, 2, 10} {
			if err := s.Put(ctx, fmt.Sprintf("list/%02d", i), []byte("x"), blob.Options{}); err != nil {
				t.Fatal(err)
			}
		}
		var keys []string
		if err := s.List(ctx, "list/", func(o blob.Object) bool { keys = append(keys, o.Key); return len(keys) < 3 }); err != nil {
			t.Fatal(err)
		}
		if want := []string{"list/01", "list/02", "list/03"}; !slices.Equal(keys, want) {
			t.Errorf("%v, want %v", keys, want)
		}
	})
}

func TestS3WritesOnce(t *testing.T) {
	cfg := testenv.S3(t)
	s := open(t, cfg)
	large := int(cfg.PartBytes) + 1
	for name, write := range map[string]func(key string, fill byte) error{
		"put": func(key string, fill byte) error {
			return s.Put(t.Context(), key, []byte{fill}, blob.Options{Once: true})
		},
		"upload": func(key string, fill byte) error {
			return s.Upload(t.Context(), key, bytes.NewReader([]byte{fill}), blob.Options{Once: true})
		},
		"multipart upload": func(key string, fill byte) error {
			return s.Upload(t.Context(), key, bytes.NewReader(bytes.Repeat([]byte{fill}, large)), blob.Options{Once: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			key := "once/" + name
			if err := write(key, 'a'); err != nil {
				t.Fatal(err)
			}
			if err := write(key, 'b'); !errors.Is(err, blob.ErrExists) {
				t.Fatalf("the second write: %v", err)
			}
			if got, _ := read(t, s, key, 0, 1); string(got) != "a" {
				t.Errorf("the loser's %q replaced it", got)
			}
		})
	}

	t.Run("of many at once one wins", func(t *testing.T) {
		var won atomic.Int32
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				err := s.Put(t.Context(), "once/race", []byte{byte(i)}, blob.Options{Once: true})
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, blob.ErrExists) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("%d writers won", won.Load())
		}
	})
}

func TestAnUploadThatFailsLeavesNothing(t *testing.T) {
	cfg := testenv.S3(t)
	s := open(t, cfg)
	raw := s3.New(s3.Options{BaseEndpoint: &cfg.Endpoint, Region: cfg.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(cfg.AccessKey, cfg.SecretKey, "")})
	broken := errors.New("the client has gone")
	for name, size := range map[string]int64{"in the first part": 10, "in the second part": cfg.PartBytes + 1, "in the third part": 2*cfg.PartBytes + 1} {
		for why, cut := range map[string]error{"broken": broken, "cut off": io.ErrUnexpectedEOF} {
			t.Run(name+" "+why, func(t *testing.T) {
				key := "broken/" + name
				body := io.MultiReader(bytes.NewReader(make([]byte, size)), iotest.ErrReader(cut))
				if err := s.Upload(t.Context(), key, body, blob.Options{}); !errors.Is(err, cut) {
					t.Fatalf("%v, want the body's own error", err)
				}
				if _, err := s.Head(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
					t.Errorf("head: %v", err)
				}
				left, err := raw.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &cfg.Bucket})
				if err != nil || len(left.Uploads) > 0 {
					t.Errorf("unfinished uploads: %v, %v", left.Uploads, err)
				}
			})
		}
	}
}

func TestACancelledCallSaysSo(t *testing.T) {
	s := open(t, testenv.S3(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := map[string]error{
		"put":    s.Put(ctx, "k", nil, blob.Options{}),
		"upload": s.Upload(ctx, "k", strings.NewReader("x"), blob.Options{}),
		"delete": s.Delete(ctx, "k"),
		"list":   s.List(ctx, "", func(blob.Object) bool { return true }),
	}
	_, calls["head"] = s.Head(ctx, "k")
	_, _, calls["get"] = s.Get(ctx, "k", 0, 0)
	for op, err := range calls {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", op, err)
		}
	}
}

func TestABucketIsCreatedOnceByAll(t *testing.T) {
	cfg := testenv.S3(t)
	cfg.Bucket = "another"
	s := open(t, cfg)
	if err := s.Ready(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Fatalf("ready without a bucket: %v", err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := s.EnsureBucket(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := s.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAForeignBucketThatIsMissingIsTheDocumentsFault(t *testing.T) {
	cfg := testenv.S3(t)
	s := open(t, cfg)
	if err := s.Put(t.Context(), "here", []byte("x"), blob.Options{}); err != nil {
		t.Fatal(err)
	}
	if got, _ := read(t, s.In(cfg.Bucket), "here", 0, 0); string(got) != "x" {
		t.Errorf("%q", got)
	}
	_, _, err := s.In("not-there").Get(t.Context(), "here", 0, 0)
	if f := fault.Of(err); f.Kind != fault.Permanent || f.Code != schemas.SourceMissing {
		t.Errorf("%v", err)
	}
}

func TestAForeignBucketIsJudgedByWhatItsServerSays(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		want   fault.Kind
	}{
		{403, "AccessDenied", fault.Permanent}, {404, "NoSuchBucket", fault.Permanent}, {301, "PermanentRedirect", fault.Permanent},
		{400, "AuthorizationHeaderMalformed", fault.Permanent},
		{403, "InvalidAccessKeyId", fault.Unavailable}, {403, "RequestTimeTooSkewed", fault.Unavailable}, {503, "SlowDown", fault.Unavailable},
		{500, "InternalError", fault.Unavailable},
	} {
		t.Run(c.code, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", c.code)
			}))
			defer server.Close()
			cfg := blob.DefaultConfig()
			cfg.Endpoint, cfg.AccessKey, cfg.SecretKey, cfg.Attempts = server.URL, "a", "b", 1
			s := open(t, cfg)
			if _, _, err := s.In("theirs").Get(t.Context(), "k", 0, 0); fault.KindOf(err) != c.want {
				t.Errorf("theirs: %v", err)
			}
			if _, _, err := s.Get(t.Context(), "k", 0, 0); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("ours: %v", err)
			}
		})
	}
}

func TestAServerThatIsAwayIsTheWorldsFault(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	defer failing.Close()
	for name, endpoint := range map[string]string{"closed": "http://127.0.0.1:1", "silent": "http://" + silent.Addr().String(), "failing": failing.URL} {
		t.Run(name, func(t *testing.T) {
			cfg := blob.DefaultConfig()
			cfg.Endpoint, cfg.AccessKey, cfg.SecretKey, cfg.Attempts, cfg.Stall = endpoint, "a", "hunter2", 2, time.Second
			reg := prometheus.NewRegistry()
			s, err := blob.Open(cfg, reg)
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			err = s.Put(t.Context(), "k", []byte("x"), blob.Options{})
			if f := fault.Of(err); f.Kind != fault.Unavailable || f.Code != schemas.ServiceUnavailable {
				t.Errorf("%v", err)
			}
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("it took %s", took)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the secret is in the error: %v", err)
			}
			if got := count(t, reg, "docstream_objects_requests_total"); got != 1 {
				t.Errorf("counted %v requests", got)
			}
		})
	}
}

func TestABodyThatStallsIsTheWorldsFault(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("half"))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	cfg := blob.DefaultConfig()
	cfg.Endpoint, cfg.AccessKey, cfg.SecretKey, cfg.Stall = server.URL, "a", "b", time.Second
	r, _, err := open(t, cfg).Get(t.Context(), "k", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadAll(r); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestConfigRefusesWhatCannotWork(t *testing.T) {
	if err := blob.DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*blob.Config){
		"no bucket":       func(c *blob.Config) { c.Bucket = "" },
		"no region":       func(c *blob.Config) { c.Region = "" },
		"half a login":    func(c *blob.Config) { c.AccessKey = "a" },
		"small parts":     func(c *blob.Config) { c.PartBytes = 1 << 20 },
		"no connection":   func(c *blob.Config) { c.Connections = 0 },
		"an odd endpoint": func(c *blob.Config) { c.Endpoint = "localhost:9000" },
		"no patience":     func(c *blob.Config) { c.Stall = 0 },
	} {
		c := blob.DefaultConfig()
		spoil(&c)
		if _, err := blob.Open(c, nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func count(t *testing.T, reg *prometheus.Registry, name string) (n float64) {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

func TestTwoStoresShareOneRegistry(t *testing.T) {
	reg := prometheus.NewRegistry()
	for range 2 {
		if _, err := blob.Open(blob.DefaultConfig(), reg); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	s := open(b, testenv.S3(b))
	body := noise(100 << 10)
	b.SetBytes(int64(len(body)))
	var n atomic.Int64
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := s.Put(b.Context(), fmt.Sprintf("b/%d", n.Add(1)), body, blob.Options{Once: true}); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkUpload(b *testing.B) {
	s := open(b, testenv.S3(b))
	body := noise(21 << 20)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := s.Upload(b.Context(), fmt.Sprintf("b/%d", i), bytes.NewReader(body), blob.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestADigestThatIsKnownSignsTheObject: the bytes that have it are taken, and no others are.
func TestADigestThatIsKnownSignsTheObject(t *testing.T) {
	s := open(t, testenv.S3(t))
	body := noise(100 << 10)
	for name, c := range map[string]struct {
		of   []byte
		good bool
	}{"its own": {body, true}, "another's": {noise(7), false}} {
		key := "sources/acme/" + name
		err := s.Put(t.Context(), key, body, blob.Options{SHA256: fmt.Sprintf("%x", sha256.Sum256(c.of))})
		if (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.Head(t.Context(), key); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, _ := read(t, s, "sources/acme/its own", 0, 0); !bytes.Equal(got, body) {
		t.Errorf("%d bytes", len(got))
	}
}
