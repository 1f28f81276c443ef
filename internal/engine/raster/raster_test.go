package raster_test

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"slices"
	"testing"

	"docstream/internal/engine/raster"
)

// gradient is a grey image whose pixels tell where they are.
func gradient(w, h int) *image.Gray {
	im := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			im.SetGray(x, y, color.Gray{uint8(x*16 + y)})
		}
	}
	return im
}

func TestEveryKindOfImageIsRead(t *testing.T) {
	red := color.NRGBA{200, 10, 20, 255}
	half := color.NRGBA{0, 0, 0, 127}
	fill := func(im interface {
		image.Image
		Set(x, y int, c color.Color)
	}) image.Image {
		im.Set(0, 0, red)
		im.Set(1, 0, half)
		return im
	}
	r := image.Rect(0, 0, 2, 1)
	for name, im := range map[string]image.Image{
		"nrgba": fill(image.NewNRGBA(r)), "rgba": fill(image.NewRGBA(r)), "nrgba64": fill(image.NewNRGBA64(r)),
		"paletted": fill(image.NewPaletted(r, color.Palette{red, half})),
	} {
		m := raster.From(im)
		if m.Grey() || m.W != 2 || m.H != 1 {
			t.Errorf("%s: %d by %d, grey %v", name, m.W, m.H, m.Grey())
			continue
		}
		if got := [3]uint8{m.Planes[0][0], m.Planes[1][0], m.Planes[2][0]}; got != [3]uint8{200, 10, 20} {
			t.Errorf("%s: red is %v", name, got)
		}
		if v := m.Planes[1][1]; v < 127 || v > 129 {
			t.Errorf("%s: half black on white is %d", name, v)
		}
	}
}

func TestAColourImageWithoutColourIsGrey(t *testing.T) {
	im := image.NewRGBA(image.Rect(0, 0, 3, 2))
	for i := range im.Pix {
		im.Pix[i] = 255
	}
	if !raster.From(im).Grey() {
		t.Error("white is a colour")
	}
	sub := gradient(8, 8).SubImage(image.Rect(2, 3, 6, 7)).(*image.Gray)
	if m := raster.From(sub); !m.Grey() || m.W != 4 || m.Planes[0][0] != 2*16+3 || m.Planes[0][4] != 2*16+4 {
		t.Errorf("a part of an image: %v", m)
	}
}

func TestDecodeRefusesBeforeItAllocates(t *testing.T) {
	var p, j bytes.Buffer
	if err := errors.Join(png.Encode(&p, gradient(16, 10)), jpeg.Encode(&j, gradient(16, 10), nil)); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"png": p.Bytes(), "jpeg": j.Bytes()} {
		m, err := raster.Decode(data, 160)
		if err != nil || m.W != 16 || m.H != 10 {
			t.Errorf("%s: %v, %v", name, m, err)
		}
		if _, err := raster.Decode(data, 159); !errors.Is(err, raster.ErrTooLarge) {
			t.Errorf("%s with too many pixels: %v", name, err)
		}
		if _, err := raster.Decode(data[:len(data)/2], 160); err == nil || errors.Is(err, raster.ErrTooLarge) {
			t.Errorf("half a %s: %v", name, err)
		}
	}
	if _, err := raster.Decode([]byte("GIF89a"), 1e6); err == nil {
		t.Error("a format that is no page image")
	}
}

func TestTurningFourTimesIsTheIdentity(t *testing.T) {
	m := raster.From(gradient(7, 5))
	back := m.Turn(90).Turn(90).Turn(180)
	if back.W != 7 || !slices.Equal(back.Planes[0], m.Planes[0]) {
		t.Error("90 + 90 + 180 changed the image")
	}
	back = m.Turn(270).Turn(90)
	if !slices.Equal(back.Planes[0], m.Planes[0]) || !back.Grey() {
		t.Error("270 + 90 changed the image")
	}
	if q := m.Turn(90); q.W != 5 || q.Planes[0][4] != m.Planes[0][0] {
		t.Error("90 degrees clockwise must bring the top left corner to the top right")
	}
}

func TestResizeKeepsGreyAndConstantsAndReusesMemory(t *testing.T) {
	var r raster.Resizer
	var dst raster.Image
	colour := image.NewRGBA(image.Rect(0, 0, 50, 40))
	for i := range colour.Pix {
		colour.Pix[i] = []uint8{10, 20, 30, 255}[i%4]
	}
	r.Resize(&dst, raster.From(colour), 31, 77)
	if dst.W != 31 || dst.H != 77 || dst.Grey() {
		t.Fatalf("%d by %d", dst.W, dst.H)
	}
	for c, want := range []uint8{10, 20, 30} {
		if slices.Max(dst.Planes[c]) != want || slices.Min(dst.Planes[c]) != want {
			t.Errorf("plane %d is not %d everywhere", c, want)
		}
	}
	r.Resize(&dst, raster.From(gradient(8, 8)), 16, 16)
	if !dst.Grey() || dst.Planes[0][0] != 0 || dst.Planes[0][16*16-1] != 7*16+7 {
		t.Errorf("corners %d and %d", dst.Planes[0][0], dst.Planes[0][16*16-1])
	}
	src := raster.From(gradient(40, 40))
	if n := testing.AllocsPerRun(10, func() { r.Resize(&dst, src, 16, 16) }); n > 0 {
		t.Errorf("%v allocations a resize", n)
	}
}

func TestWarpByTheIdentityCopiesAndBeyondTheBorderRepeats(t *testing.T) {
	m := raster.From(gradient(6, 4))
	var dst raster.Image
	raster.Warp(&dst, m, 6, 4, raster.Affine{XX: 1, YY: 1})
	if !slices.Equal(dst.Planes[0], m.Planes[0]) {
		t.Errorf("%v", dst.Planes[0])
	}
	raster.Warp(&dst, m, 3, 3, raster.Affine{X0: -30, XX: 1, Y0: 50, YY: 1})
	if want := m.Planes[0][3*6]; slices.Max(dst.Planes[0]) != want || slices.Min(dst.Planes[0]) != want {
		t.Errorf("beyond the bottom left corner %v, want %d", dst.Planes[0], want)
	}
}

func TestFillWritesBlueGreenRedAndLeavesPadding(t *testing.T) {
	im := image.NewRGBA(image.Rect(0, 0, 2, 1))
	copy(im.Pix, []uint8{255, 0, 51, 255, 255, 0, 51, 255})
	out := make([]float32, 3*4)
	raster.NewNorm([3]float32{0, 0, 0}, [3]float32{1, 1, .5}).Fill(out, raster.From(im), 4, 1)
	if want := []float32{.2, .2, 0, 0, 0, 0, 0, 0, 2, 2, 0, 0}; !slices.Equal(out, want) {
		t.Errorf("%v, want %v", out, want)
	}
}

func TestHalveTakesMeans(t *testing.T) {
	im := image.NewGray(image.Rect(0, 0, 3, 3))
	copy(im.Pix, []uint8{0, 4, 9, 8, 12, 9, 1, 1, 1})
	if m := raster.From(im).HalveInto(&raster.Image{}); m.W != 1 || m.H != 1 || m.Planes[0][0] != 6 {
		t.Errorf("%+v", m)
	}
}
