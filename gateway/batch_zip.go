package gateway

import (
	"archive/zip"
	"compress/flate"
	"context"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"sync"

	"docstream/internal/fault"
	"docstream/schemas"
)

// zipSource reads the documents of a batch that came as a zip. Its directory is read once; each document is read through a buffer of its own.
type zipSource struct {
	g *Gateway
	e *schemas.BatchChanged

	mu   sync.Mutex
	read *zip.Reader
	at   *ranged // behind read
}

// directory reads the directory, once.
func (z *zipSource) directory(ctx context.Context) (*zip.Reader, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.read != nil {
		return z.read, nil
	}
	o, err := z.g.objects.Head(ctx, z.e.Object)
	if err != nil {
		return nil, err
	}
	read, at, err := openZip(ctx, z.g.objects, z.e.Object, o.Size)
	if err != nil {
		return nil, err
	}
	z.read, z.at = read, at
	return read, nil
}

// receive unpacks one file of the zip into the store. A zip in the zip is a document as any other: it is not opened.
func (z *zipSource) receive(ctx context.Context, u *upload, item batchItem) error {
	all, err := z.directory(ctx)
	if err != nil {
		return err
	}
	if item.At < 0 || item.At >= int64(len(all.File)) {
		return invalidBatch("The zip has no such file.")
	}
	entry := all.File[item.At]
	if entry.UncompressedSize64 > uint64(z.g.maxFile(u.tenant)) {
		return refuse(schemas.FileTooLarge, "").with("max_bytes", z.g.maxFile(u.tenant))
	}
	if entry.Flags&1 != 0 {
		return refuse(schemas.DocumentEncrypted, "The file is encrypted in the zip.")
	}
	from, err := z.open(ctx, entry)
	if err != nil {
		return err
	}
	err = u.file(ctx, from, "", entry.Name)
	if u.body == nil || u.body.failed == nil || errors.Is(u.body.failed, errTooLarge) {
		return err
	}
	var world *fault.Error
	if errors.As(u.body.failed, &world) || ctx.Err() != nil { // the store's, not the file's
		return u.body.failed
	}
	return refuse(schemas.DocumentCorrupt, damaged).because(u.body.failed)
}

// open unpacks a file by a reader of its own, for several are read at once. It ends in an error where the bytes are not those that the directory
// tells, or go on past what it tells.
func (z *zipSource) open(ctx context.Context, entry *zip.File) (io.Reader, error) {
	z.mu.Lock()
	z.at.ctx = ctx
	at, err := entry.DataOffset()
	z.mu.Unlock()
	var world *fault.Error
	if errors.As(err, &world) || ctx.Err() != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	if err != nil {
		return nil, refuse(schemas.DocumentCorrupt, damaged).because(err)
	}
	own := &ranged{ctx: ctx, objects: z.g.objects, key: z.e.Object, size: z.at.size}
	packed := io.NewSectionReader(own, at, int64(min(entry.CompressedSize64, uint64(z.at.size))))
	switch entry.Method {
	case zip.Store:
		return &checked{from: packed, entry: entry, sum: crc32.NewIEEE()}, nil
	case zip.Deflate:
		return &checked{from: flate.NewReader(packed), entry: entry, sum: crc32.NewIEEE()}, nil
	}
	return nil, refuse(schemas.DocumentUnsupported, "The file is packed in a way that is not read.").with("method", entry.Method)
}

const damaged = "The file cannot be unpacked from the zip."

// checked is a file of a zip as it is unpacked, held to size and checksum of the directory.
type checked struct {
	from  io.Reader
	entry *zip.File
	read  uint64
	sum   hash.Hash32
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.read += uint64(n)
	c.sum.Write(p[:n])
	switch {
	case c.read > c.entry.UncompressedSize64:
		return 0, zip.ErrFormat
	case errors.Is(err, io.EOF) && (c.read != c.entry.UncompressedSize64 || c.sum.Sum32() != c.entry.CRC32):
		return 0, zip.ErrChecksum
	}
	return n, err
}
