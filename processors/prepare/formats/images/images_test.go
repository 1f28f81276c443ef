package images_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"

	"docstream/internal/engine/convex"
	"docstream/internal/engine/photo"
	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/images"
	"docstream/schemas"
)

var (
	limits = formats.Limits{Pages: 5, Side: 500, Pixels: 100_000}
	auto   = formats.Want{OCR: formats.Auto, DPI: 150, Side: 400}
)

func open(t *testing.T, media string, b []byte) (formats.Document, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return images.New().Open(f, int64(len(b)), media, limits)
}

func read(t *testing.T, media string, b []byte, n int) *formats.Image {
	t.Helper()
	d, err := open(t, media, b)
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.Read(n, auto)
	if err != nil {
		t.Fatal(err)
	}
	return p.Image
}

func decode(t *testing.T, i *formats.Image) image.Image {
	t.Helper()
	m, err := png.Decode(bytes.NewReader(i.PNG))
	if err != nil {
		t.Fatal(err)
	}
	if b := m.Bounds(); b.Dx() != i.Width || b.Dy() != i.Height {
		t.Errorf("the image says %d × %d and has %v", i.Width, i.Height, b)
	}
	return m
}

// corner is white but for a dark patch at the left top, 30 × 20.
func corner(dark color.Color) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, 30, 20))
	for y := range 20 {
		for x := range 30 {
			m.Set(x, y, color.White)
			if x < 10 && y < 5 {
				m.Set(x, y, dark)
			}
		}
	}
	return m
}

func encode(t *testing.T, media string, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	err := map[string]func() error{
		"image/png":  func() error { return png.Encode(&b, m) },
		"image/jpeg": func() error { return jpeg.Encode(&b, m, &jpeg.Options{Quality: 100}) },
		"image/gif":  func() error { return gif.Encode(&b, m, nil) },
		"image/bmp":  func() error { return bmp.Encode(&b, m) },
		"image/tiff": func() error { return tiff.Encode(&b, m, &tiff.Options{Compression: tiff.Deflate}) },
	}[media]()
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func bright(m image.Image, x, y int) bool {
	return color.GrayModel.Convert(m.At(x, y)).(color.Gray).Y > 128
}

func TestEveryKindOfPictureIsRead(t *testing.T) {
	for _, media := range []string{"image/png", "image/jpeg", "image/gif", "image/bmp", "image/tiff"} {
		t.Run(media, func(t *testing.T) {
			i := read(t, media, encode(t, media, corner(color.Black)), 1)
			m := decode(t, i)
			if i.Width != 30 || i.Height != 20 || i.DPI != 72 || bright(m, 2, 2) || !bright(m, 20, 15) {
				t.Errorf("got %d × %d at %d", i.Width, i.Height, i.DPI)
			}
		})
	}
}

func TestGrayPicturesBecomeGray(t *testing.T) {
	if m := decode(t, read(t, "image/png", encode(t, "image/png", corner(color.Black)), 1)); m.ColorModel() != color.GrayModel {
		t.Errorf("got %T", m)
	}
	if m := decode(t, read(t, "image/png", encode(t, "image/png", corner(color.RGBA{200, 0, 0, 255})), 1)); m.ColorModel() == color.GrayModel {
		t.Errorf("got %T", m)
	}
}

func TestTransparencyIsWhite(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 4, 4))
	if got := decode(t, read(t, "image/png", encode(t, "image/png", m), 1)); !bright(got, 1, 1) {
		t.Error("got black")
	}
}

// chunk puts a chunk behind a PNG's header.
func chunk(b []byte, kind string, data []byte) []byte {
	c := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	c = append(append(c, kind...), data...)
	c = binary.BigEndian.AppendUint32(c, crc32.ChecksumIEEE(c[4:]))
	return slices.Concat(b[:33], c, b[33:])
}

// exif is a directory with an orientation and a resolution.
func exif(orientation uint16, dpi uint32) []byte {
	le := binary.LittleEndian
	b := []byte("II*\x00\x08\x00\x00\x00\x04\x00")
	entry := func(tag, kind uint16, value uint32) {
		b = le.AppendUint16(b, tag)
		b = le.AppendUint16(b, kind)
		b = le.AppendUint32(b, 1)
		b = le.AppendUint32(b, value)
	}
	entry(274, 3, uint32(orientation))
	entry(282, 5, 62)
	entry(283, 5, 62)
	entry(296, 3, 2)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint32(b, dpi)
	return le.AppendUint32(b, 1)
}

func withExif(b []byte, e []byte) []byte {
	body := append([]byte("Exif\x00\x00"), e...)
	head := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(body)+2))
	return slices.Concat(b[:2], head, body, b[2:])
}

