// Package paper makes the pages that readers are compared on, and scores what they read: clean pages made worse by rule and fixed seed,
// word F1, character error rate, and a paired bootstrap over pages.
package paper

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math"
	"math/rand/v2"

	xdraw "golang.org/x/image/draw"
	"golang.org/x/image/math/f64"
)

// Conditions a page is read in. All but the first are worse than what was rendered.
const (
	Clean = "clean"
	Noise = "noise" // grey noise with a deviation of 28 of 255, and one pixel in 200 black or white
	Blur  = "blur"  // Gaussian of radius 1.1 pixels
	Skew  = "skew"  // turned by 2 degrees, one way or the other
	JPEG  = "jpeg"  // quality 40
)

// Conditions lists all of them.
var Conditions = []string{Clean, Noise, Blur, Skew, JPEG}

const (
	deviation   = 28
	specks      = 200
	blurSigma   = 1.1
	skewDegrees = 2
	jpegQuality = 40
)

// Grey is an image without colour, as most scanners deliver it.
func Grey(src image.Image) *image.Gray {
	out := image.NewGray(image.Rect(0, 0, src.Bounds().Dx(), src.Bounds().Dy()))
	draw.Draw(out, out.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(out, out.Bounds(), src, src.Bounds().Min, draw.Over)
	return out
}

// Degrade returns a page in a condition. The same page, condition and seed give the same pixels.
func Degrade(im *image.Gray, condition string, seed uint64) (*image.Gray, error) {
	r := rand.New(rand.NewPCG(seed, 2026))
	switch condition {
	case Noise:
		return noisy(im, r), nil
	case Blur:
		return blurred(im, blurSigma), nil
	case Skew:
		angle := skewDegrees * math.Pi / 180
		if r.IntN(2) == 0 {
			angle = -angle
		}
		return Turned(im, angle), nil
	case JPEG:
		var b bytes.Buffer
		if err := jpeg.Encode(&b, im, &jpeg.Options{Quality: jpegQuality}); err != nil {
			return nil, err
		}
		back, err := jpeg.Decode(&b)
		if err != nil {
			return nil, err
		}
		return Grey(back), nil
	}
	return im, nil
}

func noisy(im *image.Gray, r *rand.Rand) *image.Gray {
	out := image.NewGray(im.Bounds())
	for i, v := range im.Pix {
		out.Pix[i] = uint8(min(max(float64(v)+r.NormFloat64()*deviation, 0), 255))
		switch r.IntN(2 * specks) {
		case 0:
			out.Pix[i] = 0
		case 1:
			out.Pix[i] = 255
		}
	}
	return out
}

// blurred convolves with a Gaussian, rows first and then columns.
func blurred(im *image.Gray, sigma float64) *image.Gray {
	reach := int(math.Ceil(3 * sigma))
	kernel := make([]float64, 2*reach+1)
	sum := 0.0
	for i := range kernel {
		d := float64(i - reach)
		kernel[i] = math.Exp(-d * d / (2 * sigma * sigma))
		sum += kernel[i]
	}
	w, h := im.Rect.Dx(), im.Rect.Dy()
	pass := func(in []uint8, step, stride, n, lines int) []uint8 {
		out := make([]uint8, len(in))
		for l := range lines {
			for i := range n {
				v := 0.0
				for k, f := range kernel {
					v += f * float64(in[l*stride+min(max(i+k-reach, 0), n-1)*step])
				}
				out[l*stride+i*step] = uint8(v/sum + .5)
			}
		}
		return out
	}
	out := image.NewGray(im.Rect)
	out.Pix = pass(pass(im.Pix, 1, im.Stride, w, h), im.Stride, 1, h, w)
	return out
}

// Turned is the page turned clockwise by an angle in radians around its middle, on white.
func Turned(im *image.Gray, angle float64) *image.Gray {
	out := image.NewGray(im.Rect)
	draw.Draw(out, out.Rect, image.NewUniform(color.White), image.Point{}, draw.Src)
	sin, cos := math.Sincos(angle)
	x, y := float64(im.Rect.Dx())/2, float64(im.Rect.Dy())/2
	m := f64.Aff3{cos, -sin, x - x*cos + y*sin, sin, cos, y - x*sin - y*cos}
	xdraw.BiLinear.Transform(out, m, im, im.Rect, xdraw.Over, nil)
	return out
}
