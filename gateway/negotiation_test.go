package gateway_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"docstream/gateway"
	"docstream/internal/blob"
	"docstream/processors/compose"
	"docstream/schemas"
	"docstream/schemas/document"
)

// reading starts a gateway that shows pages and tables.
func (w *world) reading(change func(*gateway.Config)) *replica {
	w.t.Helper()
	r := w.replica(change)
	r.gateway.ServePages(compose.NewReader(compose.DefaultConfig(), w.store))
	return r
}

// unzip returns the files of a zip by name.
func unzip(t *testing.T, b []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if out[f.Name] = string(text); f.Modified.Unix() > 0 && !f.Modified.IsZero() && f.Modified.Year() > 1980 {
			t.Errorf("P5: %s names a clock: %s", f.Name, f.Modified)
		}
	}
	return out
}

func TestPicturesOfFiguresAreInTheZip(t *testing.T) {
	w := newWorld(t)
	r := w.reading(nil)
	job := schemas.NewJobID(time.Now())
	s := w.finished("acme", job, "json", `{"pages":[{"number":1,"blocks":[{"kind":"figure","image":{"name":"figures/000001-1.png"}},{"kind":"figure"}]},`+
		`{"number":2,"blocks":[{"kind":"figure","image":{"name":"figures/000002-1.jpg"}}]}]}`, "markdown", "![](figures/000001-1.png)")
	s.Options.Figures = "on"
	for _, name := range []string{"figures/000001-1.png", "figures/000002-1.jpg"} {
		if err := w.store.Put(t.Context(), schemas.ResultKey("acme", job, 0, name), []byte("pixels of "+name), blob.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	w.publish(s)
	files := unzip(t, r.get(w.key("acme"), "/api/v1/jobs/"+job+"/result?format=zip,markdown").body)
	if len(files) != 3 || files["figures/000001-1.png"] != "pixels of figures/000001-1.png" || files["figures/000002-1.jpg"] != "pixels of figures/000002-1.jpg" {
		t.Errorf("the zip holds %v", files)
	}
}

func TestSeveralFormatsComeAsOneZip(t *testing.T) {
	w := newWorld(t)
	r, twin := w.reading(nil), w.reading(nil)
	token := w.key("acme")
	job := schemas.NewJobID(time.Now())
	w.publish(w.finished("acme", job, "json", `{"pages":[]}`, "markdown", "# Title", "text", strings.Repeat("Title ", 5000)))
	path := "/api/v1/jobs/" + job + "/result"
	for name, c := range map[string]struct {
		query, accept string
		files         string
	}{
		"two formats":        {"?format=md,json", "", "document.json document.md"},
		"order is ours":      {"?format=json,markdown", "", "document.json document.md"},
		"all":                {"?format=zip", "", "document.json document.md document.txt"},
		"Accept":             {"", "application/zip", "document.json document.md document.txt"},
		"Accept of one":      {"?format=txt", "application/zip", "document.txt"},
		"one, named zip too": {"?format=zip,text", "", "document.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.get(token, path+c.query, "Accept", c.accept)
			if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "application/zip" || a.Header.Get("Content-Disposition") != `attachment; filename="a b.zip"` {
				t.Fatalf("%d %v %s", a.StatusCode, a.Header, a.body)
			}
			files := unzip(t, a.body)
			for _, f := range strings.Fields(c.files) {
				if files[f] == "" {
					t.Errorf("%s is missing", f)
				}
			}
			if len(files) != len(strings.Fields(c.files)) {
				t.Errorf("files: %v", files)
			}
			other := twin.get(token, path+c.query, "Accept", c.accept)
			if !bytes.Equal(other.body, a.body) || other.Header.Get("ETag") != a.Header.Get("ETag") {
				t.Error("P4: another replica gives another zip")
			}
			if again := twin.get(token, path+c.query, "Accept", c.accept, "If-None-Match", a.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
				t.Errorf("unchanged, yet %d", again.StatusCode)
			}
		})
	}
	if x, y := r.get(token, path+"?format=md,json"), r.get(token, path+"?format=json,md"); x.Header.Get("ETag") != y.Header.Get("ETag") {
		t.Error("the order of asking changes the tag")
	}
	for query, want := range map[string]schemas.Code{"?format=md,html": schemas.FormatNotComposed, "?format=md,docx": schemas.InvalidOption,
		"?format=md&table=1": schemas.InvalidOption, "?table=0": schemas.InvalidOption, "?table=x": schemas.InvalidOption} {
		if a := r.get(token, path+query); a.code(t) != want {
			t.Errorf("%s: %d %s", query, a.StatusCode, a.body)
		}
	}
	_ = w.store.Delete(t.Context(), schemas.ResultKey("acme", job, 0, "document.text"))
	if a := r.get(token, path+"?format=zip"); a.code(t) != schemas.ResultExpired {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := r.get(w.key("rival"), path+"?format=zip"); a.code(t) != schemas.JobNotFound {
		t.Errorf("P8: %d %s", a.StatusCode, a.body)
	}
}

// table is a block of one table of one column.
func table(continues bool, cells ...string) document.Block {
	t := &document.Table{Rows: len(cells), Columns: 1, Continues: continues}
	for i, c := range cells {
		t.Cells = append(t.Cells, document.Cell{Row: i, Text: c})
	}
	return document.Block{Kind: document.TableKind, Table: t}
}

func TestTablesComeOneByOneOrAllTogether(t *testing.T) {
	w := newWorld(t)
	r := w.reading(nil)
	token := w.key("acme")
	job, none := schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now())
	whole, _ := json.Marshal(document.Document{Head: document.Head{Format: document.DocumentFormat}, Pages: []document.Page{
		{Number: 1, Blocks: []document.Block{{Kind: document.Paragraph, Text: "before"}, table(false, "a", "b,c")}},
		{Number: 2, Blocks: []document.Block{table(true, "d"), table(false, "", "x")}}}})
	w.publish(w.finished("acme", job, "json", string(whole), "csv", "a\n"), w.finished("acme", none, "json", `{"pages":[]}`))
	path := "/api/v1/jobs/" + job + "/result"
	for query, want := range map[string]string{"?format=csv": "a\n", "?format=csv&table=1": "a\n\"b,c\"\nd\n", "?table=2": "\nx\n"} {
		if a := r.get(token, path+query); a.StatusCode != http.StatusOK || string(a.body) != want || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/csv") || a.Header.Get("ETag") == "" {
			t.Errorf("%s: %d %q", query, a.StatusCode, a.body)
		}
	}
	if a := r.get(token, path+"?table=2&download=1"); a.Header.Get("Content-Disposition") != `attachment; filename="a b-table-2.csv"` {
		t.Errorf("%v", a.Header)
	}
	if a := r.get(token, path+"?table=3"); a.code(t) != schemas.TableNotFound || a.Header.Get("ETag") != "" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v %s", a.StatusCode, a.Header, a.body)
	}
	files := unzip(t, r.get(token, path+"?format=csv&table=all").body)
	if len(files) != 2 || files["table-001.csv"] != "a\n\"b,c\"\nd\n" || files["table-002.csv"] != "\nx\n" {
		t.Errorf("%q", files)
	}
	if files := unzip(t, r.get(token, "/api/v1/jobs/"+none+"/result?table=all").body); len(files) != 0 {
		t.Errorf("%q", files)
	}
}

