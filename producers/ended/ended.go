// Package ended reads how a job ended that the stream has let go of: what its sink wrote into the object store, job.json.
package ended

import (
	"context"
	"errors"
	"fmt"
	"io"

	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/schemas"
)

// Objects is the part of the store that is needed here.
type Objects interface {
	List(ctx context.Context, prefix string, f func(blob.Object) bool) error
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Object, error)
}

// maxFile bounds what is read of a job.json (P6).
const maxFile = 16 << 20

// Job returns how the newest run of a job ended, as its last version says: nil where nobody has written that. A file that is deleted meanwhile
// made room for a newer one. An error is the store's: the job may exist (P4).
func Job(ctx context.Context, objects Objects, tenant, job string) (*schemas.JobSnapshot, error) {
	if !schemas.ValidTenant(tenant) || !schemas.ValidJobID(job) {
		return nil, nil
	}
	for range 3 {
		newest := ""
		if err := objects.List(ctx, schemas.JobFilesPrefix(tenant, job), func(o blob.Object) bool { newest = max(newest, o.Key); return true }); err != nil {
			return nil, err
		}
		if newest == "" {
			return nil, nil
		}
		body, _, err := objects.Get(ctx, newest, 0, 0)
		if errors.Is(err, blob.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(io.LimitReader(body, maxFile))
		if err = errors.Join(err, body.Close()); err != nil {
			return nil, err
		}
		s := &schemas.JobSnapshot{}
		if err := schemas.ReadText(b, s); err != nil || s.Tenant != tenant || s.JobID != job { // P8
			return nil, away(fmt.Errorf("%s is not what its key says: %w", newest, err))
		}
		return s, nil
	}
	return nil, away(errors.New("how the job ended is being written anew"))
}

// away is the error of a store that does not say what it should.
func away(why error) error {
	return fault.World(schemas.ServiceUnavailable, "%s", schemas.Codes[schemas.ServiceUnavailable].Meaning).Because(why)
}