func TestPicturesAreTurnedUpright(t *testing.T) {
	file := encode(t, "image/jpeg", corner(color.Black))
	// Where the dark corner lies after turning.
	for o, want := range map[uint16][2]bool{1: {false, false}, 2: {true, false}, 3: {true, true}, 4: {false, true}, 5: {false, false}, 6: {true, false}, 7: {true, true}, 8: {false, true}} {
		i := read(t, "image/jpeg", withExif(file, exif(o, 300)), 1)
		m := decode(t, i)
		w, h := 30, 20
		if o > 4 {
			w, h = h, w
		}
		if i.Width != w || i.Height != h {
			t.Errorf("orientation %d: %d × %d", o, i.Width, i.Height)
		}
		for _, right := range []bool{false, true} {
			for _, low := range []bool{false, true} {
				x, y := 1, 1
				if right {
					x = w - 2
				}
				if low {
					y = h - 2
				}
				if dark := !bright(m, x, y); dark != ([2]bool{right, low} == want) {
					t.Errorf("orientation %d: the corner right %v, low %v is dark %v", o, right, low, dark)
				}
			}
		}
	}
}

func TestResolutionIsTakenWhereItIsPlausible(t *testing.T) {
	png, jpg := encode(t, "image/png", corner(color.Black)), encode(t, "image/jpeg", corner(color.Black))
	phys := func(x, y uint32, unit byte) []byte {
		return chunk(png, "pHYs", append(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, x), y), unit))
	}
	for name, c := range map[string]struct {
		media string
		file  []byte
		dpi   int
	}{
		"none":                {"image/png", png, 72},
		"pHYs":                {"image/png", phys(11811, 11811, 1), 300},
		"pHYs without a unit": {"image/png", phys(11811, 11811, 0), 72},
		"pHYs of two kinds":   {"image/png", phys(11811, 5000, 1), 72},
		"absurdly small":      {"image/png", phys(39, 39, 1), 72},
		"absurdly large":      {"image/png", phys(999_999, 999_999, 1), 72},
		"EXIF in PNG":         {"image/png", chunk(png, "eXIf", exif(1, 200)), 200},
		"EXIF in JPEG":        {"image/jpeg", withExif(jpg, exif(1, 240)), 240},
		"EXIF cut off":        {"image/jpeg", withExif(jpg, exif(1, 240)[:40]), 72},
		"EXIF that is none":   {"image/jpeg", withExif(jpg, []byte("rubbish")), 72},
	} {
		if i := read(t, c.media, c.file, 1); i.DPI != c.dpi {
			t.Errorf("%s: %d dpi", name, i.DPI)
		}
	}
}

func TestLargePicturesAreMadeSmaller(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, 500, 100))
	i := read(t, "image/png", chunk(encode(t, "image/png", m), "pHYs", []byte{0, 0, 0x2e, 0x23, 0, 0, 0x2e, 0x23, 1}), 1)
	if i.Width != 400 || i.Height != 80 || i.DPI != 240 {
		t.Errorf("got %d × %d at %d", i.Width, i.Height, i.DPI)
	}
}

func TestOffGivesAnEmptyPageOfTheRightSize(t *testing.T) {
	d, err := open(t, "image/jpeg", withExif(encode(t, "image/jpeg", corner(color.Black)), exif(6, 144)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.Read(1, formats.Want{OCR: formats.Off, Side: 400})
	if err != nil || p.Image != nil || p.Text.Width != 10 || p.Text.Height != 15 || len(p.Text.Blocks) != 0 {
		t.Errorf("got %+v, %v", p.Text, err)
	}
}

// chain writes a TIFF of several gray pages; subfile marks the kind of each, compression is what each claims.
func chain(compression uint16, loop bool, subfile ...uint32) []byte {
	le := binary.LittleEndian
	b := []byte("II*\x00\x00\x00\x00\x00")
	link := 4
	first := uint32(0)
	for n, kind := range subfile {
		pixels := uint32(len(b))
		b = append(b, bytes.Repeat([]byte{byte(50 * (n + 1))}, 6*4)...)
		at := uint32(len(b))
		le.PutUint32(b[link:], at)
		if n == 0 {
			first = at
		}
		entries := [][3]uint32{{254, 4, kind}, {256, 3, 6}, {257, 3, 4}, {258, 3, 8}, {259, 3, uint32(compression)}, {262, 3, 1}, {273, 4, pixels}, {277, 3, 1}, {278, 3, 4}, {279, 4, 24}}
		b = le.AppendUint16(b, uint16(len(entries)))
		for _, e := range entries {
			b = le.AppendUint16(b, uint16(e[0]))
			b = le.AppendUint16(b, uint16(e[1]))
			b = le.AppendUint32(b, 1)
			b = le.AppendUint32(b, e[2])
		}
		link = len(b)
		b = append(b, 0, 0, 0, 0)
	}
	if loop {
		le.PutUint32(b[link:], first)
	}
	return b
}

func TestEveryDirectoryOfATIFFIsAPage(t *testing.T) {
	for name, c := range map[string]struct {
		file   []byte
		shades []byte
	}{
		"three pages":        {chain(1, false, 0, 0, 0), []byte{50, 100, 150}},
		"pages of a fax":     {chain(1, false, 2, 2), []byte{50, 100}},
		"a thumbnail before": {chain(1, false, 1, 0), []byte{100}},
		"a loop":             {chain(1, true, 0, 0), []byte{50, 100}},
		"damage at the end":  {append(chain(1, false, 0, 0)[:len(chain(1, false, 0, 0))-4], 0xff, 0xff, 0, 0), []byte{50, 100}},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := open(t, "image/tiff", c.file)
			if err != nil {
				t.Fatal(err)
			}
			if d.Pages() != len(c.shades) {
				t.Fatalf("%d pages", d.Pages())
			}
			for n := len(c.shades); n > 0; n-- { // in any order
				p, err := d.Read(n, auto)
				if err != nil {
					t.Fatal(err)
				}
				if got := color.GrayModel.Convert(decode(t, p.Image).At(0, 0)).(color.Gray).Y; got != c.shades[n-1] {
					t.Errorf("page %d is %d", n, got)
				}
			}
		})
	}
}

