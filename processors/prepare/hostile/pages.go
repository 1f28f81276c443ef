package hostile

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"docstream/schemas"
)

// inflatedBook is a workbook whose only sheet is what the reader gives.
func inflatedBook(sheet io.Reader) []byte {
	whole, err := zip.NewReader(bytes.NewReader(Workbook("", "")), int64(len(Workbook("", ""))))
	if err != nil {
		panic(err) // we wrote it
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	for _, f := range whole.File {
		w, err := z.Create(f.Name)
		if err != nil {
			panic(err)
		}
		from := sheet
		if f.Name != "xl/worksheets/sheet1.xml" {
			r, err := f.Open()
			if err != nil {
				panic(err)
			}
			from = r
		}
		_, _ = io.Copy(w, from)
	}
	_ = z.Close()
	return b.Bytes()
}

// pages are what is written as text: web pages, Markdown, JSON, tables, rich text.
func pages() []Case {
	deep := func(open, end string, n int) string { return strings.Repeat(open, n) + "x" + strings.Repeat(end, n) }
	return []Case{
		{"a web page a hundred thousand deep", htmlType, "", func() []byte { return []byte("<html><body>" + deep("<div>", "</div>", 100_000)) }, schemas.DocumentTooDeep},
		{"fonts a hundred thousand deep", htmlType, "", func() []byte { return []byte("<html><body><p>" + strings.Repeat("<b><i><font>", 33_000) + "x") }, schemas.DocumentTooDeep},
		{"tables a thousand deep", htmlType, "", func() []byte { return []byte("<html><body>" + strings.Repeat("<table><tr><td>", 1000) + "x") }, schemas.DocumentTooDeep},
		{"a cell of a billion columns", htmlType, "", func() []byte {
			return []byte("<html><body><table border=1>" + strings.Repeat(`<tr><td colspan=1000000000 rowspan=1000000000>x<td>y</tr>`, 2000) + "</table>")
		}, ""},
		{"a thousand wide cells in each of a thousand rows", htmlType, "", func() []byte {
			return []byte("<html><body><table border=1>" + strings.Repeat(`<tr>`+strings.Repeat(`<td colspan=1000 rowspan=65534>x`, 100)+`</tr>`, 1000) + "</table>")
		}, ""},
		{"a web page without a word", htmlType, "", fixed("<!DOCTYPE html><html><head><script>var a = 1</script></head><body></body></html>"), schemas.DocumentEmpty},
		{"a million open tags", htmlType, "", func() []byte { return []byte("<html><body>" + strings.Repeat("<p>", 1_000_000) + "x") }, ""},
		{"an attribute without an end", htmlType, "", func() []byte { return []byte(`<html><body>words<a href="` + strings.Repeat("a", 1<<20)) }, ""},
		{"quotes in quotes", "text/markdown", "a.md", func() []byte { return []byte(strings.Repeat("> ", 50_000) + "x") }, schemas.DocumentTooDeep},
		{"brackets in brackets", "text/markdown", "a.md", func() []byte { return []byte(strings.Repeat("[", 50_000) + "x" + strings.Repeat("](a)", 50_000)) }, ""},
		{"stars without an end", "text/markdown", "a.md", func() []byte { return []byte(strings.Repeat("**a *b ", 50_000)) }, ""},
		{"lists in lists of Markdown", "text/markdown", "a.md", func() []byte { return []byte(strings.Repeat("- ", 20_000) + "x") }, schemas.DocumentTooDeep},
		{"JSON a million deep", jsonType, "a.json", func() []byte { return []byte(deep("[", "]", 1_000_000)) }, ""},
		{"JSON cut", jsonType, "a.json", fixed(`{"harbour": "bo`), ""},
		{"XML a million deep", xmlType, "a.xml", func() []byte { return []byte(deep("<a>", "</a>", 1_000_000)) }, ""},
		{"a quote that never ends", "text/csv", "a.csv", func() []byte { return []byte("a,b\n\"" + strings.Repeat("x,\n", 1_000_000)) }, ""},
		{"a row of a million cells", "text/csv", "a.csv", func() []byte { return []byte(strings.Repeat("1,", 1_000_000) + "\n1,2\n") }, schemas.DocumentTooLarge},
		{"four million cells of a table", "text/csv", "a.csv", func() []byte { return []byte(strings.Repeat("1,2\n", 2_000_000)) }, ""},
		{"groups a million deep", "application/rtf", "", func() []byte { return []byte(`{\rtf1 ` + deep("{", "}", 1_000_000) + "}") }, schemas.DocumentTooDeep},
		{"binary of 2 GB", "application/rtf", "", fixed(`{\rtf1 words\bin2000000000 x}`), schemas.DocumentCorrupt},
		{"rich text of its first word", "application/rtf", "", fixed(`{\rtf`), schemas.DocumentCorrupt},
		{"rich text with a cell of a billion", "application/rtf", "", fixed(`{\rtf1 \trowd\cellx2147483647\cellx-2147483648\intbl a\cell b\cell\row}`), ""},
		{"a file with nothing but commas", "text/csv", "a.csv", fixed(",,,\n,,,\n"), schemas.DocumentEmpty},
	}
}

// Letter is a message with a text and what is attached to it.
func Letter(attachments ...string) []byte {
	return []byte("From: Ann <ann@a.example>\r\nTo: bob@b.example\r\nSubject: The harbour book\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
		"--b\r\nContent-Type: text/plain\r\n\r\nwords\r\n" + strings.Join(attachments, "") + "--b--\r\n")
}

// Attached is something attached to a letter.
func Attached(name, media string, body []byte) string {
	return "--b\r\nContent-Type: " + media + "\r\nContent-Disposition: attachment; filename=\"" + name + "\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		base64.StdEncoding.EncodeToString(body) + "\r\n"
}

// Message is a message as Outlook keeps it.
func Message(more ...Stream) []byte {
	wide := func(s string) []byte {
		var b []byte
		for _, c := range s {
			b = append(b, byte(c), byte(c>>8))
		}
		return b
	}
	return Compound(append([]Stream{{"__properties_version1.0", make([]byte, 32)}, {"__substg1.0_0037001F", wide("The harbour book")},
		{"__substg1.0_0C1A001F", wide("Ann")}, {"__substg1.0_0E04001F", wide("Bob")}, {"__substg1.0_1000001F", wide("words of a letter")}}, more...)...)
}

// messages are letters.
func messages() []Case {
	return []Case{
		{"a letter of parts in parts", mailType, "", func() []byte {
			return Letter(strings.Repeat("--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n", 1000))
		}, schemas.DocumentTooDeep},
		{"a letter with ten thousand attachments", mailType, "", func() []byte { return Letter(strings.Repeat(Attached("a.txt", plainType, []byte("a")), 10_000)) }, ""},
		{"a letter with a bomb", mailType, "", func() []byte { return Letter(Attached("a.png", "image/png", Claim(PNG(), 50_000, 50_000))) }, ""},
		{"a letter of one line of 8 MB", mailType, "", func() []byte { return []byte("Subject: " + strings.Repeat("a", 8<<20) + "\r\n\r\nwords\r\n") }, ""},
		{"a letter with a hundred thousand fields", mailType, "", func() []byte { return []byte(strings.Repeat("X-A: b\r\n", 100_000) + "Subject: x\r\n\r\nwords\r\n") }, ""},
		{"a message of Outlook within itself", "application/vnd.ms-outlook", "", func() []byte {
			var more []Stream
			path := ""
			for i := range 30 {
				path += fmt.Sprintf("__attach_version1.0_#%08d/__substg1.0_3701000D/", i)
				more = append(more, Stream{path + "__properties_version1.0", make([]byte, 24)})
			}
			return Message(more...)
		}, ""},
		{"a message of Outlook without properties", "application/vnd.ms-outlook", "", func() []byte { return Compound(Stream{"__substg1.0_0037001F", []byte("a\x00")}) }, schemas.DocumentUnsupported},
	}
}
