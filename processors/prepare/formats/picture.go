package formats

import (
	"bytes"
	"image"
	"image/gif"
	_ "image/jpeg" // taken over as they are
	"image/png"

	"golang.org/x/image/bmp"
)

// Picture is what a figure of a page shows.
type Picture struct {
	Block     int // of the page, from 0, that it belongs to
	Data      []byte
	MediaType string // image/png or image/jpeg
	Width     int    // pixels
	Height    int
}

// The bounds of the pictures of one page: they travel in one message. What is beyond them is named and not shown.
const (
	MostPictures  = 200
	MostPictureMB = 64
	leastPicture  = 8 // pixels a side; what is smaller is an ornament
)

// Gallery gathers the pictures of one page within the bounds.
type Gallery struct {
	Pictures []Picture
	left     int
}

// Add puts the picture of a block.
func (g *Gallery) Add(block int, p Picture) {
	if g.Pictures == nil {
		g.left = MostPictureMB << 20
	}
	if len(g.Pictures) == MostPictures || len(p.Data) > g.left {
		return
	}
	g.left -= len(p.Data)
	p.Block = block
	g.Pictures = append(g.Pictures, p)
}

// Show makes a picture of an image file that a document holds. PNG and JPEG stay as they are, GIF and BMP become PNG; what cannot be shown, or
// is over the limits, is none. The same bytes give the same picture (P5).
func Show(file []byte, l Limits) (Picture, bool) {
	c, kind, err := image.DecodeConfig(bytes.NewReader(file))
	if err != nil || c.Width < leastPicture || c.Height < leastPicture || l.CheckSize(c.Width, c.Height) != nil {
		return Picture{}, false
	}
	p := Picture{Data: file, MediaType: "image/" + kind, Width: c.Width, Height: c.Height}
	switch kind {
	case "png", "jpeg":
		return p, true
	case "gif":
		m, err := gif.Decode(bytes.NewReader(file))
		if err != nil {
			return Picture{}, false
		}
		return Draw(m)
	case "bmp":
		m, err := bmp.Decode(bytes.NewReader(file))
		if err != nil {
			return Picture{}, false
		}
		return Draw(m)
	}
	return Picture{}, false
}

// Draw makes a picture of pixels.
func Draw(m image.Image) (Picture, bool) {
	var out bytes.Buffer
	enc := png.Encoder{CompressionLevel: png.BestSpeed}
	b := m.Bounds()
	if b.Dx() < leastPicture || b.Dy() < leastPicture || enc.Encode(&out, m) != nil {
		return Picture{}, false
	}
	return Picture{Data: out.Bytes(), MediaType: "image/png", Width: b.Dx(), Height: b.Dy()}, true
}
