package mail

import (
	"encoding/binary"
	"errors"
)

// known is the text that every compressed rich text may refer back to.
const known = "{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier" +
	"{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"

const (
	window    = 4096
	maxRich   = 32 << 20 // bytes of a rich text, unpacked
	packed    = 0x75465a4c
	unpacked  = 0x414c454d
	headBytes = 16
)

var errRich = errors.New("the rich text of the message is damaged")

// decompress unpacks the rich text of a message.
func decompress(b []byte) ([]byte, error) {
	if len(b) < headBytes {
		return nil, errRich
	}
	kind, body := binary.LittleEndian.Uint32(b[8:]), b[headBytes:]
	size := min(int(binary.LittleEndian.Uint32(b[4:])), maxRich)
	switch kind {
	case unpacked:
		return body[:min(len(body), size)], nil
	case packed:
	default:
		return nil, errRich
	}
	var back [window]byte
	at := copy(back[:], known)
	out := make([]byte, 0, min(size, 8*len(body)))
	put := func(c byte) {
		back[at%window] = c
		at++
		out = append(out, c)
	}
	for len(body) > 0 && len(out) < size {
		flags := body[0]
		body = body[1:]
		for bit := range 8 {
			if flags>>bit&1 == 0 {
				if len(body) == 0 {
					return out, nil
				}
				put(body[0])
				body = body[1:]
				continue
			}
			if len(body) < 2 {
				return out, nil
			}
			from, n := int(body[0])<<4|int(body[1])>>4, int(body[1]&15)+2
			if body = body[2:]; from == at%window { // the end
				return out, nil
			}
			for i := range n {
				put(back[(from+i)%window])
			}
		}
	}
	return out, nil
}
