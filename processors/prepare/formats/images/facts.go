package images

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
)

// facts are what a picture's headers say beside its size.
type facts struct {
	dpi         int // 0 where unknown
	orientation int // EXIF: 1 to 8; 0 where unknown
}

const (
	pixelIsPoint = 72
	leastDPI     = 60 // below it a resolution is a guess of the program that wrote it
	mostDPI      = 2400
)

// resolution returns the pixels per inch, or 72, at which a pixel is a point, where none or no plausible one is known. Cameras and
// programs write 72 and 96 where they know nothing; for 72 that makes no difference.
func (f facts) resolution() int {
	if f.dpi < leastDPI || f.dpi > mostDPI {
		return pixelIsPoint
	}
	return f.dpi
}

func noFacts([]byte) facts { return facts{} }

// pngFacts reads the pHYs and eXIf chunks in front of the pixels.
func pngFacts(b []byte) facts {
	var f facts
	for b = tail(b, 8); len(b) >= 12; {
		n := binary.BigEndian.Uint32(b)
		kind := string(b[4:8])
		if kind == "IDAT" || int64(n) > int64(len(b)-12) {
			break
		}
		data := b[8 : 8+n]
		switch {
		case kind == "pHYs" && n == 9 && data[8] == 1:
			f.dpi = perMetre(binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:]))
		case kind == "eXIf":
			f.exif(data)
		}
		b = b[12+n:]
	}
	return f
}

// bmpFacts reads pixels per metre from the information header.
func bmpFacts(b []byte) facts {
	if len(b) < 46 {
		return facts{}
	}
	return facts{dpi: perMetre(binary.LittleEndian.Uint32(b[38:]), binary.LittleEndian.Uint32(b[42:]))}
}

func perMetre(x, y uint32) int {
	if x != y || x > 1e6 {
		return 0
	}
	return int(math.Round(float64(x) * 0.0254))
}

// jpegFacts reads the JFIF and EXIF segments.
func jpegFacts(b []byte) facts {
	var f facts
	var jfif int
	for b = tail(b, 2); len(b) >= 4 && b[0] == 0xff; {
		marker := b[1]
		if marker == 0xff { // fill byte
			b = b[1:]
			continue
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if marker == 0xda || n < 2 || n+2 > len(b) {
			break
		}
		data := b[4 : 2+n]
		switch {
		case marker == 0xe0 && bytes.HasPrefix(data, []byte("JFIF\x00")) && len(data) >= 12:
			x, y := int(binary.BigEndian.Uint16(data[8:])), int(binary.BigEndian.Uint16(data[10:]))
			switch {
			case x != y:
			case data[7] == 1:
				jfif = x
			case data[7] == 2:
				jfif = int(math.Round(float64(x) * 2.54))
			}
		case marker == 0xe1 && bytes.HasPrefix(data, []byte("Exif\x00\x00")):
			f.exif(data[6:])
		}
		b = b[2+n:]
	}
	if jfif > 0 {
		f.dpi = jfif
	}
	return f
}

// exif reads orientation and resolution from a TIFF structure inside another format.
func (f *facts) exif(b []byte) {
	d, err := readDirectory(bytes.NewReader(b), int64(len(b)), 0)
	if err != nil {
		return
	}
	f.orientation, f.dpi = d.orientation(), d.dpi()
}

func tail(b []byte, n int) []byte {
	if len(b) < n {
		return nil
	}
	return b[n:]
}

// webpCanvas reads the size that the header of WebP's extended kind claims.
func webpCanvas(r io.ReaderAt) (width, height int, ok bool) {
	var b [30]byte
	if _, err := r.ReadAt(b[:], 0); err != nil || string(b[8:16]) != "WEBPVP8X" {
		return 0, 0, false
	}
	three := func(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }
	return three(b[24:]) + 1, three(b[27:]) + 1, true
}
