package analytics

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The engine formats each chunk of a streamed result as a result of its own. Only where rows stand for themselves is what it writes the
// same as for the whole: a header, a footer, a comma between rows or a row number would come anew with each chunk.
var chunkable = map[string]bool{
	"native": true, "rowbinary": true, "msgpack": true, "lineasstring": true, "null": true, "csv": true, "tskv": true,
	"tsv": true, "tabseparated": true, "tsvraw": true, "tabseparatedraw": true, "raw": true,
	"jsoneachrow": true, "jsonl": true, "jsonlines": true, "ndjson": true,
	"jsoncompacteachrow": true, "jsonstringseachrow": true, "jsoncompactstringseachrow": true,
}

// framing is the setting that puts brackets and commas around rows that stand for themselves otherwise.
const framing = "output_format_json_array_of_rows"

// What is not streamed is in memory as a whole. The engine stops at rows and bytes of values before it has formatted them; output is what
// is left to say after that, since names and brackets can be any multiple of the values. A constant counts once there, however often it is
// written: it meets the bound of the statement's memory.
const (
	maxWholeRows   = 1_000_000
	maxWholeValues = 64 << 20
	maxWholeOutput = 256 << 20
	maxWholeMemory = 1 << 30
)

// plan tells what format a SELECT's result is in and how to execute it. settings get the bounds of a result that is not streamed.
func plan(st statement, settings map[string]string) (kind, string) {
	format, framed, inserts := st.Format, settings[framing] != "", false
	var a, b, c string // the last three tokens
	clause := func() {
		if strings.EqualFold(b, "FORMAT") && !operand(a) {
			format = strings.Trim(c, "`\"")
		}
	}
	complete := scan(st.SQL, func(token string) {
		if token == ";" || strings.EqualFold(token, "SETTINGS") {
			clause()
		}
		framed = framed || strings.EqualFold(token, framing)
		inserts = inserts || strings.EqualFold(token, "INTO") && strings.EqualFold(c, "INSERT")
		a, b, c = b, c, token
	})
	clause()
	switch {
	case inserts:
		return whole, format
	case complete && !framed && chunkable[strings.ToLower(format)]:
		return streaming, format
	}
	for name, bound := range map[string]int{"max_result_rows": maxWholeRows, "max_result_bytes": maxWholeValues, "max_memory_usage": maxWholeMemory} {
		if settings[name] == "" {
			settings[name] = fmt.Sprint(bound)
		}
	}
	return bounded, format
}

// operand reports whether an expression follows a token: there FORMAT is a column's name.
func operand(token string) bool {
	switch strings.ToUpper(token) {
	case ",", "SELECT", "DISTINCT", "BY":
		return true
	}
	return false
}

// explain says what to do about a result that is too large for its format.
func explain(err error, format string) error {
	if e, ok := err.(exception); ok && (e.Code == tooManyRows || e.Code == tooMuchMemory) {
		e.Text = fmt.Sprintf("%s The format %s is not streamed here, which bounds its results and their memory: use TSV, CSV, JSONEachRow, RowBinary or Native, or a LIMIT.",
			strings.TrimSpace(e.Text), format)
		return e
	}
	return err
}

// scan cuts a statement into its tokens as the engine's lexer does, without comments and space. It is false where a text or a comment has
// no end, so that nothing can be said of the statement.
func scan(sql string, visit func(token string)) bool {
	for len(sql) > 0 {
		n, seen := lexeme(sql)
		if n < 0 {
			return false
		}
		if seen {
			visit(sql[:n])
		}
		sql = sql[n:]
	}
	return true
}

var (
	heredoc     = regexp.MustCompile(`^\$[A-Za-z0-9_]*\$`)
	lineComment = []string{"--", "//", "# ", "#!", "−−"}
)

// lexeme is the length of what a statement begins with, negative where it has no end, and whether it is a token.
func lexeme(s string) (n int, token bool) {
	for _, mark := range lineComment {
		if strings.HasPrefix(s, mark) {
			if n = strings.IndexByte(s, '\n'); n < 0 {
				n = len(s)
			}
			return n, false
		}
	}
	switch {
	case strings.HasPrefix(s, "/*"):
		return through(s, 2, "*/"), false
	case strings.HasPrefix(s, "‘"):
		return through(s, len("‘"), "’"), true
	case strings.HasPrefix(s, "“"):
		return through(s, len("“"), "”"), true
	case s[0] == '\'' || s[0] == '"' || s[0] == '`':
		for n = 1; n < len(s) && s[n] != s[0]; n++ {
			if s[n] == '\\' {
				n++
			}
		}
		if n >= len(s) {
			return -1, false
		}
		return n + 1, true
	case s[0] == '$':
		if mark := heredoc.FindString(s); mark != "" && strings.Contains(s[len(mark):], mark) {
			return through(s, len(mark), mark), true
		}
	case wordy(s[0]):
		for n = 1; n < len(s) && (wordy(s[n]) || s[n] == '$'); n++ {
		}
		return n, true
	}
	r, n := utf8.DecodeRuneInString(s)
	return n, !unicode.IsSpace(r) && !unicode.Is(unicode.Cf, r)
}

// through is where the first end behind from ends, negative where there is none.
func through(s string, from int, end string) int {
	n := strings.Index(s[from:], end)
	if n < 0 {
		return -1
	}
	return from + n + len(end)
}

func wordy(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
