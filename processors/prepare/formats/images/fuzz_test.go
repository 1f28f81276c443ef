package images_test

import (
	"testing"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/formatstest"
	"docstream/processors/prepare/formats/images"
	"docstream/processors/prepare/hostile"
)

// FuzzPicture reads bytes as each kind of picture under limits so small that a decoder that ignores them is found out.
func FuzzPicture(f *testing.F) {
	kinds := []string{"image/png", "image/jpeg", "image/gif", "image/bmp", "image/webp"}
	for i, b := range [][]byte{hostile.PNG(), hostile.JPEG(), hostile.GIF(), hostile.BMP(), hostile.WebP()} {
		f.Add(i, b)
	}
	l := formatstest.Limits
	l.Side, l.Pixels = 500, 100_000
	f.Fuzz(func(t *testing.T, kind int, in []byte) {
		if len(in) > 8192 {
			return
		}
		d, err := formatstest.Open(t, images.New(), kinds[uint(kind)%uint(len(kinds))], in, l)
		if err == nil {
			_, err = d.Read(1, formats.Want{OCR: formats.Auto, DPI: 150, Side: 400})
		}
		if err != nil && fault.KindOf(err) != fault.Permanent {
			t.Fatal(err)
		}
	})
}
