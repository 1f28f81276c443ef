package rtf

import (
	"strings"

	"docstream/processors/prepare/formats/flow"
)

// undecided is the answer of a field that shows what it was made with.
const undecided = 25

// field is a field of a form being read.
type field struct {
	result, standard int // the tick of a box, or the number of a choice
	choice           strings.Builder
	choices          []string
}

// form obeys words about a field of a form; false where the word is about something else.
func (r *reader) form(t token) bool {
	if r.place != inForm {
		return false
	}
	switch t.word {
	case "ffres":
		r.asked.result = t.number
	case "ffdefres":
		r.asked.standard = t.number
	}
	return true
}

// answer puts what a field of a form shows where the document does not write it out: the tick of a box and what was chosen.
func (r *reader) answer(instruction string) {
	f := r.asked
	r.asked = field{result: undecided}
	if f.result == undecided {
		f.result = f.standard
	}
	look := flow.Look{Strong: r.strong, Emphasis: r.slant}
	shown := ""
	switch name, _, _ := strings.Cut(strings.TrimSpace(instruction), " "); name {
	case "FORMCHECKBOX":
		shown = map[bool]string{true: "☒", false: "☐"}[f.result == 1]
	case "FORMDROPDOWN":
		if f.result >= 0 && f.result < len(f.choices) {
			shown = f.choices[f.result]
		}
	}
	switch {
	case shown == "":
	case r.place == inBody:
		r.words.Add(shown, look)
	case r.place == inNote, r.place == inHeader, r.place == inFooter, r.place == inBox:
		r.beside.Add(shown, look)
	}
}

// formula reports whether a word that may be skipped opens a formula, which says something.
func formula(word string) bool { return word == "moMath" || word == "moMathPara" }

// properties reports whether a word opens what only describes a part of a formula.
func properties(word string) bool {
	return strings.HasPrefix(word, "m") && strings.HasSuffix(word, "Pr")
}
