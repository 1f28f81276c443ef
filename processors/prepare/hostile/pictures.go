package hostile

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"

	"docstream/schemas"
)

// Picture is a small gray one with something on it.
func Picture() image.Image {
	m := image.NewGray(image.Rect(0, 0, 32, 24))
	for i := range m.Pix {
		m.Pix[i] = byte(i * 7)
	}
	return m
}

// PNG, JPEG, GIF, BMP and TIFF are the picture in these formats.
func PNG() []byte { return encoded(func(b *bytes.Buffer) error { return png.Encode(b, Picture()) }) }

// JPEG is the picture.
func JPEG() []byte {
	return encoded(func(b *bytes.Buffer) error { return jpeg.Encode(b, Picture(), nil) })
}

// GIF is the picture.
func GIF() []byte {
	return encoded(func(b *bytes.Buffer) error { return gif.Encode(b, Picture(), nil) })
}

// BMP is the picture.
func BMP() []byte { return encoded(func(b *bytes.Buffer) error { return bmp.Encode(b, Picture()) }) }

// TIFF is the picture, packed.
func TIFF() []byte {
	return encoded(func(b *bytes.Buffer) error {
		return tiff.Encode(b, Picture(), &tiff.Options{Compression: tiff.Deflate})
	})
}

func encoded(f func(*bytes.Buffer) error) []byte {
	var b bytes.Buffer
	if err := f(&b); err != nil {
		panic(err) // a buffer takes everything
	}
	return b.Bytes()
}

// Claim rewrites the header of a PNG to say another size.
func Claim(b []byte, w, h uint32) []byte {
	b = bytes.Clone(b)
	binary.BigEndian.PutUint32(b[16:], w)
	binary.BigEndian.PutUint32(b[20:], h)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return b
}

// chunk is a chunk of a PNG.
func chunk(kind string, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(append(b, kind...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// jpegClaim is the head of a JPEG of a size.
func jpegClaim(w, h uint16) []byte {
	b := JPEG()
	at := bytes.Index(b, []byte{0xff, 0xc0})
	binary.BigEndian.PutUint16(b[at+5:], h)
	binary.BigEndian.PutUint16(b[at+7:], w)
	return b
}

// Directory writes a TIFF of directories, one after another; each is tags of kind long.
func Directory(directories ...map[uint16]uint32) []byte {
	b := []byte("II*\x00\x08\x00\x00\x00")
	for i, d := range directories {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(d)))
		for tag := range uint16(1 << 10) {
			if v, ok := d[tag]; ok {
				b = binary.LittleEndian.AppendUint16(b, tag)
				b = binary.LittleEndian.AppendUint16(b, 4)
				b = binary.LittleEndian.AppendUint32(b, 1)
				b = binary.LittleEndian.AppendUint32(b, v)
			}
		}
		next := uint32(len(b) + 4)
		if i == len(directories)-1 {
			next = 0
		}
		b = binary.LittleEndian.AppendUint32(b, next)
	}
	return append(b, make([]byte, 64)...)
}

func tiffOf(more map[uint16]uint32) map[uint16]uint32 {
	d := map[uint16]uint32{256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: 64}
	for k, v := range more {
		d[k] = v
	}
	return d
}

// webp is a picture of WebP's lossless kind that claims a size and holds nothing.
func webp(w, h uint32) []byte {
	bits := (w - 1) | (h-1)<<14
	data := append([]byte{0x2f}, binary.LittleEndian.AppendUint32(nil, bits)...)
	data = append(data, make([]byte, 17)...)
	b := append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, uint32(12+len(data)))...)
	b = append(append(b, "WEBPVP8L"...), binary.LittleEndian.AppendUint32(nil, uint32(len(data)))...)
	return append(b, data...)
}

// webpCanvas claims a size in the header of the extended kind.
func webpCanvas(w, h uint32) []byte {
	data := []byte{0, 0, 0, 0, byte(w - 1), byte((w - 1) >> 8), byte((w - 1) >> 16), byte(h - 1), byte((h - 1) >> 8), byte((h - 1) >> 16)}
	return append([]byte("RIFF\x16\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00"), data...)
}

func manyDirectories(n int) []byte {
	all := make([]map[uint16]uint32, n)
	for i := range all {
		all[i] = tiffOf(nil)
	}
	return Directory(all...)
}

