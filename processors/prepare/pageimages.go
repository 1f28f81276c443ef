package prepare

import (
	"context"
	"errors"
	"strconv"

	"docstream/internal/blob"
	"docstream/schemas"
)

const pngType = "image/png"

// The metadata of a page image: what the next attempt needs to know of it without rendering again.
const (
	metaWidth  = "width"
	metaHeight = "height"
	metaDPI    = "dpi"
)

// putImage stores the image of a page. The same page gives the same bytes, so that writing it twice changes nothing.
func (w *work) putImage(ctx context.Context, n int, r pageResult) (schemas.Image, error) {
	img := schemas.Image{Key: w.workKey(schemas.PageImageName(n)), MediaType: pngType,
		Width: r.Image.Width, Height: r.Image.Height, DPI: r.Image.DPI, Bytes: int64(len(r.Image.PNG))}
	err := w.objects.Put(ctx, img.Key, r.Image.PNG, blob.Options{MediaType: pngType, Meta: map[string]string{
		metaWidth: strconv.Itoa(img.Width), metaHeight: strconv.Itoa(img.Height), metaDPI: strconv.Itoa(img.DPI)}})
	return img, err
}

// storedImage describes an image that an earlier attempt stored; ok is false where it has to be rendered again.
func (w *work) storedImage(ctx context.Context, n int) (img schemas.Image, ok bool, err error) {
	o, err := w.objects.Head(ctx, w.workKey(schemas.PageImageName(n)))
	if errors.Is(err, blob.ErrNotFound) {
		return img, false, nil
	}
	if err != nil {
		return img, false, err
	}
	width, errW := strconv.Atoi(o.Meta[metaWidth])
	height, errH := strconv.Atoi(o.Meta[metaHeight])
	dpi, errD := strconv.Atoi(o.Meta[metaDPI])
	if errors.Join(errW, errH, errD) != nil || o.Size == 0 {
		return img, false, nil
	}
	return schemas.Image{Key: o.Key, MediaType: pngType, Width: width, Height: height, DPI: dpi, Bytes: o.Size}, true, nil
}
