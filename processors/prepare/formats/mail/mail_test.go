package mail_test

import (
	"encoding/base64"
	"os"
	"strings"
	"testing"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/formatstest"
	"docstream/processors/prepare/formats/mail"
	"docstream/processors/prepare/formats/text"
	"docstream/schemas"
)

// open opens plain text and letters; what is called locked is, and nobody knows anything else.
func open(f *os.File, size int64, media, name string, l formats.Limits) (formats.Document, error) {
	switch {
	case name == "locked.pdf":
		return nil, formats.Encrypted()
	case strings.HasPrefix(media, "text/plain"):
		return text.New().Open(f, size, media, l)
	case media == mail.MediaType:
		return mail.NewInternet(open).Open(f, size, media, l)
	}
	return nil, formats.Unsupported("something else")
}

func attached(name, media, body string) string {
	return "--b\r\nContent-Type: " + media + "; name=\"" + name + "\"\r\nContent-Disposition: attachment; filename=\"" + name + "\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		base64.StdEncoding.EncodeToString([]byte(body)) + "\r\n"
}

func letter(parts ...string) string {
	return "From: Ann <ann@a.example>\r\nTo: bob@b.example\r\nDate: Mon, 2 Nov 2026 10:00:00 +0000\r\nSubject: =?utf-8?q?Gr=C3=B6=C3=9Fe?=\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n" +
		"--c\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nplain\r\n--c\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Dear <b>Bob</b>,</p><ul><li>one</ul>\r\n--c--\r\n" +
		strings.Join(parts, "") + "--b--\r\n"
}

const head = "heading1: Größe\nparagraph: From: \"Ann\" <ann@a.example>⏎To: <bob@b.example>⏎Date: Mon, 2 Nov 2026 10:00:00 +0000\n"

func outline(t *testing.T, in string) (string, error) {
	t.Helper()
	pages, err := formatstest.Read(t, mail.NewInternet(open), mail.MediaType, []byte(in))
	out := formatstest.Outline(pages)
	return strings.NewReplacer(`"Ann" <`, `Ann <`, `To: <bob@b.example>`, `To: bob@b.example`).Replace(out), err
}

func TestALetterAndWhatIsAttachedAreRead(t *testing.T) {
	got, err := outline(t, letter(attached("note.txt", "text/plain", "One.\n\nTwo."), attached("tool.bin", "application/x-tool", "??")))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer(`"Ann" <`, `Ann <`, `To: <bob@b.example>`, `To: bob@b.example`).Replace(head) +
		"paragraph: Dear Bob, {strong \"Bob\"}\nlist_item1: • one\nlist_item1: • Attachment: note.txt\nlist_item1: • Attachment: tool.bin\n---\npart note.txt\nparagraph: One.\nparagraph: Two.\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestALockedAttachmentIsAPageThatFails(t *testing.T) {
	d, err := formatstest.Open(t, mail.NewInternet(open), mail.MediaType, []byte(letter(attached("locked.pdf", "application/pdf", "x"), attached("n.txt", "text/plain", "y"))), formatstest.Limits)
	if err != nil || d.Pages() != 3 {
		t.Fatalf("%v", err)
	}
	if _, err := d.Read(2, formats.Want{}); fault.Of(err).Code != schemas.DocumentEncrypted {
		t.Errorf("page 2: %v", err)
	}
	if p, err := d.Read(3, formats.Want{}); err != nil || p.Text.Blocks[0].Text != "y" || p.Text.Number != 3 {
		t.Errorf("page 3: %v", err)
	}
}

func TestLettersInLettersAndManyAttachmentsAreBounded(t *testing.T) {
	in := letter(attached("n.txt", "text/plain", "deep"))
	for range 10 {
		in = letter(attached("inner.eml", "message/rfc822", in))
	}
	d, err := formatstest.Open(t, mail.NewInternet(open), mail.MediaType, []byte(in), formatstest.Limits)
	if err != nil || d.Pages() != 1+formatstest.Limits.Letters {
		t.Errorf("%d pages, %v", d.Pages(), err)
	}
	many := letter(strings.Repeat(attached("n.txt", "text/plain", "x"), 50))
	d, err = formatstest.Open(t, mail.NewInternet(open), mail.MediaType, []byte(many), formatstest.Limits)
	if err != nil || d.Pages() != 1+formatstest.Limits.Attachments {
		t.Errorf("%d pages, %v", d.Pages(), err)
	}
	nested := letter(strings.Repeat("--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n", 1000))
	if _, err = formatstest.Open(t, mail.NewInternet(open), mail.MediaType, []byte(nested), formatstest.Limits); fault.Of(err).Code != schemas.DocumentTooDeep {
		t.Errorf("parts in parts: %v", err)
	}
}