// pictures are images whose headers lie.
func pictures() []Case {
	ends := func(b []byte) []byte { return b[:len(b)*2/3] }
	return []Case{
		{"PNG of 50,000 × 50,000", "image/png", "", func() []byte { return Claim(PNG(), 50_000, 50_000) }, schemas.PageTooLarge},
		{"PNG of 10,000 × 10,000", "image/png", "", func() []byte { return Claim(PNG(), 10_000, 10_000) }, schemas.PageTooLarge},
		{"PNG without pixels", "image/png", "", func() []byte { return Claim(PNG(), 0, 7) }, schemas.DocumentCorrupt},
		{"PNG larger than its pixels", "image/png", "", func() []byte { return Claim(PNG(), 4000, 4000) }, schemas.DocumentCorrupt},
		{"PNG with a comment of 1 GiB", "image/png", "", func() []byte {
			b := PNG()
			return append(append(bytes.Clone(b[:33]), chunk("zTXt", append([]byte("a\x00\x00"), deflated("a", 1<<30)...))...), b[33:]...)
		}, ""},
		{"PNG whose pixels unpack to 1 GiB", "image/png", "", func() []byte {
			b := PNG()
			return append(append(bytes.Clone(b[:33]), chunk("IDAT", deflated("\x00", 1<<30))...), chunk("IEND", nil)...)
		}, schemas.DocumentCorrupt},
		{"PNG cut", "image/png", "", func() []byte { return ends(PNG()) }, schemas.DocumentCorrupt},
		{"JPEG of 65,500 × 65,500", "image/jpeg", "", func() []byte { return jpegClaim(65_500, 65_500) }, schemas.PageTooLarge},
		{"JPEG without pixels", "image/jpeg", "", func() []byte { return jpegClaim(0, 0) }, schemas.PageCorrupt},
		{"JPEG larger than its pixels", "image/jpeg", "", func() []byte { return jpegClaim(5000, 5000) }, schemas.DocumentCorrupt},
		{"JPEG cut", "image/jpeg", "", func() []byte { return ends(JPEG()) }, schemas.DocumentCorrupt},
		{"JPEG of its first bytes", "image/jpeg", "", fixed("\xff\xd8\xff\xe0"), schemas.DocumentCorrupt},
		{"GIF of 65,535 × 65,535", "image/gif", "", func() []byte {
			b := GIF()
			copy(b[6:], "\xff\xff\xff\xff")
			return b
		}, schemas.PageTooLarge},
		{"GIF whose frame is larger than it", "image/gif", "", func() []byte {
			b := GIF()
			at := bytes.Index(b[13:], []byte{0x2c, 0, 0, 0, 0}) + 13
			copy(b[at+5:], "\xff\xff\xff\xff")
			return b
		}, schemas.DocumentCorrupt},
		{"GIF cut", "image/gif", "", func() []byte { return ends(GIF()) }, schemas.DocumentCorrupt},
		{"WebP of 16,384 × 16,384", "image/webp", "", func() []byte { return webp(16_384, 16_384) }, schemas.PageTooLarge},
		{"WebP of 50,000 × 50,000", "image/webp", "", func() []byte { return webpCanvas(50_000, 50_000) }, schemas.PageTooLarge},
		{"WebP with the alpha of 40,000 × 40,000", "image/webp", "", func() []byte {
			b := append(webpCanvas(40_000, 40_000), "ALPH\x04\x00\x00\x00\x00\x00\x00\x00"...)
			b[4], b[20] = byte(len(b)-8), 0x10
			return b
		}, schemas.PageTooLarge},
		{"WebP of nothing", "image/webp", "", func() []byte { return webp(4000, 4000) }, schemas.DocumentCorrupt},
		{"BMP of 2,000,000,000 × 2", "image/bmp", "", func() []byte {
			b := BMP()
			binary.LittleEndian.PutUint32(b[18:], 2_000_000_000)
			return b
		}, schemas.PageTooLarge},
		{"BMP of fewer than no pixels", "image/bmp", "", func() []byte {
			b := BMP()
			binary.LittleEndian.PutUint32(b[18:], 0x80000000)
			return b
		}, schemas.DocumentUnsupported},
		{"BMP cut", "image/bmp", "", func() []byte { return ends(BMP()) }, schemas.DocumentCorrupt},
		{"TIFF of 50,000 × 50,000", "image/tiff", "", func() []byte { return Directory(tiffOf(map[uint16]uint32{256: 50_000, 257: 50_000})) }, schemas.PageTooLarge},
		{"TIFF without pixels", "image/tiff", "", func() []byte { return Directory(tiffOf(map[uint16]uint32{256: 0})) }, schemas.PageCorrupt},
		{"TIFF with a tile of 2,000,000,000", "image/tiff", "", func() []byte {
			return Directory(tiffOf(map[uint16]uint32{322: 2_000_000_000, 323: 2_000_000_000, 324: 8, 325: 64}))
		}, schemas.PageCorrupt},
		{"TIFF with tiles of one pixel", "image/tiff", "", func() []byte {
			return Directory(tiffOf(map[uint16]uint32{256: 8000, 257: 8000, 322: 1, 323: 1, 324: 8, 325: 1}))
		}, schemas.PageCorrupt},
		{"TIFF whose strip lies outside", "image/tiff", "", func() []byte { return Directory(tiffOf(map[uint16]uint32{273: 0xfffffff0, 279: 0xffffffff})) }, schemas.PageCorrupt},
		{"TIFF whose strip unpacks to 1 GiB", "image/tiff", "", func() []byte {
			z := deflated("\x00", 1<<30)
			b := Directory(tiffOf(map[uint16]uint32{259: 8, 273: 200, 279: uint32(len(z))}))
			return append(append(b, make([]byte, max(0, 200-len(b)))...)[:200], z...)
		}, ""},
		{"TIFF whose pages lead back", "image/tiff", "", func() []byte {
			b := Directory(tiffOf(nil))
			binary.LittleEndian.PutUint32(b[8+2+12*9:], 8)
			return b
		}, ""},
		{"TIFF of 5,000 pages", "image/tiff", "", func() []byte { return manyDirectories(5000) }, schemas.DocumentTooManyPages},
		{"TIFF packed by nobody", "image/tiff", "", func() []byte { return Directory(tiffOf(map[uint16]uint32{259: 12_345})) }, schemas.DocumentUnsupported},
		{"TIFF with a million bits a pixel", "image/tiff", "", func() []byte { return Directory(tiffOf(map[uint16]uint32{258: 1_000_000})) }, schemas.DocumentUnsupported},
		{"TIFF of its header", "image/tiff", "", fixed("II*\x00\xff\xff\xff\xff"), schemas.DocumentCorrupt},
		{"TIFF cut", "image/tiff", "", func() []byte { return ends(TIFF()) }, schemas.DocumentCorrupt},
	}
}
