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