func TestTheTextOfALetterIsReadOnceInItsBestForm(t *testing.T) {
	part := func(head, body string) string { return "--b\r\n" + head + "\r\n\r\n" + body + "\r\n" }
	mixed := func(kind, parts string) string {
		return "Subject: S\r\nMIME-Version: 1.0\r\nContent-Type: " + kind + "; boundary=b\r\n\r\n" + parts + "--b--\r\n"
	}
	dot := base64.StdEncoding.EncodeToString(formatstest.Dot("png", 4))
	for name, c := range map[string]struct{ in, want string }{
		"plain first, page last": {mixed("multipart/alternative", part("Content-Type: text/plain", "plain")+part("Content-Type: text/html", "<p>page")), "paragraph: page\n"},
		"page first, plain last": {mixed("multipart/alternative", part("Content-Type: text/html", "<p>page")+part("Content-Type: text/plain", "plain")), "paragraph: page\n"},
		"a page with pictures among alternatives": {mixed("multipart/alternative", part("Content-Type: text/plain", "plain")+part("Content-Type: multipart/related; boundary=c", "--c\r\nContent-Type: text/html\r\n\r\n<p>page<img src=\"cid:p@1\" alt=\"A dot\">\r\n--c\r\nContent-Type: image/png\r\nContent-ID: <p@1>\r\nContent-Transfer-Encoding: base64\r\n\r\n"+dot+"\r\n--c--")),
			"paragraph: page\nfigure: A dot\n"},
		"texts one after another": {mixed("multipart/mixed", part("Content-Type: text/html", "<p>page")+part("Content-Type: text/plain", "and the list's foot")), "paragraph: page\nparagraph: and the list's foot\n"},
		"a text that is attached": {mixed("multipart/mixed", part("Content-Type: text/plain", "body")+part("Content-Type: text/plain\r\nContent-Disposition: inline; filename=a.txt", "file")), "paragraph: body\nlist_item1: • Attachment: a.txt\n---\npart a.txt\nparagraph: file\n"},
		"a letter that is sent on": {mixed("multipart/mixed", part("Content-Type: text/plain", "see")+part("Content-Type: message/rfc822", "Subject: Inner\r\nContent-Type: text/plain\r\n\r\ninner words")),
			"paragraph: see\nlist_item1: • Attachment: part 1.eml\n---\npart part 1.eml\nheading1: Inner\nparagraph: inner words\n"},
		"a picture that the text does not show": {mixed("multipart/mixed", part("Content-Type: text/plain", "see")+part("Content-Type: image/png\r\nContent-Disposition: inline; filename=dot.png\r\nContent-Transfer-Encoding: base64", dot)), "paragraph: see\nlist_item1: • Attachment: dot.png\n"},
		"quoted words":                          {"Subject: S\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=F6=DFe und =\r\nmehr\r\n", "paragraph: Größe und mehr\n"},
		"a Russian charset":                     {"Subject: S\r\nContent-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xf0\xd2\xc9\xd7\xc5\xd4\r\n", "paragraph: Привет\n"},
		"a Japanese charset":                    {"Subject: S\r\nContent-Type: text/plain; charset=iso-2022-jp\r\n\r\n\x1b$B$3$s$K$A$O\x1b(B\r\n", "paragraph: こんにちは\n"},
		"a page and no more":                    {"Subject: S\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<table border=1><tr><td>a<td>b</table>\r\n", "table 1x2\n 0: |0 a |1 b\n"},
		"a letter without head":                 {"\r\nwords\r\n", "paragraph: words\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := outline(t, c.in)
			if got = strings.TrimPrefix(got, "heading1: S\n"); err != nil || got != c.want {
				t.Errorf("got\n%s\nwant\n%s (%v)", got, c.want, err)
			}
		})
	}
}

func FuzzLetter(f *testing.F) {
	f.Add([]byte(letter(attached("note.txt", "text/plain", "One."))))
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, err := outline(t, string(in)); err != nil && fault.KindOf(err) != fault.Permanent {
			t.Fatal(err)
		}
	})
}

func FuzzOutlook(f *testing.F) {
	f.Add([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, err := formatstest.Read(t, mail.NewOutlook(open), mail.OutlookType, in); err != nil && fault.KindOf(err) != fault.Permanent {
			t.Fatal(err)
		}
	})
}