func TestBadPicturesAreRefused(t *testing.T) {
	png := encode(t, "image/png", corner(color.Black))
	wide := encode(t, "image/png", image.NewGray(image.Rect(0, 0, 501, 1)))
	many := encode(t, "image/bmp", image.NewGray(image.Rect(0, 0, 400, 400)))
	for name, c := range map[string]struct {
		media string
		file  []byte
		code  schemas.Code
	}{
		"no header":               {"image/png", []byte("PNG"), schemas.DocumentCorrupt},
		"half":                    {"image/png", png[:len(png)-30], schemas.DocumentCorrupt},
		"half a JPEG":             {"image/jpeg", encode(t, "image/jpeg", corner(color.Black))[:300], schemas.DocumentCorrupt},
		"too wide":                {"image/png", wide, schemas.PageTooLarge},
		"too many pixels":         {"image/bmp", many, schemas.PageTooLarge},
		"a TIFF too wide":         {"image/tiff", encode(t, "image/tiff", image.NewGray(image.Rect(0, 0, 501, 1))), schemas.PageTooLarge},
		"a TIFF of nothing":       {"image/tiff", []byte("II*\x00\x00\x00\x00\x00"), schemas.DocumentCorrupt},
		"a TIFF of thumbnails":    {"image/tiff", chain(1, false, 1, 1), schemas.DocumentEmpty},
		"a loop of thumbnails":    {"image/tiff", chain(1, true, 1, 1), schemas.DocumentEmpty},
		"a TIFF with JPEG inside": {"image/tiff", chain(7, false, 0), schemas.DocumentUnsupported},
		"a TIFF with a riddle":    {"image/tiff", chain(12345, false, 0), schemas.DocumentUnsupported},
		"a TIFF of many pages":    {"image/tiff", chain(1, false, 0, 0, 0, 0, 0, 0), schemas.DocumentTooManyPages},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := open(t, c.media, c.file)
			if err == nil {
				_, err = d.Read(1, auto)
			}
			if f := fault.Of(err); err == nil || f.Code != c.code || f.Kind != fault.Permanent {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
}

func FuzzTIFF(f *testing.F) {
	f.Add(chain(1, true, 0, 1, 0))
	f.Add(exif(6, 300))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4096 {
			return
		}
		d, err := open(t, "image/tiff", b)
		if err != nil {
			return
		}
		_, _ = d.Read(1, auto)
	})
}

func TestASheetPhotographedAtAnAngleIsThePage(t *testing.T) {
	ground := image.NewGray(image.Rect(0, 0, 225, 300))
	draw.Draw(ground, ground.Rect, image.NewUniform(color.Gray{60}), image.Point{}, draw.Src)
	draw.Draw(ground, image.Rect(30, 30, 195, 270), image.White, image.Point{}, draw.Src)
	seen := photo.Flatten(ground, [4]convex.Point{{X: 0, Y: 0}, {X: 225, Y: 15}, {X: 200, Y: 300}, {X: 25, Y: 285}})
	flat := decode(t, read(t, "image/png", encode(t, "image/png", seen), 1))
	if b := flat.Bounds(); b.Dx() > 215 || b.Dy() > 270 {
		t.Errorf("the page is %v of %v", b, seen.Bounds())
	}
	for _, p := range []image.Point{{5, 5}, {flat.Bounds().Dx() - 6, 5}, {5, flat.Bounds().Dy() - 6}, flat.Bounds().Max.Sub(image.Pt(6, 6))} {
		if r, _, _, _ := flat.At(p.X, p.Y).RGBA(); r < 0xc000 {
			t.Errorf("the ground is seen at %v of %v", p, flat.Bounds())
		}
	}
	if flat := decode(t, read(t, "image/png", encode(t, "image/png", ground), 1)); flat.Bounds() != ground.Bounds() {
		t.Errorf("a flat one became %v", flat.Bounds())
	}
}
