package mail

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/richardlehane/mscfb"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"

	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/html"
	"docstream/processors/prepare/formats/rtf"
	"docstream/processors/prepare/formats/text"
)

// OutlookType is what [Outlook] claims.
const OutlookType = "application/vnd.ms-outlook"

// Outlook is the format in which Outlook keeps messages: a compound file whose streams are the message's properties.
type Outlook struct{ open Opener }

// NewOutlook returns the format.
func NewOutlook(open Opener) Outlook { return Outlook{open} }

// Claims reports whether the media type is the format's.
func (Outlook) Claims(media string) bool { return media == OutlookType }

// Open reads the message whole and counts the pages of what is attached.
func (m Outlook) Open(f *os.File, size int64, _ string, l formats.Limits) (formats.Document, error) {
	if size > maxMessage {
		return nil, formats.TooLarge("a message of %d bytes", size)
	}
	s, err := streams(f)
	if err != nil {
		return nil, formats.Corrupt(err)
	}
	return document(s.letter("", 32, l.Letters), m.open, l)
}

// store is the streams of a message by their path.
type store struct {
	body  map[string][]byte
	paths []string // in order
}

// streams reads a compound file. The library trusts what it reads: damage that makes it panic is damage.
func streams(f *os.File) (s *store, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the compound file is damaged")
		}
	}()
	d, err := mscfb.New(f)
	if err != nil {
		return nil, err
	}
	s = &store{body: map[string][]byte{}}
	left := int64(maxMessage)
	for _, e := range d.File {
		name := strings.Join(append(slices.Clone(e.Path), e.Name), "/")
		if e.Size == 0 || s.body[name] != nil {
			continue
		}
		if left -= e.Size; left < 0 {
			return nil, formats.TooLarge("streams that claim more than %d bytes", int64(maxMessage))
		}
		b, err := io.ReadAll(io.LimitReader(e, e.Size))
		if err != nil {
			return nil, err
		}
		s.body[name] = b
		s.paths = append(s.paths, name)
	}
	slices.Sort(s.paths)
	return s, nil
}

// The properties that are read.
const (
	subject     = "0037"
	senderName  = "0C1A"
	senderSMTP  = "5D01"
	senderMail  = "0C1F"
	displayTo   = "0E04"
	displayCC   = "0E03"
	plainBody   = "1000"
	htmlBody    = "1013"
	richBody    = "1009"
	contentID   = "3712"
	longName    = "3707"
	shortName   = "3704"
	mimeTag     = "370E"
	attachment  = "3701"
	displayName = "3001"
)

// words is a property that is text: in Unicode, or in the writer's charset.
func (s *store) words(dir, property string) string {
	if b, ok := s.body[dir+"__substg1.0_"+property+"001F"]; ok {
		u := make([]uint16, len(b)/2)
		for i := range u {
			u[i] = binary.LittleEndian.Uint16(b[2*i:])
		}
		return strings.TrimRight(string(utf16.Decode(u)), "\x00")
	}
	if b, ok := s.body[dir+"__substg1.0_"+property+"001E"]; ok {
		return strings.TrimRight(decoded(b, s.charset(dir, messagePage)), "\x00")
	}
	return ""
}

// The properties that name a charset: of the texts of a message, and of its page.
const (
	messagePage = 0x3ffd0003
	pagePage    = 0x3fde0003
)

// charset is what a property of a message, or of the one around it, says; nil where it says nothing that is known.
func (s *store) charset(dir string, property uint32) encoding.Encoding {
	b := s.body[dir+"__properties_version1.0"]
	for _, head := range []int{32, 24, 8} {
		for at := head; at+16 <= len(b); at += 16 {
			if binary.LittleEndian.Uint32(b[at:]) == property {
				return codePage(binary.LittleEndian.Uint32(b[at+8:]))
			}
		}
	}
	if up := strings.LastIndex(strings.TrimSuffix(dir, "/"), "/"); dir != "" {
		return s.charset(dir[:up+1], property)
	}
	return nil
}

// codePage is the charset that Windows has a number for; nil where it is not known.
func codePage(n uint32) encoding.Encoding {
	name := map[uint32]string{874: "windows-874", 932: "shift_jis", 936: "gbk", 949: "euc-kr", 950: "big5", 20866: "koi8-r", 21866: "koi8-u", 50220: "iso-2022-jp", 51932: "euc-jp", 51949: "euc-kr", 54936: "gb18030"}[n]
	switch {
	case n >= 1250 && n <= 1258:
		name = fmt.Sprintf("windows-%d", n)
	case n >= 28592 && n <= 28606:
		name = fmt.Sprintf("iso-8859-%d", n-28590)
	case n == 28591:
		name = "windows-1252"
	}
	e, err := htmlindex.Get(name)
	if err != nil {
		return nil
	}
	return e
}

