package retention_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"docstream/internal/blob"
	"docstream/internal/retention"
	"docstream/internal/testenv"
)

func open(t *testing.T, cfg blob.Config) *blob.S3 {
	t.Helper()
	s, err := blob.Open(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.EnsureBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func moto(t *testing.T) blob.Config {
	cfg := blob.DefaultConfig()
	cfg.Endpoint, cfg.AccessKey, cfg.SecretKey = testenv.Moto(t), "test", "test"
	return cfg
}

func keeper(o retention.Objects, cfg retention.Config) *retention.Keeper {
	return retention.New(cfg, o, slog.New(slog.DiscardHandler), nil)
}

// keys lists what lies in the bucket, but for the markers of sweeps.
func keys(t *testing.T, s *blob.S3) (out []string) {
	t.Helper()
	if err := s.List(t.Context(), "", func(o blob.Object) bool {
		if len(o.Key) < 6 || o.Key[:6] != "sweep/" {
			out = append(out, o.Key)
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func put(t *testing.T, s *blob.S3, keys ...string) {
	t.Helper()
	for _, k := range keys {
		if err := s.Put(t.Context(), k, []byte("x"), blob.Options{}); err != nil {
			t.Fatal(err)
		}
	}
}

// breaking is a store that fails after so many removals.
type breaking struct {
	*blob.S3
	left atomic.Int32
}

func (b *breaking) Delete(ctx context.Context, key string) error {
	if b.left.Add(-1) < 0 {
		return errors.New("the store is away")
	}
	return b.S3.Delete(ctx, key)
}

// TestASweepRemovesWhatWasKeptLongEnoughAndNothingElse: on both stores, by the rule of each prefix; one worker a turn; and what a sweep that
// broke off left over goes in the next turn.
func TestASweepRemovesWhatWasKeptLongEnoughAndNothingElse(t *testing.T) {
	for name, at := range map[string]func(*testing.T) blob.Config{"embedded": func(t *testing.T) blob.Config { return testenv.S3(t) }, "moto": moto} {
		t.Run(name, func(t *testing.T) {
			s := open(t, at(t))
			cfg := retention.DefaultConfig()
			cfg.By, cfg.Results, cfg.Work, cfg.Rate, cfg.Parallel = retention.Sweep, time.Second, time.Second, 10_000, 1
			var old []string
			for n := range 12 {
				old = append(old, fmt.Sprintf("results/acme/job_1/0/pages/%06d.json", n))
			}
			stay := []string{"archive/facts/1", "idem/acme/1", "other/1", "sources/acme/1"}
			put(t, s, append(append(slices.Clone(stay), "work/acme/job_1/0/pages/1.png"), old...)...)
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) { // until the youngest is old enough
				o, err := s.Head(t.Context(), old[len(old)-1])
				if err != nil || time.Now().After(end) {
					t.Fatal(err)
				}
				if time.Since(o.Modified) > cfg.Results {
					break
				}
			}
			put(t, s, "results/acme/job_2/0/document.json") // written just now
			turn := time.Now().Truncate(time.Hour)
			first := &breaking{S3: s}
			first.left.Store(5)
			if outcome, err := keeper(first, cfg).Once(t.Context(), turn); outcome != "failed" || err == nil {
				t.Errorf("a sweep whose store fails ends %s %v", outcome, err)
			}
			cfg.Results = time.Hour // what was written just now may be old by the time the sweep comes there
			cfg.Work = time.Second
			if outcome, err := keeper(s, cfg).Once(t.Context(), turn); outcome != "left" || err != nil || len(keys(t, s)) != len(stay)+1+len(old)-5+1 {
				t.Errorf("a second worker in the same turn ends %s %v and leaves %v", outcome, err, keys(t, s))
			}
			if outcome, err := keeper(s, cfg).Once(t.Context(), turn.Add(time.Hour)); outcome != "done" || err != nil {
				t.Errorf("the next turn ends %s %v", outcome, err)
			}
			if got := keys(t, s); slices.Contains(got, "work/acme/job_1/0/pages/1.png") || !slices.Contains(got, "results/acme/job_2/0/document.json") {
				t.Errorf("the next turn leaves %v", got)
			}
			cfg.Results = time.Nanosecond
			if outcome, err := keeper(s, cfg).Once(t.Context(), turn.Add(2*time.Hour)); outcome != "done" || err != nil {
				t.Errorf("the last turn ends %s %v", outcome, err)
			}
			if got := keys(t, s); !slices.Equal(got, stay) {
				t.Errorf("there is left %v, want %v", got, stay)
			}
		})
	}
}

// TestABucketThatTakesRulesExpiresByItself: the rules are set once, in days, beside those of others, and follow the configuration.
func TestABucketThatTakesRulesExpiresByItself(t *testing.T) {
	at := moto(t)
	s := open(t, at)
	client := s3.New(s3.Options{Region: at.Region, BaseEndpoint: &at.Endpoint, UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
	theirs := types.LifecycleRule{ID: aws.String("theirs"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("other/")},
		Expiration: &types.LifecycleExpiration{Days: aws.Int32(3)}}
	if _, err := client.PutBucketLifecycleConfiguration(t.Context(), &s3.PutBucketLifecycleConfigurationInput{Bucket: &at.Bucket,
		LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{theirs}}}); err != nil {
		t.Fatal(err)
	}
	cfg := retention.DefaultConfig()
	for _, want := range []map[string]int32{
		{"other/": 3, "sources/": 30, "announced/": 30, "batches/": 30, "idem/": 30, "results/": 30, "work/": 4},
		{"other/": 3, "sources/": 30, "announced/": 30, "batches/": 30, "idem/": 30, "results/": 2, "work/": 4, "archive/": 365},
	} {
		for range 2 {
			if by, err := keeper(s, cfg).Apply(t.Context()); by != retention.Bucket || err != nil {
				t.Fatalf("objects expire by %s: %v", by, err)
			}
		}
		got, err := client.GetBucketLifecycleConfiguration(t.Context(), &s3.GetBucketLifecycleConfigurationInput{Bucket: &at.Bucket})
		if err != nil {
			t.Fatal(err)
		}
		uploads := 0
		for _, r := range got.Rules {
			if r.AbortIncompleteMultipartUpload != nil {
				uploads++
				continue
			}
			if p := aws.ToString(r.Filter.Prefix); aws.ToInt32(r.Expiration.Days) != want[p] {
				t.Errorf("%s expires after %d days, want %d", p, aws.ToInt32(r.Expiration.Days), want[p])
			}
		}
		if len(got.Rules) != len(want)+1 || uploads != 1 {
			t.Errorf("the bucket has %d rules, want %d", len(got.Rules), len(want)+1)
		}
		cfg.Results, cfg.Archive = 25*time.Hour, 365*24*time.Hour
	}
}

func TestAStoreWithoutRulesIsSwept(t *testing.T) {
	s := open(t, testenv.S3(t))
	cfg := retention.DefaultConfig()
	if by, err := keeper(s, cfg).Apply(t.Context()); by != retention.Sweep || err != nil {
		t.Errorf("objects expire by %q: %v", by, err)
	}
	cfg.By = retention.Bucket
	if _, err := keeper(s, cfg).Apply(t.Context()); !errors.Is(err, blob.ErrNoLifecycle) {
		t.Errorf("a store without rules answers %v", err)
	}
	cfg.By = retention.None
	if by, err := keeper(s, cfg).Apply(t.Context()); by != retention.None || err != nil {
		t.Errorf("objects expire by %q: %v", by, err)
	}
}

func TestSettingsThatCannotWorkAreRefused(t *testing.T) {
	for name, change := range map[string]func(*retention.Config){
		"nobody knows who":          func(c *retention.Config) { c.By = "magic" },
		"less than no time":         func(c *retention.Config) { c.Work = -1 },
		"hours by a bucket":         func(c *retention.Config) { c.Results = time.Hour },
		"a sweep without a rate":    func(c *retention.Config) { c.Rate = 0 },
		"a sweep that never ends":   func(c *retention.Config) { c.Every = 0 },
		"a sweep without a removal": func(c *retention.Config) { c.Parallel = 0 },
	} {
		cfg := retention.DefaultConfig()
		if change(&cfg); cfg.Validate() == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := retention.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}
