// Package epub reads e-books: the files of the spine in its order, a page each, named as the table of contents names them.
package epub

import (
	"errors"
	"net/url"
	"os"
	"path"
	"strings"

	xhtml "golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/html"
	"docstream/processors/prepare/formats/pack"
	"docstream/processors/prepare/formats/xmltree"
)

// MediaType is what the format claims.
const MediaType = "application/epub+zip"

// Format is the format of e-books.
type Format struct{}

// New returns the format.
func New() Format { return Format{} }

// Claims reports whether the media type is that of e-books.
func (Format) Claims(media string) bool { return media == MediaType }

// Open reads the spine and the table of contents; a chapter is read with its page.
func (Format) Open(f *os.File, size int64, _ string, l formats.Limits) (formats.Document, error) {
	a, err := pack.Open(f, size, l)
	if err != nil {
		return nil, err
	}
	b := &book{archive: a, limits: l, titles: map[string]string{}}
	if err := b.open(); err != nil {
		return nil, err
	}
	return b, l.CheckPages(len(b.spine))
}

// book is an open e-book.
type book struct {
	archive *pack.Archive
	limits  formats.Limits
	spine   []string
	titles  map[string]string // by file
}

func (b *book) tree(name string) (*xmltree.Node, error) {
	r, err := b.archive.Reader(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return xmltree.Parse(r, b.limits.Depth)
}

func (b *book) open() error {
	c, err := b.tree("META-INF/container.xml")
	if err != nil {
		return err
	}
	opf := c.Find("rootfile").Attr("full-path")
	t, err := b.tree(opf)
	if err != nil {
		return err
	}
	type item struct{ name, media, properties string }
	items := map[string]item{}
	for _, n := range t.Child("manifest").All("item") {
		items[n.Attr("id")] = item{resolve(opf, n.Attr("href")), n.Attr("media-type"), n.Attr("properties")}
	}
	spine := t.Child("spine")
	nav := items[spine.Attr("toc")].name
	for _, i := range items {
		if strings.Contains(" "+i.properties+" ", " nav ") {
			nav = i.name
		}
	}
	for _, n := range spine.All("itemref") {
		i, ok := items[n.Attr("idref")]
		if !ok || !strings.Contains(i.media, "html") || i.name == nav && n.Attr("linear") == "no" {
			continue
		}
		if !b.archive.Has(i.name) {
			return formats.Corrupt(errors.New("a chapter is missing"))
		}
		b.spine = append(b.spine, i.name)
	}
	if err := b.protected(); err != nil {
		return err
	}
	b.contents(nav)
	return nil
}

// protected refuses a book whose chapters are encrypted; fonts often are, and do not matter.
func (b *book) protected() error {
	if !b.archive.Has("META-INF/encryption.xml") {
		return nil
	}
	t, err := b.tree("META-INF/encryption.xml")
	if err != nil {
		return err
	}
	for _, d := range t.All("EncryptedData") {
		name := resolve("", d.Find("CipherReference").Attr("URI"))
		for _, s := range b.spine {
			if s == name {
				return formats.Encrypted()
			}
		}
	}
	return nil
}

// resolve makes a reference a name in the container: it never leads out of it.
func resolve(from, href string) string {
	href, _, _ = strings.Cut(href, "#")
	if u, err := url.PathUnescape(href); err == nil {
		href = u
	}
	return strings.TrimPrefix(path.Clean("/"+path.Join(path.Dir(from), href)), "/")
}

// contents reads the names of the chapters. A table of contents that cannot be read names none.
func (b *book) contents(nav string) {
	if nav == "" || !b.archive.Has(nav) {
		return
	}
	name := func(href, title string) {
		file := resolve(nav, href)
		if title = strings.Join(strings.Fields(title), " "); title != "" && b.titles[file] == "" {
			b.titles[file] = title
		}
	}
	if strings.HasSuffix(nav, ".ncx") {
		t, err := b.tree(nav)
		if err != nil {
			return
		}
		var points func(*xmltree.Node)
		points = func(n *xmltree.Node) {
			for _, p := range n.All("navPoint") {
				name(p.Child("content").Attr("src"), p.Child("navLabel", "text").Content())
				points(p)
			}
		}
		points(t.Child("navMap"))
		return
	}
	raw, err := b.archive.Read(nav, b.limits.Text)
	if err != nil {
		return
	}
	root, err := html.Parse(html.Decoded(raw))
	if err != nil {
		return
	}
	for n := range root.Descendants() {
		if n.DataAtom == atom.A {
			for _, at := range n.Attr {
				if at.Key == "href" {
					name(at.Val, words(n))
				}
			}
		}
	}
}

func words(n *xhtml.Node) string {
	var s strings.Builder
	for d := range n.Descendants() {
		if d.Type == xhtml.TextNode {
			s.WriteString(d.Data)
		}
	}
	return s.String()
}

// Pages counts the chapters.
func (b *book) Pages() int { return len(b.spine) }

// Close has nothing to free.
func (b *book) Close() {}

// Read reads a chapter.
func (b *book) Read(n int, w formats.Want) (formats.Page, error) {
	name := b.spine[n-1]
	raw, err := b.archive.Read(name, b.limits.Text)
	if err != nil {
		return formats.Page{}, err
	}
	root, err := html.Parse(html.Decoded(html.Closed(raw)))
	if err != nil {
		return formats.Page{}, err
	}
	out := flow.New(formats.Limits{Pages: 1 << 30})
	out.Part(b.titles[name], false)
	html.WriteWith(out, root, func(src string) flow.Load {
		part := resolve(name, src)
		if !b.archive.Has(part) {
			return nil
		}
		return func() ([]byte, error) { return b.archive.Read(part, formats.MostPictureMB<<20) }
	})
	return flow.Single(out, n, w, b.limits)
}
