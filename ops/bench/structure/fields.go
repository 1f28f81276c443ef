package structure

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode"
)

// Fields scores Markdown by the share of the values of a JSON document that it has, as strings or as figures however they are grouped. A
// value counts once; true, false and null say nothing, and neither does a date, which each document writes in its own way.
func Fields(got string, want []byte) (Scores, error) {
	var v any
	d := json.NewDecoder(strings.NewReader(string(want)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return Scores{}, err
	}
	values := map[string]bool{}
	leaves(v, values)
	s := Scores{Words: None, Order: None, Headings: None, Lists: None, Cells: None, Fields: None, CER: None}
	if len(values) == 0 {
		return s, nil
	}
	text := strings.Join(read(got).words, " ")
	bare := " " + strings.Map(figures, text) + " "
	found := 0
	for f, number := range values {
		if number && strings.Contains(bare, f) || !number && strings.Contains(text, f) {
			found++
		}
	}
	s.Fields = float64(found) / float64(len(values))
	return s, nil
}

// leaves collects the values; true marks a figure, in the form that figures gives texts, with a space on both sides.
func leaves(v any, out map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for _, x := range v {
			leaves(x, out)
		}
	case []any:
		for _, x := range v {
			leaves(x, out)
		}
	case string:
		if s := plain(v); s != "" && !dated(s) {
			out[s] = false
		}
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return
		}
		places := 2
		if f == float64(int64(f)) {
			places = 0
		}
		out[" "+strconv.FormatFloat(f, 'f', places, 64)] = true
	}
}

// figures leaves what a number is made of; the rest becomes space, and marks between groups of figures vanish.
func figures(r rune) rune {
	switch {
	case unicode.IsDigit(r), r == '.', r == '-':
		return r
	case r == ',', r == '\'':
		return -1
	}
	return ' '
}

// dated reports whether a string is a date of the form 2026-11-26.
func dated(s string) bool {
	return len(s) == 10 && s[4] == '-' && s[7] == '-' && strings.Trim(s, "0123456789-") == ""
}
