package raster

// Norm turns bytes into the floats of a model: (v/255 - mean) / deviation.
type Norm struct {
	lut [3][256]float32
}

// NewNorm makes the table. The three places are those of the tensor's planes, which hold blue, green and red: the models were trained on
// images read by OpenCV.
func NewNorm(mean, deviation [3]float32) *Norm {
	n := &Norm{}
	for c := range n.lut {
		for v := range n.lut[c] {
			n.lut[c][v] = (float32(v)/255 - mean[c]) / deviation[c]
		}
	}
	return n
}

// Fill writes the image into a tensor of three planes, each height rows of width floats, at the top left; what lies beyond the image is
// left as it is.
func (n *Norm) Fill(dst []float32, m *Image, width, height int) {
	plane := width * height
	for c := range 3 {
		lut := &n.lut[c]
		src := m.Planes[2-c]
		for y := range m.H {
			row := src[y*m.W : (y+1)*m.W]
			out := dst[c*plane+y*width:][:len(row)]
			for x, v := range row {
				out[x] = lut[v]
			}
		}
	}
}
