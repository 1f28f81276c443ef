package blob

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"docstream/internal/fault"
	"docstream/schemas"
)

// Upload streams an object of unknown size, holding at most two parts in memory (P6): one is sent while the next is read. A body of one
// part or less is one request. On any failure nothing becomes visible and the parts sent so far are removed.
//
// An error of the body comes back as it is; Once is decided when the upload completes.
func (s *S3) Upload(ctx context.Context, key string, from io.Reader, o Options) error {
	first, second := s.parts.Get().(*[]byte), (*[]byte)(nil)
	defer func() {
		s.parts.Put(first)
		if second != nil {
			s.parts.Put(second)
		}
	}()
	n, last, err := fill(from, *first)
	if err != nil {
		return err
	}
	if last {
		return s.Put(ctx, key, (*first)[:n], o)
	}
	second = s.parts.Get().(*[]byte)
	m, last, err := fill(from, *second)
	if err != nil {
		return err
	}
	if last && m == 0 {
		return s.Put(ctx, key, (*first)[:n], o)
	}
	u := &upload{s: s, key: key, o: o}
	if err := u.begin(ctx); err != nil {
		return err
	}
	if err := u.stream(ctx, from, *first, (*second)[:m], last); err != nil {
		u.abort(ctx)
		return err
	}
	return nil
}

// fill reads until the part is full or the body ends; last says that it ended. Only a bare io.EOF is an end: a body that was cut off says
// io.ErrUnexpectedEOF, which io.ReadFull would make look the same.
func fill(from io.Reader, part []byte) (n int, last bool, err error) {
	for n < len(part) {
		m, err := from.Read(part[n:])
		n += m
		if err == io.EOF {
			return n, true, nil
		}
		if err != nil {
			return n, false, err
		}
	}
	return n, false, nil
}

// upload is one multipart upload.
type upload struct {
	s    *S3
	key  string
	o    Options
	id   *string
	done []types.CompletedPart
}

func (u *upload) begin(ctx context.Context) (err error) {
	defer u.s.metrics.observe("upload_begin", time.Now(), &err)
	out, err := u.s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &u.s.bucket, Key: &u.key, ContentType: optional(u.o.MediaType), Metadata: metaOut(u.o.Meta),
	})
	if err != nil {
		return u.s.fail(ctx, "upload_begin", u.key, err)
	}
	u.id = out.UploadId
	return nil
}

// stream sends full, then filled, then what is left of the body through the same two buffers.
func (u *upload) stream(ctx context.Context, from io.Reader, full, filled []byte, last bool) error {
	if err := u.send(ctx, full); err != nil {
		return err
	}
	spare := full
	for !last {
		sent := make(chan error, 1)
		go func(part []byte) { sent <- u.send(ctx, part) }(filled)
		n, end, err := fill(from, spare[:cap(spare)])
		if sendErr := <-sent; sendErr != nil { // the buffer belongs to the sender until here, whatever the body did
			return sendErr
		}
		if err != nil {
			return err
		}
		filled, spare, last = spare[:n], filled, end
	}
	if len(filled) > 0 {
		if err := u.send(ctx, filled); err != nil {
			return err
		}
	}
	return u.complete(ctx)
}

func (u *upload) send(ctx context.Context, part []byte) (err error) {
	defer u.s.metrics.observe("upload_part", time.Now(), &err)
	number := int32(len(u.done) + 1)
	if number > maxParts {
		return fault.Document(schemas.FileTooLarge, "The object has more parts than the store takes.").
			Because(fmt.Errorf("s3: %s has over %d parts of %d bytes", u.key, maxParts, u.s.part))
	}
	out, err := u.s.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.s.bucket, Key: &u.key, UploadId: u.id, PartNumber: &number,
		Body: bytes.NewReader(part), ContentLength: aws.Int64(int64(len(part))),
	})
	if err != nil {
		return u.s.fail(ctx, "upload_part", u.key, err)
	}
	u.done = append(u.done, types.CompletedPart{ETag: out.ETag, PartNumber: &number})
	return nil
}

func (u *upload) complete(ctx context.Context) (err error) {
	defer u.s.metrics.observe("upload_complete", time.Now(), &err)
	_, err = u.s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &u.s.bucket, Key: &u.key, UploadId: u.id, IfNoneMatch: onceHeader(u.o),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.done},
	})
	return u.s.settle(ctx, "upload_complete", u.key, u.o, err)
}

// abort removes the parts even where the caller has gone. What it cannot remove, the bucket's lifecycle does.
func (u *upload) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var err error
	defer u.s.metrics.observe("upload_abort", time.Now(), &err)
	_, err = u.s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.s.bucket, Key: &u.key, UploadId: u.id})
	err = u.s.fail(ctx, "upload_abort", u.key, err)
}
