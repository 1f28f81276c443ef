package gateway_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"docstream/gateway"
	"docstream/gateway/keys"
	"docstream/schemas"
)

const png = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00"

func TestABadSubmissionIsRefusedWithItsCode(t *testing.T) {
	w := newWorld(t)
	r := w.replica(func(c *gateway.Config) { c.MaxUploadBytes = 1 << 20 })
	token := w.key("acme")
	text := file("hello")
	opt := func(name, value string) []field { return []field{text, {name: name, value: value}} }
	media := func(value, name, declared string) []field { return []field{{"file", value, name, declared}} }
	keys51 := func() string {
		var b strings.Builder
		for i := range 51 {
			fmt.Fprintf(&b, `,"k%d":"v"`, i)
		}
		return "{" + b.String()[1:] + "}"
	}
	for name, c := range map[string]struct {
		fields []field
		want   schemas.Code
	}{
		"no file":                     {[]field{{name: "priority", value: "high"}}, schemas.MissingFile},
		"empty file":                  {[]field{file("")}, schemas.EmptyFile},
		"too large":                   {[]field{file(strings.Repeat("a", 1<<20+1))}, schemas.FileTooLarge},
		"two files":                   {[]field{text, text}, schemas.InvalidRequest},
		"an option twice":             {[]field{{name: "ocr", value: "off"}, {name: "ocr", value: "auto"}, text}, schemas.InvalidRequest},
		"too many parts":              {append(repeated(40, field{name: "output_formats", value: "csv"}), text), schemas.InvalidRequest},
		"unknown option":              {opt("colour", "red"), schemas.InvalidOption},
		"priority":                    {opt("priority", "urgent"), schemas.InvalidOption},
		"ocr":                         {opt("ocr", "maybe"), schemas.InvalidOption},
		"format":                      {opt("output_formats", "markdown,docx"), schemas.InvalidOption},
		"tables":                      {opt("tables", "maybe"), schemas.InvalidOption},
		"figures":                     {opt("figures", "none"), schemas.InvalidOption},
		"dpi too small":               {opt("dpi", "1"), schemas.InvalidOption},
		"dpi no number":               {opt("dpi", "fine"), schemas.InvalidOption},
		"fewer than one page":         {opt("max_pages", "0"), schemas.InvalidOption},
		"language":                    {opt("languages", "de,English please"), schemas.InvalidOption},
		"pages":                       {opt("pages", "3-1"), schemas.InvalidOption},
		"pages too long":              {opt("pages", strings.Repeat("1,", 9000)), schemas.InvalidOption},
		"metadata no object":          {opt("metadata", `["a"]`), schemas.InvalidOption},
		"metadata of numbers":         {opt("metadata", `{"a":1}`), schemas.InvalidOption},
		"metadata with too many keys": {opt("metadata", keys51()), schemas.InvalidOption},
		"metadata too large":          {opt("metadata", `{"a":"`+strings.Repeat("x", 8<<10)+`"}`), schemas.InvalidOption},
		"bad option before the file":  {[]field{{name: "ocr", value: "maybe"}, text}, schemas.InvalidOption},
		"webhook":                     {opt("webhook_url", "http://169.254.169.254/latest/meta-data"), schemas.AddressForbidden},
		"a program":                   {media("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00", "a.pdf", "application/pdf"), schemas.UnsupportedMediaType},
		"a zip":                       {media("PK\x03\x04\x14\x00\x00\x00\x08\x00", "a.zip", ""), schemas.UnsupportedMediaType},
		"a HEIC picture":              {media("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "a.heic", "image/heic"), schemas.UnsupportedMediaType},
		"an AVIF picture":             {media("\x00\x00\x00\x20ftypavif\x00\x00\x00\x00avifmif1", "a.avif", "image/avif"), schemas.UnsupportedMediaType},
		"a JPEG 2000 picture":         {media("\x00\x00\x00\x0cjP  \r\n\x87\n\x00\x00\x00\x14ftypjp2 ", "a.jp2", "image/jp2"), schemas.UnsupportedMediaType},
		"PDF declared as Word":        {media("%PDF-1.7\n", "a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"), schemas.MediaTypeMismatch},
		"a web page declared as PDF":  {media("<!DOCTYPE html><html>", "a.pdf", "application/pdf"), schemas.MediaTypeMismatch},
		"PDF declared as PNG":         {media("%PDF-1.7\n", "a.png", "image/png"), schemas.MediaTypeMismatch},
		"PNG declared as PDF":         {media(png, "a.pdf", "application/pdf"), schemas.MediaTypeMismatch},
		"text declared as JPEG":       {media("plain words", "a.jpg", "image/jpeg"), schemas.MediaTypeMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.post(token, c.fields...)
			if got := a.code(t); got != c.want {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		})
	}
	eventually(t, "no refused upload left an object", func() bool { return len(w.store.keys()) == 0 })
}

func repeated(n int, f field) []field {
	var out []field
	for range n {
		out = append(out, f)
	}
	return out
}

func TestABodyThatIsNoFormIsRefused(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	form, kind := form(file("hello"))
	for name, c := range map[string]struct {
		kind, body string
		want       schemas.Code
		header     [2]string
	}{
		"JSON":             {"application/json", "{}", schemas.InvalidRequest, [2]string{}},
		"nothing":          {"", "", schemas.InvalidRequest, [2]string{}},
		"no boundary":      {"multipart/form-data", "x", schemas.InvalidRequest, [2]string{}},
		"a broken header":  {"multipart/form-data; boundary=b", "--b\r\nnonsense\r\n\r\nx\r\n--b--\r\n", schemas.InvalidRequest, [2]string{}},
		"no last boundary": {"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nhello", schemas.UploadInterrupted, [2]string{}},
		"compressed":       {kind, form.String(), schemas.UnsupportedMediaType, [2]string{"Content-Encoding", "gzip"}},
	} {
		t.Run(name, func(t *testing.T) {
			req, _ := http.NewRequest(http.MethodPost, r.url+"/api/v1/documents", bytes.NewReader([]byte(c.body)))
			req.Header.Set("Authorization", "Bearer "+token)
			if c.kind != "" {
				req.Header.Set("Content-Type", c.kind)
			}
			if c.header[0] != "" {
				req.Header.Set(c.header[0], c.header[1])
			}
			if a := r.do(req); a.code(t) != c.want {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		})
	}
	if got := w.store.keys(); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
}

func TestAddressesThatDoNotExist(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	if a := r.get("", "/api/v2/jobs"); a.code(t) != schemas.RouteNotFound {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	for _, method := range []string{http.MethodDelete, http.MethodPut, "BREW"} {
		req, _ := http.NewRequest(method, r.url+"/api/v1/jobs", nil)
		a := r.do(req)
		if a.code(t) != schemas.MethodNotAllowed || a.Header.Get("Allow") != "GET" {
			t.Errorf("%s: %d, Allow %q", method, a.StatusCode, a.Header.Get("Allow"))
		}
	}
	if a := r.get("", "/metrics"); bytes.Contains(a.body, []byte("BREW")) || bytes.Contains(a.body, []byte("/api/v2")) {
		t.Error("a client can make names in the metrics")
	}
}

func TestOnlyAGoodKeyOpens(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	good := w.key("acme")
	issue := func(scopes []string, expires time.Time, change func(*schemas.APIKeyChanged)) string {
		token, e, err := keys.New(house, "acme", "test", scopes, expires)
		if err != nil {
			t.Fatal(err)
		}
		w.publish(e)
		if change != nil {
			change(e)
		}
		return token
	}
	id, _, _ := keys.Split(good)
	_, other, _ := keys.Split(w.key("acme"))
	documents := []string{keys.Documents}
	for name, c := range map[string]struct {
		header string
		want   schemas.Code
	}{
		"none":            {"", schemas.Unauthenticated},
		"another scheme":  {"Basic " + good, schemas.Unauthenticated},
		"no form":         {"Bearer hello", schemas.Unauthenticated},
		"unknown":         {"Bearer dsk_0000000000000000_" + strings.Repeat("0", 52), schemas.Unauthenticated},
		"another secret":  {"Bearer dsk_" + id + "_" + other, schemas.Unauthenticated},
		"half the secret": {"Bearer " + good[:len(good)-4], schemas.Unauthenticated},
		"expired":         {"Bearer " + issue(documents, time.Now().Add(-time.Second), nil), schemas.Unauthenticated},
		"revoked": {"Bearer " + issue(documents, time.Time{}, func(e *schemas.APIKeyChanged) { w.publish(keys.Revoke(e)) }),
			schemas.Unauthenticated},
		"without the scope":   {"Bearer " + issue([]string{keys.Admin}, time.Time{}, nil), schemas.Forbidden},
		"good":                {"Bearer " + good, ""},
		"good, in lower case": {"bearer " + good, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.get("", "/api/v1/jobs", "Authorization", c.header)
			if a.code(t) != c.want {
				t.Fatalf("%d %s", a.StatusCode, a.body)
			}
			if challenged := a.Header.Get("WWW-Authenticate") != ""; challenged != (a.StatusCode == http.StatusUnauthorized) {
				t.Errorf("status %d, challenge %t", a.StatusCode, challenged)
			}
		})
	}
}
