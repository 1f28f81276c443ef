package rtf

import (
	"bytes"
	"strings"
)

// HTML returns the page that a program wrote as Rich Text when it kept a message, or false where the text never was one.
func HTML(b []byte) (string, bool) {
	if !bytes.Contains(b[:min(len(b), 512)], []byte(`\fromhtml`)) {
		return "", false
	}
	r := &reader{scan: scanner{in: b}, page: 1252, fonts: map[int]int{}, names: map[int]string{}, styles: map[int]string{}, state: state{skip: 1, font: -1, twice: nowhere}}
	p := &page{reader: r}
	r.inner = &p.out
	p.read()
	return p.out.String(), true
}

// page is a page within a rich text being read: marks stand in groups of their own, what only the rich text shows is said to be so.
type page struct {
	*reader
	out    strings.Builder
	shown  []bool // by group: what stands in it belongs to the rich text alone
	within bool
}

// maxGroups bounds groups within groups.
const maxGroups = 1000

// read reads as far as it goes: what is there of a damaged page is more than nothing.
func (p *page) read() {
	for {
		t, err := p.scan.next()
		if err != nil {
			return
		}
		if t.kind != hex {
			p.decode()
		}
		switch t.kind {
		case end:
			return
		case open:
			if len(p.stack) >= maxGroups {
				return
			}
			p.stack, p.shown = append(p.stack, p.state), append(p.shown, p.within)
			p.unread = 0
		case closed:
			if len(p.stack) == 0 {
				return
			}
			n := len(p.stack) - 1
			p.state, p.within = p.stack[n], p.shown[n]
			if p.stack, p.shown = p.stack[:n], p.shown[:n]; n == 0 {
				return
			}
		case hex:
			if p.unread > 0 {
				p.unread--
			} else if !p.within {
				p.bytes = append(p.bytes, byte(t.number))
			}
		case plain:
			if s := p.rest(t.word); !p.within {
				p.text(s)
			}
		case control:
			p.word(t)
		}
	}
}

// word obeys a word.
func (p *page) word(t token) {
	switch t.word {
	case "htmlrtf":
		p.within = !t.has || t.number != 0
		return
	case "htmltag":
		p.starred, p.place = false, inBody
		return
	case "mhtmltag":
		p.starred, p.place = false, nowhere
		return
	}
	if p.within && t.word != "uc" && t.word != "f" {
		p.starred = false
		return
	}
	switch t.word {
	case "par", "line":
		p.text("\n")
		return
	}
	if _, beside := destinations[t.word]; beside || t.word == "*" || characters[t.word] != "" || p.starred {
		p.control(t)
		return
	}
	p.look(t)
}