func TestARangeOfAResult(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	job := schemas.NewJobID(time.Now())
	text := strings.Repeat("0123456789", 500)
	w.publish(w.finished("acme", job, "text", text))
	path := "/api/v1/jobs/" + job + "/result"
	tag := r.get(token, path, "Accept-Encoding", "identity").Header.Get("ETag")
	for name, c := range map[string]struct {
		asked, ifRange string
		status         int
		span, body     string
	}{
		"the first bytes":            {"bytes=0-9", "", 206, "bytes 0-9/5000", text[:10]},
		"from somewhere":             {"bytes=4990-", "", 206, "bytes 4990-4999/5000", text[4990:]},
		"the last bytes":             {"bytes=-3", "", 206, "bytes 4997-4999/5000", "789"},
		"more than there are":        {"bytes=4999-99999", "", 206, "bytes 4999-4999/5000", "9"},
		"all":                        {"bytes=0-", "", 206, "bytes 0-4999/5000", text},
		"a tag that holds":           {"bytes=0-0", tag, 206, "bytes 0-0/5000", "0"},
		"a tag that does not":        {"bytes=0-0", `"other"`, 200, "", text},
		"a weak tag never holds":     {"bytes=0-0", "W/" + tag, 200, "", text},
		"a date never holds":         {"bytes=0-0", "Wed, 21 Oct 2015 07:28:00 GMT", 200, "", text},
		"several are passed over":    {"bytes=0-1,5-6", "", 200, "", text},
		"another unit":               {"lines=0-1", "", 200, "", text},
		"backwards":                  {"bytes=5-4", "", 200, "", text},
		"nonsense":                   {"bytes=x-", "", 200, "", text},
		"behind the end":             {"bytes=5000-", "", 416, "bytes */5000", ""},
		"none of the last bytes":     {"bytes=-0", "", 416, "bytes */5000", ""},
		"numbers beyond all numbers": {"bytes=99999999999999999999-", "", 416, "bytes */5000", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := []string{"Range", c.asked, "Accept-Encoding", "gzip"} // a range is of the bytes as they lie
			if c.ifRange != "" {
				h = append(h, "If-Range", c.ifRange)
			}
			a := r.get(token, path, h...)
			if a.StatusCode != c.status || a.Header.Get("Content-Range") != c.span || a.Header.Get("Content-Encoding") != "" {
				t.Fatalf("%d %v", a.StatusCode, a.Header)
			}
			if c.status == 416 {
				if a.code(t) != schemas.RangeNotSatisfiable {
					t.Errorf("%s", a.body)
				}
				return
			}
			if string(a.body) != c.body || a.Header.Get("ETag") != tag || a.Header.Get("Accept-Ranges") != "bytes" {
				t.Errorf("%q %v", a.body, a.Header)
			}
		})
	}
}

