package epub_test

import (
	"testing"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats/epub"
	"docstream/processors/prepare/formats/formatstest"
	"docstream/schemas"
)

func book(chapter string, extra ...formatstest.Part) []byte {
	return formatstest.Zip(append([]formatstest.Part{{Name: "mimetype", Body: epub.MediaType},
		{Name: "META-INF/container.xml", Body: `<container><rootfiles><rootfile full-path="o/b.opf"/></rootfiles></container>`},
		{Name: "o/b.opf", Body: `<package><manifest><item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>` +
			`<item id="b" href="text/b%20b.xhtml" media-type="application/xhtml+xml"/><item id="a" href="text/a.xhtml" media-type="application/xhtml+xml"/><item id="i" href="i.png" media-type="image/png"/></manifest>` +
			`<spine><itemref idref="b"/><itemref idref="a"/></spine></package>`},
		{Name: "o/nav.xhtml", Body: `<html><nav><ol><li><a href="text/b%20b.xhtml#x">The <i>First</i></a><li><a href="text/a.xhtml">Second</a></ol></nav></html>`},
		{Name: "o/text/b b.xhtml", Body: `<html><head><title/></head><body><a id="x"/><h2>First</h2><p>line<br/>two</p></body></html>`},
		{Name: "o/text/a.xhtml", Body: chapter}}, extra...)...)
}

func TestChaptersFollowTheSpine(t *testing.T) {
	pages, err := formatstest.Read(t, epub.New(), epub.MediaType, book(`<html><body><p>Zwei</p></body></html>`))
	if err != nil {
		t.Fatal(err)
	}
	want := "part The First\nheading2: First\nparagraph: line⏎two\n---\npart Second\nparagraph: Zwei\n"
	if got := formatstest.Outline(pages); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAChapterIsReadInItsCharset(t *testing.T) {
	pages, err := formatstest.Read(t, epub.New(), epub.MediaType, book("<?xml version=\"1.0\" encoding=\"iso-8859-2\"?><html><head><title/></head><body><p>\xb1\xe6<a id=\"x\"/> b</p></body></html>"))
	if err != nil {
		t.Fatal(err)
	}
	if got := formatstest.Outline(pages[1:]); got != "part Second\nparagraph: ąć b\n" {
		t.Error(got)
	}
}

func TestLockedAndBrokenBooksAreRefused(t *testing.T) {
	locked := formatstest.Part{Name: "META-INF/encryption.xml", Body: `<encryption><EncryptedData><CipherData><CipherReference URI="o/text/a.xhtml"/></CipherData></EncryptedData></encryption>`}
	fonts := formatstest.Part{Name: "META-INF/encryption.xml", Body: `<encryption><EncryptedData><CipherData><CipherReference URI="o/font.otf"/></CipherData></EncryptedData></encryption>`}
	if _, err := formatstest.Open(t, epub.New(), epub.MediaType, book("x", locked), formatstest.Limits); fault.Of(err).Code != schemas.DocumentEncrypted {
		t.Errorf("locked: %v", err)
	}
	if _, err := formatstest.Open(t, epub.New(), epub.MediaType, book("x", fonts), formatstest.Limits); err != nil {
		t.Errorf("locked fonts: %v", err)
	}
	if _, err := formatstest.Open(t, epub.New(), epub.MediaType, formatstest.Zip(formatstest.Part{Name: "mimetype"}), formatstest.Limits); fault.Of(err).Code != schemas.DocumentCorrupt {
		t.Errorf("no container: %v", err)
	}
}

func FuzzChapter(f *testing.F) {
	f.Add([]byte(`<html><body><p>Zwei<br/></p></body></html>`))
	f.Fuzz(func(t *testing.T, chapter []byte) {
		if _, err := formatstest.Read(t, epub.New(), epub.MediaType, book(string(chapter))); err != nil && fault.KindOf(err) != fault.Permanent {
			t.Fatal(err)
		}
	})
}
