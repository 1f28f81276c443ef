package ocr_test

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"strings"
	"testing"

	"docstream/internal/engine"
	"docstream/internal/engine/raster"
	"docstream/internal/testenv/models"
	"docstream/ops/bench/paper"
	"docstream/processors/ocr"
	"docstream/schemas/document"
)

// wordwise is a cascade that reads no whole line again, but words with a sign below a score.
func wordwise(t testing.TB, word float64) *ocr.Reader {
	t.Helper()
	set := engine.DefaultModelSet()
	set.Doubt, set.WordDoubt = 1e-9, word
	r, err := ocr.Open(models.Open(t, set))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWordsWithADoubtfulSignAreReadAgain(t *testing.T) {
	models.Open(t, engine.DefaultModelSet())
	worse, err := paper.Degrade(drawn(t, 150, 8, 1240, 900, prose, strings.ToUpper(prose)), paper.Noise, 7)
	if err != nil {
		t.Fatal(err)
	}
	im, want := raster.From(worse), strings.Fields(prose+" "+strings.ToUpper(prose))
	never, some, always := read(t, wordwise(t, 1e-9), im, 150), read(t, wordwise(t, .8), im, 150), read(t, wordwise(t, 1), im, 150)
	a, b, c := f1(wordsOf(never), want), f1(wordsOf(some), want), f1(wordsOf(always), want)
	if b <= a || c < a {
		t.Errorf("word F1 %.4f where no word is read again, %.4f where doubtful ones are, %.4f where all are", a, b, c)
	}
	for _, block := range some.Blocks {
		for _, l := range block.Lines {
			end := l.Box[0] - 1
			for _, w := range l.Words {
				if w.Box[0] < end-2 || w.Box[2] <= w.Box[0] || w.Box[2] > l.Box[2]+1 {
					t.Errorf("word %q at %v in the line %v, the one before ends at %.1f", w.Text, w.Box, l.Box, end)
				}
				end = w.Box[2]
			}
		}
	}
}

// bars is an image of a line: each sign 20 pixels wide, text as a bar of 16, a blank as nothing.
func bars(signs string, text, ground uint8) *raster.Image {
	im := image.NewGray(image.Rect(0, 0, 20*len(signs), 48))
	draw.Draw(im, im.Rect, image.NewUniform(color.Gray{ground}), image.Point{}, draw.Src)
	for i, c := range signs {
		if c != ' ' {
			draw.Draw(im, image.Rect(20*i+2, 12, 20*i+18, 36), image.NewUniform(color.Gray{text}), image.Point{}, draw.Src)
		}
	}
	return raster.From(im)
}

func TestASpaceThatWasNotReadIsSeenByItsGap(t *testing.T) {
	for _, tc := range []struct{ name, printed, read, want string }{
		{"behind a bracket", "one (two) xx aa bb cc", "one (two)_xx aa bb cc", "one (two) xx aa bb cc"},
		{"before a bracket", "one two (xx) aa bb", "one two_(xx) aa bb", "one two (xx) aa bb"},
		{"between letters", "one two xx aa bb cc", "one two_xx aa bb cc", "one twoxx aa bb cc"},
		{"none is missing", "one two xx aa bb cc", "one two xx aa bb cc", "one two xx aa bb cc"},
		{"within a number", "aa bb cc dd 1 000", "aa bb cc dd 1_000", "aa bb cc dd 1000"},
		{"before a full stop", "aa bb cc dd ee .", "aa bb cc dd ee_.", "aa bb cc dd ee."},
		{"between Chinese signs", "aa bb cc dd xx y", "aa bb cc dd 港口_门", "aa bb cc dd 港口门"},
		{"too few spaces to know one", "aa bb cc", "aa bb_cc", "aa bbcc"},
	} {
		for _, colour := range [][2]uint8{{20, 240}, {250, 60}} {
			// An underscore stands where nothing was read: the signs keep their places.
			if got := ocr.Part(tc.read, bars(tc.printed, colour[0], colour[1])); got != tc.want {
				t.Errorf("%s, %d on %d: %q, want %q", tc.name, colour[0], colour[1], got, tc.want)
			}
		}
	}
}

func TestLanguagesWithLettersThatTheQuickModelLacksAreReadByTheThoroughOne(t *testing.T) {
	models.Open(t, engine.DefaultModelSet())
	var b bytes.Buffer
	if err := png.Encode(&b, drawn(t, 150, 11, 900, 300, "A short page of one line.", "")); err != nil {
		t.Fatal(err)
	}
	s, err := newEngine(t, "models").Lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	for _, tc := range []struct{ languages, model string }{
		{"", "ppocrv6-tiny-rec"}, {"de zh-Hans", "ppocrv6-tiny-rec"}, {"en ja", "ppocrv6-small-rec"}, {"ro-RO", "ppocrv6-small-rec"}, {"", "ppocrv6-tiny-rec"},
	} {
		var res ocr.Result
		req := ocr.Request{Image: b.Bytes(), MaxPixels: 1e8, Reading: engine.DefaultModelSet().Reading().String(), Number: 1, DPI: 150, Languages: strings.Fields(tc.languages)}
		if _, err := s.Call(t.Context(), ocr.Method, req, &res); err != nil {
			t.Fatal(err)
		}
		var p document.Page
		if err := json.Unmarshal(res.JSON, &p); err != nil {
			t.Fatal(err)
		}
		for _, l := range p.Blocks[0].Lines {
			if l.Model != tc.model {
				t.Errorf("%q: %q was read by %s", tc.languages, l.Text, l.Model)
			}
		}
	}
}
