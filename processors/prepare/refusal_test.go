package prepare_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/png"
	"strings"
	"testing"
	"time"

	"docstream/internal/engine"
	"docstream/internal/fault"
	"docstream/processors/prepare/formats/pdf/pdftest"
	"docstream/schemas"
)

func picture(t testing.TB, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// claim rewrites the header of a PNG to say another size.
func claim(b []byte, w, h uint32) []byte {
	b = bytes.Clone(b)
	binary.BigEndian.PutUint32(b[16:], w)
	binary.BigEndian.PutUint32(b[20:], h)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return b
}

func TestADocumentIsRefusedWithItsCode(t *testing.T) {
	p := pool(t, nil)
	good := picture(t, 20, 20)
	for name, c := range map[string]struct {
		media  string
		file   []byte
		change func(*schemas.DocumentSubmitted, *store)
		code   schemas.Code
	}{
		"nothing":                    {pdfType, nil, func(e *schemas.DocumentSubmitted, _ *store) { e.Source.SHA256 = "" }, schemas.DocumentEmpty},
		"no PDF":                     {pdfType, []byte("\x00\x01\x02 nothing"), nil, schemas.DocumentCorrupt},
		"a broken PDF":               {pdfType, []byte("%PDF-1.4 nothing"), nil, schemas.DocumentCorrupt},
		"a program":                  {"application/octet-stream", []byte("\x7fELF\x02\x01\x01\x00"), nil, schemas.DocumentUnsupported},
		"an archive":                 {"application/zip", []byte("PK\x03\x04\x14\x00\x00\x00"), nil, schemas.DocumentUnsupported},
		"an old document":            {"application/msword", []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 nothing"), nil, schemas.DocumentCorrupt},
		"a HEIC picture":             {"image/heic", []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"), nil, schemas.DocumentUnsupported},
		"an archive said to be text": {"text/plain", []byte("PK\x03\x04\x14\x00\x00\x00"), nil, schemas.DocumentUnsupported},
		"a bomb":                     {"image/png", claim(good, 60_000, 60_000), nil, schemas.PageTooLarge},
		"too long a side":            {"image/png", claim(good, 10_001, 1), nil, schemas.PageTooLarge},
		"half a picture":             {"image/png", good[:len(good)/2], nil, schemas.DocumentCorrupt},
		"a page out of range": {pdfType, book(2), func(e *schemas.DocumentSubmitted, _ *store) { e.Options.Pages = "3-9" },
			schemas.PagesOutOfRange},
		"a selection that is none":  {pdfType, book(2), func(e *schemas.DocumentSubmitted, _ *store) { e.Options.Pages = "x" }, schemas.InvalidOption},
		"more bytes than the limit": {pdfType, book(2), func(e *schemas.DocumentSubmitted, s *store) { e.Source.Size = 501 << 20 }, schemas.FileTooLarge},
		"gone":                      {pdfType, book(2), func(e *schemas.DocumentSubmitted, s *store) { delete(s.bodies, e.Source.Key) }, schemas.SourceMissing},
		"another size":              {pdfType, book(2), func(e *schemas.DocumentSubmitted, _ *store) { e.Source.Size++ }, schemas.SourceChanged},
		"other bytes": {pdfType, book(2), func(e *schemas.DocumentSubmitted, s *store) {
			s.bodies[e.Source.Key] = bytes.Replace(s.bodies[e.Source.Key], []byte("harbour"), []byte("Harbour"), 1)
		}, schemas.SourceChanged},
		"another tenant's": {pdfType, book(2), func(e *schemas.DocumentSubmitted, s *store) {
			s.bodies["sources/other/1"], e.Source.Key = s.bodies[e.Source.Key], "sources/other/1"
		}, schemas.SourceForbidden},
		"a bucket nobody registered": {pdfType, book(2), func(e *schemas.DocumentSubmitted, s *store) {
			s.bodies[place("theirs", e.Source.Key)], e.Source.Bucket = s.bodies[e.Source.Key], "theirs"
		}, schemas.SourceForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, p, nil)
			e := b.submit(c.media, c.file)
			if c.change != nil {
				c.change(e, b.store)
			}
			events, err := b.stage.Work(t.Context(), e, schemas.Delivery{})
			if f := fault.Of(err); err == nil || f.Code != c.code || f.Kind != fault.Permanent {
				t.Errorf("got %s, %v; want %s", outline(events), err, c.code)
			}
			if len(b.puts) > 0 {
				t.Errorf("wrote %v", b.puts)
			}
		})
	}
}

func TestBytesDecideOverTheDeclaredType(t *testing.T) {
	p := pool(t, nil)
	for name, c := range map[string]struct {
		declared string
		file     []byte
		want     string
	}{
		"a PDF said to be a picture": {"image/png", book(1), "opened 1 1 application/pdf; text 1"},
		"a picture said to be a PDF": {pdfType, picture(t, 30, 30), "opened 1 1 image/png; image 1"},
		"a PDF behind another line":  {pdfType, append([]byte("@PJL SET\n"), book(1)...), "opened 1 1 application/pdf; text 1"},
		"text":                       {"text/plain", []byte("one\n\ntwo"), "opened 1 1 text/plain; text 1"},
		"Markdown":                   {"text/markdown; charset=utf-8", []byte("# one\n\ntwo"), "opened 1 1 text/markdown; text 1"},
		"text like another type":     {"text/plain", []byte("a,b,c\n1,2,3\n4,5,6\n"), "opened 1 1 text/plain; text 1"},
		"text about PDF":             {"text/plain", []byte("the file begins with %PDF-1.7\n"), "opened 1 1 text/plain; text 1"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, p, nil)
			if got := outline(b.work(t, b.submit(c.declared, c.file), schemas.Delivery{})); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestAPageThatHangsIsGivenUpOnTheLastAttempt(t *testing.T) {
	b := newBench(t, pool(t, func(c *engine.Config) { c.PageDeadline = 3 * time.Second }), nil)
	bomb := pdftest.Page{Content: strings.Repeat("0 0 612 792 re f\n", 200_000)} // more to paint than there is time
	e := b.submit(pdfType, pdftest.Write(textPage(1), bomb, textPage(3)))
	events, err := b.stage.Work(t.Context(), e, schemas.Delivery{})
	if f := fault.Of(err); err == nil || f.Kind != fault.Unknown || f.Code != schemas.EngineTimeout {
		t.Fatalf("first attempt: %s, %v", outline(events), err)
	}
	got := outline(b.work(t, e, schemas.Delivery{Attempt: 3, Again: true}))
	if got != "opened 3 1-3 application/pdf; text 1; failed 2 ENGINE_TIMEOUT; text 3" {
		t.Errorf("last attempt: %s", got)
	}
}

func TestAStoreThatCannotBeReachedIsTheWorldsFault(t *testing.T) {
	p := pool(t, nil)
	down := fault.World(schemas.ServiceUnavailable, "down").Because(errors.New("refused"))
	for _, at := range []string{"get sources/", "put results/", "put work/"} {
		t.Run(at, func(t *testing.T) {
			b := newBench(t, p, nil)
			e := b.submit(pdfType, pdftest.Write(textPage(1), scanPage()))
			b.fail = func(op, key string) error {
				if strings.HasPrefix(op+" "+key, at) {
					return down
				}
				return nil
			}
			if _, err := b.stage.Work(t.Context(), e, schemas.Delivery{Attempt: 3}); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("got %v", err)
			}
			b.fail = nil
			b.work(t, e, schemas.Delivery{Attempt: 3, Again: true})
		})
	}
}
