package blob

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Link says what a client gets who follows the address of an object.
type Link struct {
	For         time.Duration // the address holds so long, at most 7 days
	MediaType   string        // Content-Type of the answer; empty: the object's own
	Disposition string        // Content-Disposition of the answer; empty: none
}

// MaxLink is how long the protocol lets an address hold.
const MaxLink = 7 * 24 * time.Hour

// Link returns an address at which anybody can read the object with GET and nothing else, without a key, for a while. It makes no call: an
// object that is not there has an address too.
func (s *S3) Link(ctx context.Context, key string, l Link) (string, error) {
	r, err := s.presigner(l.For).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key,
		ResponseContentType: optional(l.MediaType), ResponseContentDisposition: optional(l.Disposition)})
	if err != nil {
		return "", s.fail(ctx, "link", key, err)
	}
	return r.URL, nil
}
