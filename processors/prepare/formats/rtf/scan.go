package rtf

import (
	"errors"
	"strconv"

	"docstream/processors/prepare/formats"
)

var errEnds = errors.New("the groups do not end where the file does")

type kind int

const (
	end kind = iota
	open
	closed
	control // a word, with a number where it has one
	hex     // a byte in the code page
	plain   // text
)

type token struct {
	kind   kind
	word   string
	number int
	has    bool // a number
}

// scanner cuts a file into tokens.
type scanner struct {
	in []byte
	at int
}

func (s *scanner) next() (token, error) {
	for s.at < len(s.in) && (s.in[s.at] == '\r' || s.in[s.at] == '\n') {
		s.at++
	}
	if s.at >= len(s.in) {
		return token{kind: end}, nil
	}
	switch c := s.in[s.at]; c {
	case '{':
		s.at++
		return token{kind: open}, nil
	case '}':
		s.at++
		return token{kind: closed}, nil
	case '\\':
		s.at++
		return s.control()
	default:
		if c >= 0x80 {
			s.at++
			return token{kind: hex, number: int(c)}, nil
		}
		from := s.at
		for s.at < len(s.in) && s.in[s.at] < 0x80 && s.in[s.at] != '{' && s.in[s.at] != '}' && s.in[s.at] != '\\' && s.in[s.at] != '\r' && s.in[s.at] != '\n' {
			s.at++
		}
		return token{kind: plain, word: string(s.in[from:s.at])}, nil
	}
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

// control reads what follows a backslash.
func (s *scanner) control() (token, error) {
	if s.at >= len(s.in) {
		return token{}, formats.Corrupt(errEnds)
	}
	c := s.in[s.at]
	if c == '\'' {
		if s.at+3 > len(s.in) {
			return token{}, formats.Corrupt(errEnds)
		}
		n, err := strconv.ParseUint(string(s.in[s.at+1:s.at+3]), 16, 8)
		s.at += 3
		if err != nil {
			n = '?'
		}
		return token{kind: hex, number: int(n)}, nil
	}
	if !letter(c) {
		s.at++
		return token{kind: control, word: string(rune(c))}, nil
	}
	from := s.at
	for s.at < len(s.in) && letter(s.in[s.at]) && s.at-from < 32 {
		s.at++
	}
	t := token{kind: control, word: string(s.in[from:s.at])}
	from = s.at
	if s.at < len(s.in) && s.in[s.at] == '-' {
		s.at++
	}
	for s.at < len(s.in) && digit(s.in[s.at]) && s.at-from < 11 {
		s.at++
	}
	if n, err := strconv.Atoi(string(s.in[from:s.at])); err == nil {
		t.number, t.has = n, true
	} else {
		s.at = from
	}
	if s.at < len(s.in) && s.in[s.at] == ' ' {
		s.at++
	}
	if t.word == "bin" && t.number > 0 { // bytes that are no text
		s.at = min(len(s.in), s.at+t.number)
	}
	return t, nil
}
