// Package pack opens the zip containers that Office documents and e-books are.
//
// Nothing of a container is believed: the directory is bounded before it is read, entries that lie over one another are refused, and every
// byte that is unpacked counts against one budget, so that a bomb costs no more than the budget. Names are looked up and never become
// paths.
package pack

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
)

// maxDirectory bounds the directory of a container in bytes.
const maxDirectory = 16 << 20

// alwaysOpened is how much a container may unpack to however small it is: markup packs well.
const alwaysOpened = 32 << 20

// Archive is an open container. It is used by one goroutine.
type Archive struct {
	names   []string // in the order of the directory
	files   map[string]*zip.File
	folded  map[string]string // lower-case name to the first that reads so
	budget  int64
	size    int64               // bytes, packed
	ratio   int64               // bytes that a packed one may unpack to; 0: any
	opened  int64               // bytes unpacked so far
	charged map[*zip.File]int64 // bytes of each file that the budget has paid for
}

// Open reads the directory.
func Open(r io.ReaderAt, size int64, l formats.Limits) (*Archive, error) {
	if err := checkDirectory(r, size); err != nil {
		return nil, err
	}
	z, err := zip.NewReader(r, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // names are never paths here
		return nil, formats.Corrupt(err)
	}
	if len(z.File) > l.Parts {
		return nil, formats.TooLarge("%d files in it, the limit is %d", len(z.File), l.Parts)
	}
	if err := checkOverlap(z.File); err != nil {
		return nil, err
	}
	a := &Archive{files: make(map[string]*zip.File, len(z.File)), folded: map[string]string{}, budget: l.Unpacked, size: size, ratio: l.Ratio, charged: map[*zip.File]int64{}}
	for _, f := range z.File {
		name := strings.TrimPrefix(strings.ReplaceAll(f.Name, `\`, "/"), "/")
		if _, twice := a.files[name]; twice {
			continue // readers disagree on which one counts; we take the first, always
		}
		a.names, a.files[name] = append(a.names, name), f
		if low := strings.ToLower(name); a.folded[low] == "" {
			a.folded[low] = name
		}
	}
	return a, nil
}

// checkDirectory refuses a container whose directory is out of proportion before anything is allocated for its entries.
func checkDirectory(r io.ReaderAt, size int64) error {
	tail := make([]byte, min(size, 64<<10+22))
	if _, err := r.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return formats.Corrupt(err)
	}
	at := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if at < 0 || len(tail)-at < 22 {
		return formats.Corrupt(errors.New("no directory"))
	}
	length, offset := binary.LittleEndian.Uint32(tail[at+12:]), binary.LittleEndian.Uint32(tail[at+16:])
	end := size - int64(len(tail)) + int64(at)
	if length == 1<<32-1 || offset == 1<<32-1 { // the true ones stand elsewhere: such a file is huge or has no reason for it
		length, offset = 0, uint32(min(end, 1<<32-1))
		if size > maxDirectory {
			return formats.TooLarge("a directory for a file of more than 4 GiB")
		}
	}
	if length > maxDirectory || end-int64(offset) > 2*maxDirectory {
		return formats.TooLarge("a directory of %d bytes", max(int64(length), end-int64(offset)))
	}
	return nil
}

// checkOverlap refuses entries that share bytes: what is packed once cannot be unpacked a thousand times.
func checkOverlap(files []*zip.File) error {
	type stretch struct{ from, to int64 }
	all := make([]stretch, 0, len(files))
	for _, f := range files {
		at, err := f.DataOffset()
		if err != nil {
			return formats.Corrupt(err)
		}
		if f.CompressedSize64 > 1<<40 {
			return formats.Corrupt(errors.New("an entry larger than any file"))
		}
		all = append(all, stretch{at, at + int64(f.CompressedSize64)})
	}
	slices.SortFunc(all, func(a, b stretch) int { return int(min(1, max(-1, a.from-b.from))) })
	for i := 1; i < len(all); i++ {
		if all[i].from < all[i-1].to {
			return formats.Corrupt(errors.New("entries overlap"))
		}
	}
	return nil
}

// Names lists the files in the order of the directory.
func (a *Archive) Names() []string { return a.names }

// Has reports whether there is a file of the name.
func (a *Archive) Has(name string) bool { return a.find(name) != nil }

// find looks a name up as it is written and, because writers are careless, without regard to case.
func (a *Archive) find(name string) *zip.File {
	if f := a.files[name]; f != nil {
		return f
	}
	return a.files[a.folded[strings.ToLower(name)]]
}

// Reader unpacks a file. What is read counts against the budget of the whole container, once however often it is read. A missing file is
// damage.
func (a *Archive) Reader(name string) (io.ReadCloser, error) {
	f := a.find(name)
	if f == nil {
		return nil, formats.Corrupt(fmt.Errorf("part %q is missing", path.Base(name)))
	}
	if f.Flags&1 != 0 {
		return nil, formats.Encrypted()
	}
	if size := f.UncompressedSize64; a.ratio > 0 && size > max(alwaysOpened, uint64(a.ratio)*f.CompressedSize64) {
		return nil, formats.Dense("a part of %d bytes says it unpacks to %d; the limit is %d for one", f.CompressedSize64, size, a.ratio)
	}
	r, err := f.Open()
	if err != nil {
		if errors.Is(err, zip.ErrAlgorithm) {
			return nil, formats.Unsupported("a packing method other than deflate")
		}
		return nil, formats.Corrupt(err)
	}
	return &reader{ReadCloser: r, archive: a, file: f}, nil
}

// Read unpacks a whole file of at most limit bytes.
func (a *Archive) Read(name string, limit int64) ([]byte, error) {
	r, err := a.Reader(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(b)) > limit:
		return nil, formats.TooLarge("a part of more than %d bytes", limit)
	}
	return b, nil
}

// reader charges what it unpacks to the container.
type reader struct {
	io.ReadCloser
	archive *Archive
	file    *zip.File
	at      int64
}

func (r *reader) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	r.at += int64(n)
	if fresh := r.at - r.archive.charged[r.file]; fresh > 0 {
		r.archive.charged[r.file] = r.at
		r.archive.budget -= fresh
		r.archive.opened += fresh
	}
	if r.archive.budget < 0 {
		return 0, formats.TooLarge("the budget of unpacked bytes is used up")
	}
	if a := r.archive; a.ratio > 0 && a.opened > max(a.ratio*a.size, alwaysOpened) {
		return 0, formats.Dense("%d bytes out of %d; the limit is %d for one", a.opened, a.size, a.ratio)
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.As(err, new(*fault.Error)) {
		err = formats.Corrupt(err)
	}
	return n, err
}
