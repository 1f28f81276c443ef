package objects

import (
	"context"
	"os"
	"path/filepath"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3response"
)

// durable syncs what the gateway only hands to the page cache: bytes and name of an object are on disk when the call returns.
//
// A file is synced after it got its name: one commit of the file system's journal then holds both, and the directories made on the way.
// Where the file system is not known to keep that order, the directories are synced as well.
type durable struct {
	*posix.Posix
	root    string
	ordered bool     // the sync of a file brings its name along
	dirs    sync.Map // directories whose own names are on disk, by path
}

// PutObject stores one object.
func (d *durable) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	out, err := d.Posix.PutObject(ctx, in)
	if err == nil {
		err = d.syncObject(in.Bucket, in.Key)
	}
	return out, err
}

// DeleteObject removes an object, and the directories that are empty after it: what takes their names later is new.
func (d *durable) DeleteObject(ctx context.Context, in *s3.DeleteObjectInput) (*s3.DeleteObjectOutput, error) {
	out, err := d.Posix.DeleteObject(ctx, in)
	d.dirs.Clear()
	return out, err
}

// DeleteObjects removes several.
func (d *durable) DeleteObjects(ctx context.Context, in *s3.DeleteObjectsInput) (s3response.DeleteResult, error) {
	out, err := d.Posix.DeleteObjects(ctx, in)
	d.dirs.Clear()
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

// syncParents syncs the directory that holds the object's name, and those above it up to the bucket that may be new themselves.
func (d *durable) syncParents(bucket, key *string) error {
	if d.ordered || bucket == nil || key == nil {
		return nil
	}
	top := filepath.Join(d.root, *bucket)
	var synced []string
	for dir := filepath.Dir(filepath.Join(top, *key)); len(dir) >= len(top); dir = filepath.Dir(dir) {
		if err := syncPath(dir); err != nil {
			return err
		}
		if _, known := d.dirs.Load(dir); known {
			break
		}
		synced = append(synced, dir)
	}
	for _, dir := range synced {
		d.dirs.Store(dir, true)
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