func TestAResultIsCompressedAsTheClientTakesIt(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	job, short := schemas.NewJobID(time.Now()), schemas.NewJobID(time.Now())
	text := strings.Repeat("all work and no play ", 500)
	w.publish(w.finished("acme", job, "text", text), w.finished("acme", short, "text", "words"))
	path := "/api/v1/jobs/" + job + "/result"
	read := map[string]func([]byte) (io.Reader, error){
		"":     func(b []byte) (io.Reader, error) { return bytes.NewReader(b), nil },
		"gzip": func(b []byte) (io.Reader, error) { return gzip.NewReader(bytes.NewReader(b)) },
		"zstd": func(b []byte) (io.Reader, error) { return zstd.NewReader(bytes.NewReader(b)) },
	}
	tags := map[string]string{}
	for accept, want := range map[string]string{"identity": "", "gzip": "gzip", "gzip, deflate, br, zstd": "zstd", "zstd;q=0.5, gzip": "gzip", "br": "", "*": "zstd",
		"zstd;q=0, *": "gzip", "gzip;q=0": "", "identity, gzip;q=0.5": "", "gzip;q=x": ""} {
		a := r.get(token, path, "Accept-Encoding", accept)
		if a.StatusCode != http.StatusOK || a.Header.Get("Content-Encoding") != want || !strings.Contains(a.Header.Get("Vary"), "Accept-Encoding") {
			t.Fatalf("%q: %d %v", accept, a.StatusCode, a.Header)
		}
		z, err := read[want](a.body)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(z); err != nil || string(b) != text || want != "" && len(a.body) > len(text)/4 {
			t.Errorf("%q: %d bytes, %v", accept, len(a.body), err)
		}
		tag := a.Header.Get("ETag")
		if tags[want] == "" {
			tags[want] = tag
		}
		if tags[want] != tag || strings.HasPrefix(tag, "W/") {
			t.Errorf("%q: the tag is %s, and was %s", accept, tag, tags[want])
		}
		if again := r.get(token, path, "Accept-Encoding", accept, "If-None-Match", tag); again.StatusCode != http.StatusNotModified {
			t.Errorf("%q: unchanged, yet %d", accept, again.StatusCode)
		}
	}
	if len(tags) != 3 || tags[""] == tags["gzip"] || tags["gzip"] == tags["zstd"] || tags[""] == tags["zstd"] {
		t.Errorf("other bytes need other tags: %v", tags)
	}
	if a := r.get(token, "/api/v1/jobs/"+short+"/result", "Accept-Encoding", "gzip"); a.Header.Get("Content-Encoding") != "" || string(a.body) != "words" {
		t.Errorf("%v", a.Header)
	}
}
