package raster

import "math"

// Affine maps target pixels to source pixels: (x, y) to (X0 + x*XX + y*XY, Y0 + x*YX + y*YY), counted from pixel corners.
type Affine struct {
	X0, XX, XY float64
	Y0, YX, YY float64
}

// At maps a point.
func (a Affine) At(x, y float64) (float64, float64) {
	return a.X0 + x*a.XX + y*a.XY, a.Y0 + x*a.YX + y*a.YY
}

// Warp fills dst, w by h pixels, with what src shows at the mapped places, bilinear; beyond the border its nearest pixel.
func Warp(dst, src *Image, w, h int, a Affine) {
	dst.shape(w, h, src.Grey())
	const one = 1 << 16
	dx, dy := int64(math.Round(a.XX*one)), int64(math.Round(a.YX*one))
	for y := range h {
		sx, sy := a.At(0.5, float64(y)+0.5)
		x0, y0 := int64(math.Round((sx-0.5)*one)), int64(math.Round((sy-0.5)*one))
		for c := range src.Planes {
			if c > 0 && src.Grey() {
				break
			}
			warpRow(dst.Planes[c][y*w:(y+1)*w], src.Planes[c], src.W, src.H, x0, y0, dx, dy)
		}
	}
}

// warpRow samples along a straight line; places are in 1/65536 pixel, weights in 1/256.
func warpRow(out, src []uint8, w, h int, x, y, dx, dy int64) {
	for i := range out {
		ix, iy := int(x>>16), int(y>>16)
		fx, fy := int32(x>>8)&255, int32(y>>8)&255
		x += dx
		y += dy
		var a, b, c, d int32
		if uint(ix) < uint(w-1) && uint(iy) < uint(h-1) {
			p := iy*w + ix
			q := src[p+w : p+w+2 : p+w+2]
			r := src[p : p+2 : p+2]
			a, b, c, d = int32(r[0]), int32(r[1]), int32(q[0]), int32(q[1])
		} else {
			xa, xb := clamp(ix, w), clamp(ix+1, w)
			ya, yb := clamp(iy, h)*w, clamp(iy+1, h)*w
			a, b, c, d = int32(src[ya+xa]), int32(src[ya+xb]), int32(src[yb+xa]), int32(src[yb+xb])
		}
		top := a<<8 + (b-a)*fx
		bottom := c<<8 + (d-c)*fx
		out[i] = uint8((top<<8 + (bottom-top)*fy + 1<<15) >> 16)
	}
}

func clamp(i, n int) int { return min(max(i, 0), n-1) }
