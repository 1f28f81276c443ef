package images

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"slices"

	"golang.org/x/image/tiff"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/schemas"
)

// pages is a TIFF file: one page for each directory that is not a thumbnail or a mask.
type pages struct {
	file   *os.File
	size   int64
	limits formats.Limits
	dirs   []uint32 // where the directories lie
	order  binary.ByteOrder
}

// Compressions the decoder knows; anything else is refused by name.
var (
	compressions = []uint32{1, 2, 3, 4, 5, 8, 32773, 32946}
	unread       = map[uint32]string{6: "old JPEG in TIFF", 7: "JPEG in TIFF", 9: "JBIG in TIFF", 10: "JBIG in TIFF", 34661: "JBIG in TIFF",
		34712: "JPEG 2000 in TIFF", 50000: "Zstandard in TIFF", 50001: "WebP in TIFF", 34925: "LZMA in TIFF"}
)

// openTIFF walks the chain of directories. The size of each page is checked when it is its turn, but a document whose first page is
// unreadable is refused whole, so that its sender learns of it at once.
func openTIFF(f *os.File, size int64, l formats.Limits) (formats.Document, error) {
	p := &pages{file: f, size: size, limits: l}
	seen := map[uint32]bool{} // a damaged chain can lead back
	for at := uint32(0); len(seen) <= 2*l.Pages; {
		d, err := readDirectory(f, size, at)
		if err != nil {
			if len(p.dirs) > 0 {
				break // what comes before the damage can be read
			}
			return nil, formats.Corrupt(err)
		}
		p.order, seen[d.offset] = d.order, true
		if reduced := d.value(tagSubfile, 0); reduced&(1|4) == 0 {
			p.dirs = append(p.dirs, d.offset)
		}
		if d.next == 0 || seen[d.next] || len(p.dirs) > l.Pages {
			break
		}
		at = d.next
	}
	if err := l.CheckPages(len(p.dirs)); err != nil {
		return nil, err
	}
	if _, err := p.check(1); err != nil {
		return nil, err
	}
	return p, nil
}

// check refuses a page that is too large or of a kind the decoder does not know.
func (p *pages) check(n int) (*directory, error) {
	d, err := readDirectory(p.file, p.size, p.dirs[n-1])
	if err != nil {
		return nil, formats.Corrupt(err)
	}
	w, h := d.value(tagWidth, 0), d.value(tagLength, 0)
	if w > math.MaxInt32 || h > math.MaxInt32 {
		w, h = math.MaxInt32, math.MaxInt32
	}
	if err := p.limits.CheckSize(int(w), int(h)); err != nil {
		return nil, err
	}
	if c := d.value(tagCompression, 1); !slices.Contains(compressions, c) {
		what, ok := unread[c]
		if !ok {
			what = "an unknown compression in TIFF"
		}
		return nil, formats.Unsupported(what)
	}
	if d.value(tagPlanar, 1) != 1 && d.value(tagSamples, 1) > 1 {
		return nil, formats.Unsupported("separate colour planes in TIFF")
	}
	return d, nil
}

// Pages counts the directories.
func (p *pages) Pages() int { return len(p.dirs) }

// Close has nothing to free.
func (p *pages) Close() {}

// Read decodes one page.
func (p *pages) Read(n int, w formats.Want) (formats.Page, error) {
	d, err := p.check(n)
	if err != nil {
		return formats.Page{}, err
	}
	f := facts{dpi: d.dpi(), orientation: d.orientation()}
	if w.OCR == formats.Off {
		width, height := int(d.value(tagWidth, 0)), int(d.value(tagLength, 0))
		if f.orientation > 4 {
			width, height = height, width
		}
		return empty(n, width, height, f.dpi), nil
	}
	m, err := tiff.Decode(io.NewSectionReader(p.at(n), 0, p.size))
	if err != nil {
		if u := tiff.UnsupportedError(""); errors.As(err, &u) {
			return formats.Page{}, fault.Document(schemas.DocumentUnsupported, "The picture uses a feature of TIFF that Docstream does not read: %s.", string(u)).Because(err)
		}
		return formats.Page{}, fault.Document(schemas.PageCorrupt, "%s", schemas.Codes[schemas.PageCorrupt].Meaning).Because(err)
	}
	return page(m, f, w)
}

// at shows the file as if page n were its first: the decoder reads only the directory that the header points at.
func (p *pages) at(n int) io.ReaderAt {
	v := &view{file: p.file}
	_, _ = p.file.ReadAt(v.head[:4], 0)
	p.order.PutUint32(v.head[4:], p.dirs[n-1])
	return v
}

// view is a file with another header.
type view struct {
	file io.ReaderAt
	head [8]byte
}

// ReadAt reads the header from memory and the rest from the file.
func (v *view) ReadAt(b []byte, off int64) (int, error) {
	n, err := v.file.ReadAt(b, off)
	if off >= 0 && off < int64(len(v.head)) {
		copy(b[:n], v.head[off:])
	}
	return n, err
}
