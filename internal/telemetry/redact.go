package telemetry

import (
	"encoding/json"
	"log/slog"
	"regexp"
	"strings"
	"sync"

	"docstream/schemas"
)

const hidden = "***"

var (
	// secretName is a name whose value is never shown; an id such as api_key_id is public.
	secretName = regexp.MustCompile(`(?i)secret|passw|passphrase|token|authori[sz]ation|api[_-]?key|access[_-]?key|private[_-]?key|credential|cookie|signature|hmac`)
	publicName = regexp.MustCompile(`(?i)_ids?$|_?file$`)

	tokenForm  = regexp.MustCompile(`\bey[AJ][0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]*`)
	keyForm    = regexp.MustCompile(`d[sp]k_[0-9A-Za-z]+_[0-9A-Za-z_-]+`)
	bearerForm = regexp.MustCompile(`(?i)\b(bearer|authorization["':=\s]+basic)\s+[0-9A-Za-z._~+/=-]{8,}`)
	loginForm  = regexp.MustCompile(`(://[^/\s:@]*):[^/\s@]+@`)
	queryForm  = regexp.MustCompile(`(?i)([?&](?:password|secret|token|api_key|x-amz-signature|x-amz-credential)=)[^&\s"]+`)
)

// Redact returns text without the secrets it may hold: API keys keep their public part; tokens (JWT), passwords in addresses, whatever follows
// Bearer, and signed query strings are hidden (P8).
func Redact(text string) string {
	if innocent(text) {
		return text
	}
	if strings.Contains(text, "dsk_") || strings.Contains(text, "dpk_") {
		text = keyForm.ReplaceAllStringFunc(text, func(k string) string {
			id, _, _ := strings.Cut(k[len("dsk_"):], "_")
			return schemas.Secretless(k[:len("dsk_")] + id + "_") // a secret may hold underscores of its own
		})
	}
	if strings.Contains(text, "ey") {
		text = tokenForm.ReplaceAllString(text, hidden)
	}
	if strings.Contains(text, "://") {
		text = loginForm.ReplaceAllString(text, "$1:"+hidden+"@")
	}
	if strings.ContainsAny(text, "?&") {
		text = queryForm.ReplaceAllString(text, "${1}"+hidden)
	}
	if strings.ContainsAny(text, " \t\n\f\r") { // a token follows a blank
		text = bearerForm.ReplaceAllString(text, "$1 "+hidden)
	}
	return text
}

// innocent reports whether a text has no trace of a secret's form: nearly every one has none, and each line of the log holds a dozen.
func innocent(text string) bool {
	for i := range len(text) {
		if !traces[text[i]] {
			continue
		}
		before := byte(0)
		if i > 0 {
			before = text[i-1]
		}
		switch text[i] {
		case '_': // dsk_, dpk_
			if before == 'k' {
				return false
			}
		case 'y': // ey
			if before == 'e' {
				return false
			}
		case '/': // ://
			if before == '/' {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// traces are the bytes of which one at least is in every secret's form.
var traces = func() (t [256]bool) {
	for _, c := range []byte("_y/?& \t\n\f\r") {
		t[c] = true
	}
	return t
}()

// redact is a slog ReplaceAttr function.
func redact(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
		return a
	}
	switch a.Value.Kind() {
	case slog.KindString:
		if secret(a.Key) || within(groups) {
			return slog.String(a.Key, hidden)
		}
		return slog.String(a.Key, Redact(a.Value.String()))
	case slog.KindAny:
		if secret(a.Key) || within(groups) {
			return slog.String(a.Key, hidden)
		}
		return slog.Any(a.Key, plain(a.Value.Any()))
	}
	return a // numbers, times and flags hold no secret
}

// judged remembers which names are secret: there are few, most of them our own, and every line of the log has several.
var judged struct {
	sync.RWMutex
	names map[string]bool
}

// maxJudged bounds the memory for names that others made (P6).
const maxJudged = 1000

func secret(name string) bool {
	judged.RLock()
	is, known := judged.names[name]
	judged.RUnlock()
	if known {
		return is
	}
	is = secretName.MatchString(name) && !publicName.MatchString(name)
	judged.Lock()
	defer judged.Unlock()
	if judged.names == nil || len(judged.names) >= maxJudged {
		judged.names = map[string]bool{}
	}
	judged.names[name] = is
	return is
}

func within(groups []string) bool {
	for _, g := range groups {
		if secret(g) {
			return true
		}
	}
	return false
}

// plain turns a value of any type into one whose secrets are gone: an error or a Stringer into its text, all else into what JSON would
// show of it.
func plain(v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case error:
		return Redact(v.Error())
	case []byte:
		return Redact(string(v))
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "!unprintable"
	}
	var tree any
	if err := json.Unmarshal(b, &tree); err != nil {
		return "!unprintable"
	}
	return walk(tree)
}

func walk(v any) any {
	switch v := v.(type) {
	case string:
		return Redact(v)
	case []any:
		for i := range v {
			v[i] = walk(v[i])
		}
	case map[string]any:
		for k := range v {
			if _, number := v[k].(float64); secret(k) && !number {
				v[k] = hidden
			} else {
				v[k] = walk(v[k])
			}
		}
	}
	return v
}