// decoded is a text in a charset; where none is known, or the bytes say otherwise, as it looks.
func decoded(b []byte, e encoding.Encoding) string {
	if e == nil || utf8.Valid(b) {
		return text.Decode(b)
	}
	out, err := e.NewDecoder().Bytes(b)
	if err != nil {
		return text.Decode(b)
	}
	return string(out)
}

// letter reads the message below a path. The head of its properties is longer at the top of the file.
func (s *store) letter(dir string, head, depth int) *letter {
	l := &letter{subject: s.words(dir, subject), body: s.text(dir), pictures: map[string][]byte{}}
	from := s.words(dir, senderName)
	address := s.words(dir, senderSMTP)
	if address == "" && strings.Contains(s.words(dir, senderMail), "@") {
		address = s.words(dir, senderMail)
	}
	if address != "" && address != from {
		from = strings.TrimSpace(from + " <" + address + ">")
	}
	l.fields = [][2]string{{"From", from}, {"To", s.words(dir, displayTo)}, {"Cc", s.words(dir, displayCC)}, {"Date", s.date(dir, head)}}
	names := l.shows()
	var seen []string
	for _, p := range s.paths {
		rest, ok := strings.CutPrefix(p, dir)
		first, _, below := strings.Cut(rest, "/")
		if !ok || !below || !strings.HasPrefix(first, "__attach_version1.0_") || slices.Contains(seen, first) {
			continue
		}
		seen = append(seen, first)
		e := s.enclosure(dir+first+"/", len(l.enclosed), depth)
		if id := s.words(dir+first+"/", contentID); id != "" && e.letter == nil && names[id] {
			l.pictures[id] = e.body
			continue
		}
		l.enclosed = append(l.enclosed, e)
	}
	return l
}

// text is the text of a message in the form that says most: a page, a page or a text that was kept as Rich Text, else plain text.
func (s *store) text(dir string) []piece {
	said := s.words(dir, htmlBody)
	if b, ok := s.body[dir+"__substg1.0_"+htmlBody+"0102"]; ok && said == "" {
		if e := s.charset(dir, pagePage); e != nil && !utf8.Valid(b) && !bytes.Contains(bytes.ToLower(b[:min(len(b), 1024)]), []byte("charset=")) {
			said = decoded(b, e)
		} else if read, err := io.ReadAll(html.Decoded(b)); err == nil {
			said = string(read)
		}
	}
	if strings.TrimSpace(said) != "" {
		return []piece{{said, page}}
	}
	words := s.words(dir, plainBody)
	if b, ok := s.body[dir+"__substg1.0_"+richBody+"0102"]; ok {
		if r, err := decompress(b); err == nil {
			if said, ok := rtf.HTML(r); ok && strings.TrimSpace(said) != "" {
				return []piece{{said, page}}
			}
			if strings.TrimSpace(words) == "" {
				return []piece{{string(r), rich}}
			}
		}
	}
	return []piece{{words, plain}}
}

// enclosure reads an attachment: a file, or a message within the message.
func (s *store) enclosure(dir string, i, depth int) enclosure {
	name := s.words(dir, longName)
	for _, p := range []string{shortName, displayName} {
		if name == "" {
			name = s.words(dir, p)
		}
	}
	e := enclosure{name: fileName(name, i), media: s.words(dir, mimeTag), body: s.body[dir+"__substg1.0_"+attachment+"0102"]}
	inner := dir + "__substg1.0_" + attachment + "000D/"
	if e.body == nil && depth > 0 && s.body[inner+"__properties_version1.0"] != nil {
		e.letter = s.letter(inner, 24, depth-1)
	}
	return e
}

// date is when the message was sent, else when it came.
func (s *store) date(dir string, head int) string {
	b := s.body[dir+"__properties_version1.0"]
	found := map[uint32]string{}
	for at := head; at+16 <= len(b); at += 16 {
		tag := binary.LittleEndian.Uint32(b[at:])
		if tag != 0x00390040 && tag != 0x0e060040 {
			continue
		}
		ticks := int64(binary.LittleEndian.Uint64(b[at+8:])) // of 100 ns since 1601
		if ticks > 0 {
			found[tag] = time.Unix(ticks/1e7-11_644_473_600, 0).UTC().Format(time.RFC1123Z)
		}
	}
	if d := found[0x00390040]; d != "" {
		return d
	}
	return found[0x0e060040]
}
