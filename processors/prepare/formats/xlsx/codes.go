package xlsx

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// What a format code says and the library that formats numbers passes over.

// literal is one thing in a format code that is shown as it is, or not at all.
const literal = `"([^"]*)"|\\(.)|_.|\*.|\?|\[[A-Za-z]+\]|([-–— $€£()+])`

var (
	literals = regexp.MustCompile(literal)
	words    = regexp.MustCompile(`^(?:` + literal + `)*$`)
)

// ofZero is the part of a format that zero has for itself; alone says that it is nothing but words, which are text.
func ofZero(code string) (part, text string, alone bool) {
	parts := sections(code)
	if len(parts) < 3 || strings.ContainsAny(code, "<>=") {
		return code, "", false
	}
	if !words.MatchString(parts[2]) {
		return parts[2], "", false
	}
	return parts[2], strings.TrimSpace(said(parts[2])), true
}

// sections cuts a format at the semicolons outside its words.
func sections(code string) []string {
	var out []string
	from, quoted := 0, false
	for i := 0; i < len(code); i++ {
		switch c := code[i]; {
		case c == '\\' && !quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ';' && !quoted:
			out, from = append(out, code[from:i]), i+1
		}
	}
	return append(out, code[min(from, len(code)):])
}

// decimals are the places behind the point of a format, some of which may be there only where they are needed.
var decimals = regexp.MustCompile(`([0#?])\.([0#?]+)([^0#?E]|$)`)

const mostDecimals = 15

// fixed is a format whose places behind the point are those that a number needs: 0.## is 0.0 for one and a half.
func fixed(code string, v float64) string {
	m := decimals.FindStringSubmatchIndex(code)
	if m == nil || !strings.ContainsAny(code[m[4]:m[5]], "#?") || strings.ContainsAny(code, "/E") || strings.Contains(code, `",`) {
		return code
	}
	places := code[m[4]:m[5]]
	least, most := strings.LastIndex(places, "0")+1, len(places)
	if most > mostDecimals {
		return code
	}
	if strings.Contains(code, "%") {
		v *= 100
	}
	_, behind, _ := strings.Cut(strconv.FormatFloat(math.Abs(v), 'f', most, 64), ".")
	n := max(least, len(strings.TrimRight(behind, "0")))
	return decimals.ReplaceAllString(code, "${1}."+strings.Repeat("0", n)+"${3}")
}

// scientific is a format with an exponent that is a multiple of the places before the point.
var scientific = regexp.MustCompile(`^([#0?]{2,15})(?:\.([#0?]{1,15}))?E([+-])(0{1,5})$`)

// engineering writes a number in such a format; false where the format is another.
func engineering(code string, v float64) (string, bool) {
	m := scientific.FindStringSubmatch(code)
	if m == nil {
		return "", false
	}
	step, places, exponent := len(m[1]), len(m[2]), 0
	if v != 0 {
		exponent = int(math.Floor(math.Log10(math.Abs(v))/float64(step))) * step
	}
	mantissa := strconv.FormatFloat(scaled(v, exponent), 'f', places, 64)
	if whole, _, _ := strings.Cut(strings.TrimPrefix(mantissa, "-"), "."); len(whole) > step { // rounded up
		exponent += step
		mantissa = strconv.FormatFloat(scaled(v, exponent), 'f', places, 64)
	}
	sign := ""
	switch {
	case exponent < 0:
		sign = "-"
	case m[3] == "+":
		sign = "+"
	}
	digits := strconv.Itoa(max(exponent, -exponent))
	return mantissa + "E" + sign + strings.Repeat("0", max(0, len(m[4])-len(digits))) + digits, true
}

// scaled is a number without so many powers of ten.
func scaled(v float64, exponent int) float64 {
	if exponent < -300 {
		return v * 1e300 / math.Pow10(exponent+300)
	}
	return v / math.Pow10(exponent)
}

// plainly writes a number in a format that is the word General with words around it; false where the format is another.
func plainly(code string, v float64) (string, bool) {
	const word = "general"
	if !strings.Contains(strings.ToLower(code), word) {
		return "", false
	}
	parts := sections(code)
	part := parts[0]
	if v < 0 && len(parts) > 1 {
		part, v = parts[1], -v
	}
	at := strings.Index(strings.ToLower(part), word)
	if at < 0 {
		return "", false
	}
	before, behind := part[:at], part[at+len(word):]
	if !words.MatchString(before) || !words.MatchString(behind) {
		return "", false
	}
	return said(before) + general(v) + said(behind), true
}

// said are the words of a part of a format that has nothing else.
func said(part string) string {
	var b strings.Builder
	for _, m := range literals.FindAllStringSubmatch(part, -1) {
		b.WriteString(m[1] + m[2] + m[3])
	}
	return b.String()
}

// onlyIfAny is a format all of whose places are there only where they are needed.
var onlyIfAny = regexp.MustCompile(`^[#,]*#[#,]*$`)

// nothing reports whether a format shows nothing of a number: one that rounds to zero.
func nothing(code string, v float64) bool { return onlyIfAny.MatchString(code) && math.Abs(v) < 0.5 }

// fraction tidies a fraction: no zero before it that the format does not ask for, one space between.
func fraction(code, shown string) string {
	if !strings.Contains(code, "?/") && !strings.Contains(code, "#/") && !isDivided.MatchString(code) {
		return shown
	}
	shown = strings.Join(strings.Fields(shown), " ")
	if rest, ok := strings.CutPrefix(shown, "0 "); ok && strings.HasPrefix(strings.TrimSpace(code), "#") {
		return rest
	}
	return shown
}

var isDivided = regexp.MustCompile(`\?/\d+`)
