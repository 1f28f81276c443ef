package objects

import (
	"context"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3response"
)

// durable syncs what the gateway only hands to the page cache: an object's bytes before it gets its name, and the
// directory before the answer is sent.
type durable struct {
	*posix.Posix
	root string
}

// PutObject stores one object. Its bytes are on disk when it becomes visible, its name when the call returns.
func (d *durable) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	out, err := d.PutObjectWithPostFunc(ctx, in, (*os.File).Sync)
	if err == nil {
		err = d.syncParents(in.Bucket, in.Key)
	}
	return out, err
}

// UploadPart stores one part of a multipart upload, synced like an object.
func (d *durable) UploadPart(ctx context.Context, in *s3.UploadPartInput) (*s3.UploadPartOutput, error) {
	return d.UploadPartWithPostFunc(ctx, in, (*os.File).Sync)
}

// CompleteMultipartUpload joins the parts and syncs the object they became.
func (d *durable) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput) (
	s3response.CompleteMultipartUploadResult, string, error,
) {
	out, version, err := d.Posix.CompleteMultipartUpload(ctx, in)
	if err == nil {
		err = d.syncObject(in.Bucket, in.Key)
	}
	return out, version, err
}

// CopyObject copies on the server and syncs the copy.
func (d *durable) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (s3response.CopyObjectOutput, error) {
	out, err := d.Posix.CopyObject(ctx, in)
	if err == nil {
		err = d.syncObject(in.Bucket, in.Key)
	}
	return out, err
}

func (d *durable) syncObject(bucket, key *string) error {
	if bucket == nil || key == nil {
		return nil
	}
	if err := syncPath(filepath.Join(d.root, *bucket, *key)); err != nil {
		return err
	}
	return d.syncParents(bucket, key)
}

// syncParents syncs the directories between the object and its bucket: any of them may be new.
func (d *durable) syncParents(bucket, key *string) error {
	if bucket == nil || key == nil {
		return nil
	}
	top := filepath.Join(d.root, *bucket)
	for dir := filepath.Dir(filepath.Join(top, *key)); len(dir) >= len(top); dir = filepath.Dir(dir) {
		if err := syncPath(dir); err != nil {
			return err
		}
	}
	return nil
}

// syncPath syncs a file or a directory. One that is gone was deleted by somebody else after it was stored.
func syncPath(path string) error {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
