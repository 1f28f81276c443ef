package prepare

import (
	"encoding/binary"
	"errors"
	"io"
	"os"

	"github.com/gabriel-vasile/mimetype"
	"github.com/richardlehane/mscfb"

	"docstream/internal/fault"
	"docstream/internal/media"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/pack"
	"docstream/schemas"
)

const headBytes = 4096 // looked at to find a type

// mediaType finds what a document is. The bytes have the last word; the declared type and the name only tell kinds apart that the bytes
// allow.
func mediaType(f *os.File, size int64, declared, name string, l formats.Limits) (string, error) {
	head := make([]byte, min(size, headBytes))
	if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return "", fault.World(schemas.ServiceUnavailable, "The source is not on this machine.").Because(err)
	}
	if size == 0 {
		return "", fault.Document(schemas.DocumentEmpty, "%s", schemas.Codes[schemas.DocumentEmpty].Meaning)
	}
	found := media.Detect(head, declared, name)
	switch {
	case media.Packed(found):
		return packedType(f, size, found, l)
	case media.IsCompound(found):
		return compoundType(f)
	case found != "" && media.Shams(found, declared, name):
		return "", fault.Document(schemas.MediaTypeMismatch, "The bytes are of the type %s, which is not what the document is called.", found)
	case found != "":
		return found, nil
	}
	sniffed := mimetype.Detect(head)
	if hint := media.Canonical(declared); sniffed.Is("application/octet-stream") && (hint == media.PDF || media.Packed(hint) || media.IsCompound(hint)) {
		return "", formats.Corrupt(errors.New("the bytes are nothing like the declared type"))
	}
	return "", fault.Document(schemas.DocumentUnsupported, "Docstream does not read documents of the type %s.", sniffed)
}

// packedType looks into a zip container, whose first names need not say what it is.
func packedType(f *os.File, size int64, likely string, l formats.Limits) (string, error) {
	a, err := pack.Open(f, size, l)
	if err != nil {
		return "", err
	}
	said := ""
	if a.Has("mimetype") {
		b, err := a.Read("mimetype", 256)
		if err != nil {
			return "", err
		}
		said = string(b)
	}
	if t := media.InZip(a.Names(), said); t != "" {
		return t, nil
	}
	return "", formats.Corrupt(errors.New("a container of another kind than " + likely))
}

// compoundType looks at the directory of a compound file.
func compoundType(f *os.File) (kind string, err error) {
	streams, locked, err := streams(f)
	if err != nil {
		return "", formats.Corrupt(err)
	}
	kind, encrypted := media.InCompound(streams)
	switch {
	case encrypted, locked:
		return "", formats.Encrypted()
	case kind == "":
		return "", formats.Unsupported("a compound file of an unknown kind")
	}
	return kind, nil
}

// streams lists the root of a compound file and says whether the document in it is under a password. The library trusts what it reads: damage
// that makes it panic is damage.
func streams(f *os.File) (names []string, locked bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("the directory is damaged")
		}
	}()
	d, err := mscfb.New(f)
	if err != nil {
		return nil, false, err
	}
	for _, e := range d.File {
		if len(e.Path) > 0 || len(names) == 10_000 {
			continue
		}
		names = append(names, e.Name)
		switch e.Name {
		case "WordDocument", "Workbook", "Book", "Current User":
			head := make([]byte, min(max(e.Size, 0), headBytes))
			n, _ := io.ReadFull(e, head) // what is damaged is for its reader to say
			locked = locked || underPassword(e.Name, head[:n])
		}
	}
	return names, locked, nil
}

// The signs by which old Office documents say that they are under a password.
const (
	wordFlags      = 10     // where Word has its flags
	wordEncrypted  = 0x0100 // one of them
	excelBegin     = 0x0809 // record at the start of a workbook
	excelPassword  = 0x002f // record that follows it in an encrypted one
	showToken      = 12     // where PowerPoint says it
	showIsUnderKey = 0xf3d1c4df
)

// underPassword looks at the start of a stream of an old Office document.
func underPassword(stream string, head []byte) bool {
	word := func(at int) int {
		if at+2 > len(head) {
			return 0
		}
		return int(binary.LittleEndian.Uint16(head[at:]))
	}
	switch stream {
	case "WordDocument":
		return word(wordFlags)&wordEncrypted != 0
	case "Current User":
		return word(showToken)|word(showToken+2)<<16 == showIsUnderKey
	}
	if word(0) != excelBegin {
		return false
	}
	for at := 0; at+4 <= len(head); at += 4 + word(at+2) {
		if word(at) == excelPassword {
			return true
		}
	}
	return false
}
