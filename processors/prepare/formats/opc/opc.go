// Package opc opens the containers of Office documents: parts, and relationships that say which part belongs to which.
package opc

import (
	"errors"
	"io"
	"path"
	"strings"

	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/pack"
	"docstream/processors/prepare/formats/xmltree"
)

// Package is an open container.
type Package struct {
	*pack.Archive
	depth int
	rels  map[string]map[string]Relation
}

// Relation says where a part points to.
type Relation struct {
	Kind     string // last element of its type, such as styles or hyperlink
	Target   string // name of a part, or an address outside
	External bool
}

// Open reads the directory.
func Open(r io.ReaderAt, size int64, l formats.Limits) (*Package, error) {
	a, err := pack.Open(r, size, l)
	if err != nil {
		return nil, err
	}
	if a.Has("EncryptedPackage") {
		return nil, formats.Encrypted()
	}
	return &Package{Archive: a, depth: l.Depth, rels: map[string]map[string]Relation{}}, nil
}

// Main is the name of the part that the document begins with; a container without one is damaged.
func (p *Package) Main() (string, error) {
	rels, err := p.Relations("")
	if err != nil {
		return "", err
	}
	for _, r := range rels {
		if r.Kind == "officeDocument" && p.Has(r.Target) {
			return r.Target, nil
		}
	}
	return "", formats.Corrupt(errors.New("no main part"))
}

// Relations returns what a part points to, by id; nothing where it says nothing.
func (p *Package) Relations(part string) (map[string]Relation, error) {
	if r, ok := p.rels[part]; ok {
		return r, nil
	}
	dir, file := path.Split(part)
	name := dir + "_rels/" + file + ".rels"
	out := map[string]Relation{}
	p.rels[part] = out
	if !p.Has(name) {
		return out, nil
	}
	r, err := p.Reader(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return out, xmltree.Each(r, p.depth, map[string]bool{"Relationships": true}, func(n *xmltree.Node) error {
		rel := Relation{Kind: path.Base(n.Attr("Type")), Target: n.Attr("Target"), External: n.Attr("TargetMode") == "External"}
		if !rel.External {
			rel.Target = resolve(dir, rel.Target)
		}
		out[n.Attr("Id")] = rel
		return nil
	})
}

// resolve makes a target a name of the container: it never leads out of it.
func resolve(dir, target string) string {
	target, _, _ = strings.Cut(target, "#")
	if !strings.HasPrefix(target, "/") {
		target = "/" + dir + target
	}
	return strings.TrimPrefix(path.Clean(target), "/")
}

// Begins refuses a part whose first element is another.
func (p *Package) Begins(part, name string) error {
	r, err := p.Reader(part)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	return xmltree.Begins(r, p.depth, name)
}

// Related returns the first part of a kind that a part points to, or "".
func (p *Package) Related(part, kind string) string {
	rels, err := p.Relations(part)
	if err != nil {
		return ""
	}
	found := ""
	for _, r := range rels {
		if r.Kind == kind && !r.External && p.Has(r.Target) && (found == "" || r.Target < found) {
			found = r.Target
		}
	}
	return found
}

// Tree reads a part whole.
func (p *Package) Tree(part string) (*xmltree.Node, error) {
	r, err := p.Reader(part)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return xmltree.Parse(r, p.depth)
}

// Picture reads the part that a picture lies in; nil where there is none.
func (p *Package) Picture(part string) func() ([]byte, error) {
	if part == "" {
		return nil
	}
	return func() ([]byte, error) { return p.Read(part, formats.MostPictureMB<<20) }
}

// Each calls f with every element that stands directly within the containers of a part.
func (p *Package) Each(part string, containers map[string]bool, f func(*xmltree.Node) error) error {
	r, err := p.Reader(part)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	return xmltree.Each(r, p.depth, containers, f)
}

// Depth is how deep the elements of a part may be nested.
func (p *Package) Depth() int { return p.depth }
