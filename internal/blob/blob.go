// Package blob keeps objects in any S3-compatible store.
//
// Every error is a fault: a missing object is [ErrNotFound], a refused conditional write is [ErrExists], everything else that the store
// or the network did is the world's.
package blob

import (
	"context"
	"errors"
	"io"
	"time"
)

// ErrNotFound says that no object has the key.
var ErrNotFound = errors.New("object not found")

// ErrExists says that a write-once object was there already.
var ErrExists = errors.New("object exists")

// Object is what is known of an object without reading it.
type Object struct {
	Key       string
	Size      int64
	ETag      string
	Version   string // where the bucket keeps versions; empty where it keeps none
	MediaType string
	Modified  time.Time
	Meta      map[string]string // user metadata, lower-case keys
}

// Place says where an object lies.
type Place struct {
	Bucket  string // empty: the store's own
	Key     string
	Version string // empty: the newest
}

// Options of a write.
type Options struct {
	MediaType string
	Meta      map[string]string
	// SHA256 is the lower-case hex digest of the bytes of a Put, where the caller knows it: they are not hashed again to be signed. A store refuses
	// bytes that have another.
	SHA256 string
	// Once refuses to replace an existing object with ErrExists.
	Once bool
}

// Store is the whole interface of the package; rooms declare the part they need.
type Store interface {
	// Put writes an object from memory.
	Put(ctx context.Context, key string, body []byte, o Options) error
	// Upload streams an object of unknown size, holding at most two parts in memory.
	Upload(ctx context.Context, key string, body io.Reader, o Options) error
	// Get reads length bytes from offset; length 0 reads to the end. The caller closes the reader.
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Object, error)
	// Head describes an object.
	Head(ctx context.Context, key string) (Object, error)
	// List calls f for every object under the prefix in key order, until f returns false.
	List(ctx context.Context, prefix string, f func(Object) bool) error
	// Delete removes an object; a missing one is no error.
	Delete(ctx context.Context, key string) error
}
