package docx

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"

	"docstream/processors/prepare/formats/flow"
	"docstream/processors/prepare/formats/html"
	"docstream/processors/prepare/formats/text"
	"docstream/processors/prepare/formats/xmltree"
)

// The bounds of documents within a document.
const (
	maxChunks = 64 << 20 // bytes of all
	maxPages  = 100      // parts of a web page that was packed
)

// chunk puts a document that Word would take in when it opens the one around it: a web page, or plain text. Others are left out.
func (r *reader) chunk(n *xmltree.Node) error {
	rels, err := r.pkg.Relations(r.part)
	if err != nil {
		return err
	}
	rel := rels[n.In("relationships", "id")]
	if rel.External || rel.Target == "" || !r.pkg.Has(rel.Target) {
		return nil
	}
	raw, err := r.pkg.Read(rel.Target, int64(maxChunks-r.chunks))
	if err != nil {
		return err
	}
	r.chunks += len(raw)
	name := strings.ToLower(rel.Target)
	switch head := bytes.ToLower(bytes.TrimSpace(raw[:min(len(raw), 4096)])); {
	case bytes.HasPrefix(head, []byte("pk\x03\x04")), bytes.HasPrefix(head, []byte(`{\rtf`)), bytes.IndexByte(head, 0) >= 0 && !bytes.HasPrefix(raw, []byte("\xff\xfe")) && !bytes.HasPrefix(raw, []byte("\xfe\xff")):
	case bytes.Contains(head, []byte("mime-version:")):
		if page, ok := packedPage(raw); ok {
			return r.page(page)
		}
	case strings.HasSuffix(name, ".txt"):
		for p := range strings.SplitSeq(strings.ReplaceAll(text.Decode(raw), "\r\n", "\n"), "\n") {
			r.out.Paragraph(flow.Plain(p))
		}
	default:
		return r.page(raw)
	}
	return r.out.Err()
}

// page puts a web page.
func (r *reader) page(raw []byte) error {
	root, err := html.Parse(html.Decoded(raw))
	if err != nil {
		return err
	}
	html.Write(r.out, root)
	return r.out.Err()
}

// packedPage is the page of a web page that is packed as a message.
func packedPage(raw []byte) ([]byte, bool) {
	m, err := mail.ReadMessage(bytes.NewReader(bytes.TrimSpace(raw)))
	if err != nil {
		return nil, false
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return nil, false
	}
	if kind == "text/html" {
		return unpacked(m.Header.Get("Content-Transfer-Encoding"), m.Body)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for range maxPages {
		p, err := parts.NextRawPart()
		if err != nil {
			break
		}
		if kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type")); kind == "text/html" {
			return unpacked(p.Header.Get("Content-Transfer-Encoding"), p)
		}
	}
	return nil, false
}

func unpacked(encoding string, r io.Reader) ([]byte, bool) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "quoted-printable":
		r = quotedprintable.NewReader(r)
	case "base64":
		r = base64.NewDecoder(base64.StdEncoding, r)
	}
	b, err := io.ReadAll(r) // no longer than the part it stands in
	return b, err == nil || len(b) > 0
}
