package pack_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/formatstest"
	"docstream/processors/prepare/formats/pack"
	"docstream/schemas"
)

func open(b []byte, change func(*formats.Limits)) (*pack.Archive, error) {
	l := formatstest.Limits
	if change != nil {
		change(&l)
	}
	return pack.Open(bytes.NewReader(b), int64(len(b)), l)
}

// overlapping makes every entry of the directory name the bytes of the first: a megabyte packed once, claimed often.
func overlapping() []byte {
	b := formatstest.Zip(formatstest.Part{Name: "a", Body: "x"}, formatstest.Part{Name: "b", Body: strings.Repeat("0", 1<<20)}, formatstest.Part{Name: "c", Body: strings.Repeat("0", 1<<20)})
	var heads []int
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte("PK\x01\x02"))
		if i < 0 {
			break
		}
		heads, at = append(heads, at+i), at+i+4
	}
	copy(b[heads[2]+42:heads[2]+46], b[heads[1]+42:heads[1]+46])
	return b
}

func TestHostileContainersAreRefused(t *testing.T) {
	good := formatstest.Zip(formatstest.Part{Name: "a", Body: "x"}, formatstest.Part{Name: "b", Body: "y"})
	large := bytes.Clone(good)
	binary.LittleEndian.PutUint32(large[len(large)-10:], 1<<30) // the directory's length
	for name, c := range map[string]struct {
		file   []byte
		change func(*formats.Limits)
		code   schemas.Code
	}{
		"nothing":          {nil, nil, schemas.DocumentCorrupt},
		"no directory":     {[]byte("PK\x03\x04 and no more"), nil, schemas.DocumentCorrupt},
		"a huge directory": {large, nil, schemas.DocumentTooLarge},
		"too many files":   {good, func(l *formats.Limits) { l.Parts = 1 }, schemas.DocumentTooLarge},
		"overlapping":      {overlapping(), nil, schemas.DocumentCorrupt},
	} {
		if _, err := open(c.file, c.change); fault.Of(err).Code != c.code {
			t.Errorf("%s: got %v, want %s", name, err, c.code)
		}
	}
}

func TestABombCostsItsBudgetOnce(t *testing.T) {
	b := formatstest.Zip(formatstest.Part{Name: "a", Body: "x"}, formatstest.Part{Name: "bomb", Body: strings.Repeat("0", 64<<20)})
	a, err := open(b, func(l *formats.Limits) { l.Unpacked = 1 << 20 })
	if err != nil {
		t.Fatal(err)
	}
	r, err := a.Reader("bomb")
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, r)
	if f := new(fault.Error); !errors.As(err, &f) || f.Code != schemas.DocumentTooLarge || n > 1<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
	a, err = open(b, func(l *formats.Limits) { l.Unpacked = 65 << 20 })
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // what was paid for once may be read again
		if _, err := a.Read("bomb", 65<<20); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatIsPackedTooTightlyIsRefused(t *testing.T) {
	b := formatstest.Zip(formatstest.Part{Name: "a", Body: "x"}, formatstest.Part{Name: "bomb", Body: strings.Repeat("0", 40<<20)})
	for ratio, code := range map[int64]schemas.Code{0: "", 100: schemas.DocumentTooDense, 10_000: ""} {
		a, err := open(b, func(l *formats.Limits) { l.Ratio = ratio })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Read("bomb", 64<<20); (err == nil) != (code == "") || err != nil && fault.Of(err).Code != code {
			t.Errorf("%d to one: %v", ratio, err)
		}
	}
}

func TestNamesNeverLeadOut(t *testing.T) {
	a, err := open(formatstest.Zip(formatstest.Part{Name: "../../etc/passwd", Body: "x"}, formatstest.Part{Name: `\word\a.xml`, Body: "y"}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := a.Read("WORD/A.xml", 10); err != nil || string(b) != "y" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := a.Reader("missing"); fault.Of(err).Code != schemas.DocumentCorrupt {
		t.Error(err)
	}
}

func FuzzContainer(f *testing.F) {
	f.Add(formatstest.Zip(formatstest.Part{Name: "a", Body: "x"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := open(b, func(l *formats.Limits) { l.Unpacked = 1 << 20 })
		if err != nil {
			return
		}
		for _, n := range a.Names() {
			if _, err := a.Read(n, 1<<16); err != nil && fault.KindOf(err) != fault.Permanent {
				t.Fatal(err)
			}
		}
	})
}
