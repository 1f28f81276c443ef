package raster

import "math"

// Resizer scales images and keeps its row buffers between uses. The zero value is ready.
type Resizer struct {
	left, right []int   // source columns of each target column
	weight      []int32 // of the right one, in 1/2048
	top, bottom []int32
}

// Resize scales src to w by h into dst, whose memory is used again. It is OpenCV's INTER_LINEAR for 8 bits, 11-bit fixed point and no
// smoothing, because the models were trained on that.
func (r *Resizer) Resize(dst, src *Image, w, h int) {
	dst.shape(w, h, src.Grey())
	r.columns(src.W, w)
	for c := range src.Planes {
		if c > 0 && src.Grey() {
			break
		}
		r.plane(dst.Planes[c], src.Planes[c], src.W, src.H, w, h)
	}
}

// columns prepares the horizontal positions.
func (r *Resizer) columns(from, to int) {
	r.left, r.right, r.weight = grow(r.left, to), grow(r.right, to), grow(r.weight, to)
	r.top, r.bottom = grow(r.top, to), grow(r.bottom, to)
	for i := range to {
		s, f := position(i, from, to)
		r.left[i], r.right[i], r.weight[i] = s, min(s+1, from-1), f
	}
}

// position is where a target pixel lies between two source pixels: the left one, and the weight of the right one in 1/2048.
func position(i, from, to int) (int, int32) {
	f := (float64(i)+0.5)*float64(from)/float64(to) - 0.5
	s := int(math.Floor(f))
	switch {
	case s < 0:
		return 0, 0
	case s >= from-1:
		return from - 1, 0
	}
	return s, int32(math.RoundToEven((f - float64(s)) * 2048))
}

func (r *Resizer) plane(dst, src []uint8, sw, sh, w, h int) {
	haveTop, haveBottom := -1, -1
	for y := range h {
		y0, f := position(y, sh, h)
		y1 := min(y0+1, sh-1)
		if haveTop != y0 {
			if haveBottom == y0 {
				r.top, r.bottom, haveTop, haveBottom = r.bottom, r.top, haveBottom, haveTop
			} else {
				r.row(r.top, src[y0*sw:(y0+1)*sw])
				haveTop = y0
			}
		}
		if haveBottom != y1 {
			r.row(r.bottom, src[y1*sw:(y1+1)*sw])
			haveBottom = y1
		}
		a, b := r.top[:w], r.bottom[:w]
		out := dst[y*w : (y+1)*w]
		for x := range out {
			out[x] = uint8((((2048-f)*(a[x]>>4))>>16 + (f*(b[x]>>4))>>16 + 2) >> 2)
		}
	}
}

func (r *Resizer) row(dst []int32, src []uint8) {
	left, right, weight := r.left[:len(dst)], r.right[:len(dst)], r.weight[:len(dst)]
	for x := range dst {
		f := weight[x]
		dst[x] = int32(src[left[x]])*(2048-f) + int32(src[right[x]])*f
	}
}

// grow returns a slice of n elements, the same memory where it suffices. The content is undefined.
func grow[T any](s []T, n int) []T {
	if cap(s) >= n {
		return s[:n]
	}
	return make([]T, n)
}
