package images

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// directory is one image file directory of a TIFF structure: tags and their values, as far as they are needed here.
type directory struct {
	order  binary.ByteOrder
	offset uint32 // where it lies
	next   uint32 // where the next one lies; 0 for the last
	tags   map[uint16]tag
}

type tag struct {
	kind   uint16
	count  uint32
	values []uint32 // the first few
	ratio  float64  // of the first rational
}

// The tags that are read.
const (
	tagSubfile     = 254
	tagWidth       = 256
	tagLength      = 257
	tagBits        = 258
	tagCompression = 259
	tagPhotometric = 262
	tagOrientation = 274
	tagSamples     = 277
	tagXResolution = 282
	tagYResolution = 283
	tagPlanar      = 284
	tagUnit        = 296
)

const maxEntries = 1000

// readDirectory reads the header of the structure and the directory at the offset, or the first where the offset is 0.
func readDirectory(r io.ReaderAt, size int64, offset uint32) (*directory, error) {
	var head [8]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil, errShort
	}
	d := &directory{tags: map[uint16]tag{}}
	switch string(head[:4]) {
	case "II*\x00":
		d.order = binary.LittleEndian
	case "MM\x00*":
		d.order = binary.BigEndian
	default:
		return nil, fmt.Errorf("no TIFF header")
	}
	if offset == 0 {
		offset = d.order.Uint32(head[4:])
	}
	d.offset = offset
	var two [2]byte
	if offset == 0 || int64(offset)+2 > size {
		return nil, errShort
	}
	if _, err := r.ReadAt(two[:], int64(offset)); err != nil {
		return nil, errShort
	}
	n := int(d.order.Uint16(two[:]))
	if n == 0 || n > maxEntries {
		return nil, fmt.Errorf("a directory of %d entries", n)
	}
	entries := make([]byte, 12*n)
	if _, err := r.ReadAt(entries, int64(offset)+2); err != nil {
		return nil, errShort
	}
	for e := entries; len(e) > 0; e = e[12:] {
		d.add(r, e)
	}
	var four [4]byte
	if _, err := r.ReadAt(four[:], int64(offset)+2+int64(len(entries))); err == nil {
		d.next = d.order.Uint32(four[:])
	}
	return d, nil
}

func (d *directory) add(r io.ReaderAt, e []byte) {
	const few = 4
	t := tag{kind: d.order.Uint16(e[2:]), count: d.order.Uint32(e[4:])}
	width := map[uint16]int{1: 1, 3: 2, 4: 4, 5: 8}[t.kind]
	if width == 0 || t.count == 0 {
		return
	}
	n := int(min(t.count, few))
	data := e[8:12]
	if uint64(t.count)*uint64(width) > 4 {
		data = make([]byte, n*width)
		if _, err := r.ReadAt(data, int64(d.order.Uint32(e[8:]))); err != nil {
			return
		}
	}
	for i := range n {
		v := data[i*width:]
		switch width {
		case 1:
			t.values = append(t.values, uint32(v[0]))
		case 2:
			t.values = append(t.values, uint32(d.order.Uint16(v)))
		case 4:
			t.values = append(t.values, d.order.Uint32(v))
		case 8:
			if i == 0 {
				t.ratio = float64(d.order.Uint32(v)) / float64(d.order.Uint32(v[4:]))
			}
			t.values = append(t.values, d.order.Uint32(v))
		}
	}
	d.tags[d.order.Uint16(e)] = t
}

// value returns the first value of a tag, or def where it is missing.
func (d *directory) value(name uint16, def uint32) uint32 {
	if t, ok := d.tags[name]; ok {
		return t.values[0]
	}
	return def
}

func (d *directory) orientation() int { return int(d.value(tagOrientation, 1)) }

// dpi returns the pixels per inch, 0 where they are unknown or differ between the axes.
func (d *directory) dpi() int {
	x, y := d.tags[tagXResolution].ratio, d.tags[tagYResolution].ratio
	if !(x > 0) || math.Abs(x-y) > 0.02*x || x > 1e6 {
		return 0
	}
	switch d.value(tagUnit, 2) {
	case 2:
		return int(math.Round(x))
	case 3:
		return int(math.Round(x * 2.54))
	}
	return 0
}
