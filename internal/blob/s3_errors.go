package blob

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"docstream/internal/fault"
	"docstream/schemas"
)

// fail says whose fault an error of the SDK is. nil stays nil.
func (s *S3) fail(ctx context.Context, op, key string, err error) error {
	if err == nil {
		return nil
	}
	cause := fmt.Errorf("s3: %s %s/%s: %w", op, s.bucket, key, err)
	if ctx.Err() != nil {
		return fmt.Errorf("s3: %s %s/%s: %w", op, s.bucket, key, ctx.Err())
	}
	code := codeOf(err)
	switch {
	case code == "NoSuchKey" || code == "NoSuchVersion" || code == "NotFound" && key != "":
		return fmt.Errorf("%w: %s", ErrNotFound, key)
	case s.foreign && refusedByOwner(statusOf(err), code):
		return fault.Document(schemas.SourceMissing, "The source bucket cannot be read.").Because(cause)
	case slices.Contains([]string{"InvalidRange", "KeyTooLongError", "EntityTooLarge"}, code):
		return fault.Puzzle(schemas.Internal, "%s", schemas.Codes[schemas.Internal].Meaning).Because(cause) // waiting would not help
	}
	return fault.World(schemas.ServiceUnavailable, "The object store does not answer; try again.").Because(cause)
}

// refusedByOwner says that a foreign bucket is missing, closed to us or in another region, and not that our own credentials, our clock or
// the server's load are at fault.
func refusedByOwner(status int, code string) bool {
	return status >= 300 && status < 500 && status != 408 && status != 429 && !slices.Contains([]string{
		"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "RequestTimeTooSkewed", "RequestTimeout",
		"SlowDown"}, code)
}

// settle is fail for a write that may have been refused because the object exists: 412, or 409 where two such writes met and S3 leaves
// it to us to find out how it ended.
func (s *S3) settle(ctx context.Context, op, key string, o Options, err error) error {
	if err == nil || !o.Once {
		return s.fail(ctx, op, key, err)
	}
	switch status := statusOf(err); {
	case status == 412:
		return fmt.Errorf("%w: %s", ErrExists, key)
	case status == 409:
		if _, headErr := s.Head(ctx, key); headErr == nil {
			return fmt.Errorf("%w: %s", ErrExists, key)
		}
	}
	return s.fail(ctx, op, key, err)
}

// statusOf returns the HTTP status behind an error, 0 where there was no answer.
func statusOf(err error) int {
	var r *http.ResponseError
	if errors.As(err, &r) {
		return r.HTTPStatusCode()
	}
	return 0
}

// codeOf returns the server's own code, such as NoSuchKey. An answer without a body (HEAD) has only its status.
func codeOf(err error) string {
	var a smithy.APIError
	if errors.As(err, &a) {
		return a.ErrorCode()
	}
	return ""
}

// encodeMeta makes a metadata value fit for an HTTP header: what is not plain ASCII becomes an RFC 2047 word, as S3 itself does.
func encodeMeta(v string) string {
	plain := !strings.Contains(v, "=?") && strings.TrimSpace(v) == v
	for _, r := range v {
		plain = plain && r >= ' ' && r <= '~'
	}
	if plain {
		return v
	}
	return mime.BEncoding.Encode("utf-8", v+"\x00") // the zero byte makes it encode what it would deem plain
}

func decodeMeta(v string) string {
	out, err := new(mime.WordDecoder).DecodeHeader(v)
	if err != nil {
		return v
	}
	return strings.TrimSuffix(out, "\x00")
}
