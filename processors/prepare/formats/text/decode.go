package text

import (
	"bytes"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gogs/chardet"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	uni "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
	"golang.org/x/text/transform"
)

// Charset is how the characters of a text are written as bytes.
type Charset struct{ encoding encoding.Encoding }

// Reader reads a text of the charset as UTF-8, without its byte order mark. What is no character becomes the sign for that.
func (c Charset) Reader(r io.Reader) io.Reader {
	return transform.NewReader(r, c.encoding.NewDecoder())
}

// detectBytes is how much of a text is looked at to find its charset.
const detectBytes = 64 << 10

// Detect finds the charset of a text by its first bytes: by its byte order mark, by the zeros that UTF-16 leaves in Latin text, UTF-8 where
// the bytes are that, one of the charsets of East Asia or of Cyrillic, Greek, Hebrew and Arabic where they are that beyond doubt, one of
// another part of Europe where it gives the letters of one of its languages and Latin-1 does not, and else Latin-1 with the signs that Windows put into its gap.
func Detect(head []byte) Charset {
	switch {
	case bytes.HasPrefix(head, []byte{0xff, 0xfe, 0, 0}):
		return Charset{utf32.UTF32(utf32.LittleEndian, utf32.ExpectBOM)}
	case bytes.HasPrefix(head, []byte{0, 0, 0xfe, 0xff}):
		return Charset{utf32.UTF32(utf32.BigEndian, utf32.ExpectBOM)}
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}):
		return Charset{uni.UTF16(uni.LittleEndian, uni.ExpectBOM)}
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		return Charset{uni.UTF16(uni.BigEndian, uni.ExpectBOM)}
	}
	if order, ok := zeros(head); ok {
		return Charset{uni.UTF16(order, uni.IgnoreBOM)}
	}
	if whole(head) {
		return Charset{uni.UTF8BOM}
	}
	if e := guess(head); e != nil {
		return Charset{e}
	}
	if e := byAlphabet(head); e != nil {
		return Charset{e}
	}
	return Charset{charmap.Windows1252}
}

// zeros recognises UTF-16 without a mark: every second byte of Latin text is zero.
func zeros(head []byte) (uni.Endianness, bool) {
	n := min(len(head), 512) &^ 1
	if n < 8 {
		return uni.LittleEndian, false
	}
	even, odd := 0, 0
	for i := 0; i < n; i += 2 {
		if head[i] == 0 {
			even++
		}
		if head[i+1] == 0 {
			odd++
		}
	}
	switch {
	case odd*2 > n/2 && even*20 < n/2:
		return uni.LittleEndian, true
	case even*2 > n/2 && odd*20 < n/2:
		return uni.BigEndian, true
	}
	return uni.LittleEndian, false
}

// whole reports whether the bytes are UTF-8, but for a character that may have been cut at the end of a long head.
func whole(head []byte) bool {
	if utf8.Valid(head) {
		return true
	}
	if len(head) < detectBytes {
		return false
	}
	for cut := 1; cut < utf8.UTFMax; cut++ {
		if utf8.Valid(head[:len(head)-cut]) {
			return true
		}
	}
	return false
}

// sure is the confidence, in hundredths, from which a guess counts.
const sure = 40

// guess names a charset other than Latin, or nothing: a guess counts where it explains every byte and gives letters of its script.
func guess(head []byte) encoding.Encoding {
	high := 0
	for _, b := range head {
		if b >= 0x80 {
			high++
		}
	}
	if high < 6 {
		return nil
	}
	all, err := chardet.NewTextDetector().DetectAll(head)
	if err != nil {
		return nil
	}
	for _, r := range all {
		if r.Confidence < sure || strings.HasPrefix(r.Charset, "ISO-8859-1") || strings.HasPrefix(r.Charset, "windows-1252") || strings.HasPrefix(r.Charset, "UTF") {
			continue
		}
		if r.Charset == "GB-18030" {
			r.Charset = "gb18030"
		}
		e, err := htmlindex.Get(r.Charset)
		if err != nil {
			continue
		}
		if plausible(e, head) {
			return e
		}
	}
	return nil
}

// plausible reports whether bytes in a charset are words: no errors, but for a cut at the end, and letters that are not Latin.
func plausible(e encoding.Encoding, head []byte) bool {
	out, err := e.NewDecoder().Bytes(head)
	if err != nil {
		return false
	}
	letters, latin, wrong := 0, 0, 0
	for _, r := range string(bytes.TrimSuffix(out, []byte("\uFFFD"))) {
		switch {
		case r == utf8.RuneError, r >= 0x80 && r < 0xa0, unicode.Is(unicode.Co, r):
			wrong++
		case r < 0x80:
		case unicode.Is(unicode.Latin, r):
			latin++
		case unicode.IsLetter(r):
			letters++
		}
	}
	return wrong == 0 && letters >= 3 && letters > 4*latin
}

// Decode turns the bytes of a text into a string. It never fails.
func Decode(b []byte) string {
	c := Detect(b[:min(len(b), detectBytes)])
	if c.encoding == uni.UTF8BOM && utf8.Valid(b) {
		return string(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
	}
	out, err := io.ReadAll(c.Reader(bytes.NewReader(b)))
	if err != nil {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return string(out)
}
