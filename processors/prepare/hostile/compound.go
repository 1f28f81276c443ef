package hostile

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf16"
)

// Stream is a stream of a compound file; the storages of its path come into being with it.
type Stream struct {
	Path string
	Body []byte
}

const (
	sector     = 512
	miniSector = 64
	miniBelow  = 4096 // bytes; shorter streams lie in the mini stream
	endOfChain = 0xfffffffe
	fatSector  = 0xfffffffd
	noEntry    = 0xffffffff
)

// entry is an entry of the directory.
type entry struct {
	name        string
	kind        byte // 1 storage, 2 stream, 5 root
	body        []byte
	children    []*entry
	left, right uint32
	child       uint32
	start       uint32
	size        uint64
	id          uint32
}

// Compound writes a compound file of version 3, the container of old Office documents and of Outlook's messages, by its published
// specification.
func Compound(streams ...Stream) []byte {
	root := &entry{name: "Root Entry", kind: 5}
	for _, s := range streams {
		at := root
		names := strings.Split(s.Path, "/")
		for _, name := range names[:len(names)-1] {
			at = at.storage(name)
		}
		at.children = append(at.children, &entry{name: names[len(names)-1], kind: 2, body: s.Body})
	}
	var all []*entry
	root.number(&all)

	var mini, body bytes.Buffer
	var miniFAT, chain []uint32 // chain is of the sectors behind directory, mini FAT and mini stream
	for _, e := range all {
		switch {
		case e.kind != 2 || len(e.body) == 0:
			e.start = endOfChain
		case len(e.body) < miniBelow:
			e.start = uint32(len(miniFAT))
			miniFAT = follow(miniFAT, (len(e.body)+miniSector-1)/miniSector)
			mini.Write(padded(e.body, miniSector))
		}
		e.size = uint64(len(e.body))
	}
	root.size = uint64(mini.Len())
	directory := (len(all)*128 + sector - 1) / sector
	miniFATs := (len(miniFAT)*4 + sector - 1) / sector
	minis := (mini.Len() + sector - 1) / sector
	large := 0
	for _, e := range all {
		if e.kind == 2 && len(e.body) >= miniBelow {
			large += (len(e.body) + sector - 1) / sector
		}
	}
	used := directory + miniFATs + minis + large
	fats := 1
	for (used+fats)*4 > fats*sector {
		fats++
	}
	for range fats {
		chain = append(chain, fatSector)
	}
	chain = follow(chain, directory)
	firstMiniFAT, firstMini := len(chain), len(chain)+miniFATs
	chain = follow(follow(chain, miniFATs), minis)
	root.start = endOfChain
	if minis > 0 {
		root.start = uint32(firstMini)
	}
	for _, e := range all {
		if e.kind == 2 && len(e.body) >= miniBelow {
			e.start = uint32(len(chain))
			chain = follow(chain, (len(e.body)+sector-1)/sector)
			body.Write(padded(e.body, sector))
		}
	}

	var out bytes.Buffer
	out.Write(header(fats, fats, firstMiniFAT, miniFATs))
	out.Write(words32(chain, fats*sector))
	for i := range directory * sector / 128 {
		if i < len(all) {
			out.Write(all[i].bytes())
		} else {
			out.Write((&entry{left: noEntry, right: noEntry, child: noEntry}).bytes())
		}
	}
	out.Write(words32(miniFAT, miniFATs*sector))
	out.Write(padded(mini.Bytes(), sector))
	out.Write(body.Bytes())
	return out.Bytes()
}

func (e *entry) storage(name string) *entry {
	for _, c := range e.children {
		if c.name == name {
			return c
		}
	}
	c := &entry{name: name, kind: 1}
	e.children = append(e.children, c)
	return c
}

// number gives every entry its place and makes each storage's children a balanced tree in the order the format wants: by length, then name.
func (e *entry) number(all *[]*entry) {
	e.id, e.left, e.right, e.child = uint32(len(*all)), noEntry, noEntry, noEntry
	*all = append(*all, e)
	for _, c := range e.children {
		c.number(all)
	}
	slices.SortFunc(e.children, func(a, b *entry) int {
		if len(a.name) != len(b.name) {
			return len(a.name) - len(b.name)
		}
		return strings.Compare(strings.ToUpper(a.name), strings.ToUpper(b.name))
	})
	e.child = tree(e.children)
}

func tree(of []*entry) uint32 {
	if len(of) == 0 {
		return noEntry
	}
	m := len(of) / 2
	of[m].left, of[m].right = tree(of[:m]), tree(of[m+1:])
	return of[m].id
}

// bytes is the entry as the directory holds it.
func (e *entry) bytes() []byte {
	b := make([]byte, 128)
	u := utf16.Encode([]rune(e.name))
	for i, c := range u {
		binary.LittleEndian.PutUint16(b[2*i:], c)
	}
	if e.kind != 0 {
		binary.LittleEndian.PutUint16(b[64:], uint16(2*len(u)+2))
	}
	b[66], b[67] = e.kind, 1
	binary.LittleEndian.PutUint32(b[68:], e.left)
	binary.LittleEndian.PutUint32(b[72:], e.right)
	binary.LittleEndian.PutUint32(b[76:], e.child)
	binary.LittleEndian.PutUint32(b[116:], e.start)
	binary.LittleEndian.PutUint64(b[120:], e.size)
	return b
}

func header(fats, directory, miniFAT, miniFATs int) []byte {
	b := make([]byte, sector)
	copy(b, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
	le := binary.LittleEndian
	le.PutUint16(b[24:], 0x3e)
	le.PutUint16(b[26:], 3)
	le.PutUint16(b[28:], 0xfffe)
	le.PutUint16(b[30:], 9)
	le.PutUint16(b[32:], 6)
	le.PutUint32(b[44:], uint32(fats))
	le.PutUint32(b[48:], uint32(directory))
	le.PutUint32(b[56:], miniBelow)
	le.PutUint32(b[60:], endOfChain)
	if miniFATs > 0 {
		le.PutUint32(b[60:], uint32(miniFAT))
	}
	le.PutUint32(b[64:], uint32(miniFATs))
	le.PutUint32(b[68:], endOfChain)
	for i := range 109 {
		v := uint32(noEntry)
		if i < fats {
			v = uint32(i)
		}
		le.PutUint32(b[76+4*i:], v)
	}
	return b
}

// follow appends a chain of n sectors that lie behind one another.
func follow(chain []uint32, n int) []uint32 {
	for i := range n {
		next := uint32(len(chain) + 1)
		if i == n-1 {
			next = endOfChain
		}
		chain = append(chain, next)
	}
	return chain
}

func padded(b []byte, to int) []byte {
	return append(bytes.Clone(b), make([]byte, (to-len(b)%to)%to)...)
}

// words32 writes numbers and fills up with free places.
func words32(v []uint32, size int) []byte {
	b := bytes.Repeat([]byte{0xff}, size)
	for i, w := range v {
		binary.LittleEndian.PutUint32(b[4*i:], w)
	}
	return b
}
