package prepare

import (
	"context"
	"errors"
	"strconv"

	"docstream/internal/blob"
	"docstream/internal/failpoint"
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
	if err == nil {
		failpoint.At(failpoint.Imaged)
	}
	return img, err
}

// putText stores the text of a page whose image shows what it lacks: before the image, whose being there says that the text is.
func (w *work) putText(ctx context.Context, n int, r pageResult) error {
	if r.Text == nil {
		return nil
	}
	return w.objects.Put(ctx, w.workKey(schemas.PageTextName(n)), r.Text, blob.Options{MediaType: "application/json"})
}

// putFigures stores what the figures of a page show, before the page says so. The same page gives the same bytes, so that writing them twice
// changes nothing.
func (w *work) putFigures(ctx context.Context, figures []figure) error {
	for _, f := range figures {
		if err := w.objects.Put(ctx, w.resultKey(f.Name), f.Data, blob.Options{MediaType: f.MediaType}); err != nil {
			return err
		}
	}
	return nil
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
	img, ok = imageOf(o)
	return img, ok, nil
}

// imageOf describes a stored page image; ok is false where it does not say what it is.
func imageOf(o blob.Object) (img schemas.Image, ok bool) {
	width, errW := strconv.Atoi(o.Meta[metaWidth])
	height, errH := strconv.Atoi(o.Meta[metaHeight])
	dpi, errD := strconv.Atoi(o.Meta[metaDPI])
	if errors.Join(errW, errH, errD) != nil || o.Size == 0 {
		return img, false
	}
	return schemas.Image{Key: o.Key, MediaType: pngType, Width: width, Height: height, DPI: dpi, Bytes: o.Size}, true
}
