package blob

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Rule says how long objects below a prefix are kept after they were written.
type Rule struct {
	Prefix string
	After  time.Duration
}

// ErrNoLifecycle says that the store does not take lifecycle rules, or not from us.
var ErrNoLifecycle = errors.New("the bucket takes no lifecycle rules")

const (
	ruleIDs        = "docstream-" // what the ids of our rules begin with
	uploadsKept    = 7            // days after which an unfinished multipart upload is dropped
	uploadsRule    = ruleIDs + "uploads"
	lifecycleUnset = "NoSuchLifecycleConfiguration"
)

// Expire has the bucket itself remove what the rules say, in whole days, and what is left of uploads that nobody finished. Rules of others
// stay. It asks before it writes: a bucket that has the rules is not written to, so that whoever may only read them finds them in place.
// ErrNoLifecycle: nothing will expire by itself.
func (s *S3) Expire(ctx context.Context, rules []Rule) (err error) {
	defer s.metrics.observe("lifecycle", time.Now(), &err)
	var have []types.LifecycleRule
	got, err := s.client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &s.bucket})
	switch {
	case err == nil:
		have = got.Rules
	case codeOf(err) != lifecycleUnset:
		return s.lifecycle(ctx, err)
	}
	want := lifecycle(rules)
	ours := func(r types.LifecycleRule) bool { return strings.HasPrefix(aws.ToString(r.ID), ruleIDs) }
	if slices.EqualFunc(sorted(slices.DeleteFunc(slices.Clone(have), func(r types.LifecycleRule) bool { return !ours(r) })), sorted(want), sameRule) {
		return nil
	}
	all := append(slices.DeleteFunc(have, ours), want...)
	_, err = s.client.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: &s.bucket,
		LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: all}})
	return s.lifecycle(ctx, err)
}

// lifecycle tells a store that has no such thing, or keeps it from us, from one that does not answer.
func (s *S3) lifecycle(ctx context.Context, err error) error {
	if status := statusOf(err); err != nil && (status == 501 || status == 405 || status == 403 || status == 400) {
		return fmt.Errorf("%w: %s", ErrNoLifecycle, codeOf(err))
	}
	return s.fail(ctx, "lifecycle", "", err)
}

func lifecycle(rules []Rule) []types.LifecycleRule {
	out := []types.LifecycleRule{{ID: aws.String(uploadsRule), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String("")},
		AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(uploadsKept)}}}
	const day = 24 * time.Hour
	for _, r := range rules {
		days := int32((r.After + day - 1) / day)
		out = append(out, types.LifecycleRule{ID: aws.String(ruleIDs + strings.Trim(r.Prefix, "/")), Status: types.ExpirationStatusEnabled,
			Filter: &types.LifecycleRuleFilter{Prefix: aws.String(r.Prefix)}, Expiration: &types.LifecycleExpiration{Days: aws.Int32(days)}})
	}
	return out
}

func sorted(rules []types.LifecycleRule) []types.LifecycleRule {
	return slices.SortedFunc(slices.Values(rules), func(a, b types.LifecycleRule) int { return strings.Compare(aws.ToString(a.ID), aws.ToString(b.ID)) })
}

// sameRule compares what our rules say.
func sameRule(a, b types.LifecycleRule) bool {
	said := func(r types.LifecycleRule) string {
		days, uploads, prefix := int32(0), int32(0), ""
		if r.Expiration != nil {
			days = aws.ToInt32(r.Expiration.Days)
		}
		if r.AbortIncompleteMultipartUpload != nil {
			uploads = aws.ToInt32(r.AbortIncompleteMultipartUpload.DaysAfterInitiation)
		}
		if r.Filter != nil {
			prefix = aws.ToString(r.Filter.Prefix)
		}
		return fmt.Sprint(aws.ToString(r.ID), r.Status, prefix, days, uploads)
	}
	return said(a) == said(b)
}
