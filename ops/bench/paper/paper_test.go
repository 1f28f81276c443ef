package paper_test

import (
	"bytes"
	"image"
	"testing"

	"docstream/ops/bench/paper"
)

func TestTheSameSeedMakesTheSamePixels(t *testing.T) {
	im := image.NewGray(image.Rect(0, 0, 64, 48))
	for i := range im.Pix {
		im.Pix[i] = uint8(255 * (i / 7 % 2))
	}
	for _, c := range paper.Conditions {
		a, err := paper.Degrade(im, c, 3)
		if err != nil {
			t.Fatal(err)
		}
		b, err := paper.Degrade(im, c, 3)
		if err != nil || !bytes.Equal(a.Pix, b.Pix) || a.Rect != im.Rect {
			t.Errorf("%s differs: %v", c, err)
		}
		if (c == paper.Clean) != bytes.Equal(a.Pix, im.Pix) {
			t.Errorf("%s: changed %v", c, c != paper.Clean)
		}
	}
}

func TestScoresCountWordsAndCharacters(t *testing.T) {
	for _, tc := range []struct {
		read, truth      string
		hits, got, edits int
	}{
		{"one two three", "one two three", 3, 3, 0},
		{"one one", "one two", 1, 2, 3},
		{"", "abc", 0, 0, 3},
		{"ﬁne  “quoted”", "fine \"quoted\"", 2, 2, 0},
		{"港口abc", "港口abd", 2, 3, 1},
	} {
		s := paper.Compare(tc.read, tc.truth)
		if s.Hits != tc.hits || s.Read != tc.got || s.Edits != tc.edits {
			t.Errorf("%q against %q: %+v", tc.read, tc.truth, s)
		}
	}
}

func TestBootstrapHoldsTheDifference(t *testing.T) {
	var a, b []paper.Score
	for i := range 30 {
		a, b = append(a, paper.Score{Hits: 95 + i%3, Read: 100, True: 100}), append(b, paper.Score{Hits: 90 + i%5, Read: 100, True: 100})
	}
	d := paper.Bootstrap(a, b)
	if d.Mean < .03 || d.Mean > .05 || d.Low >= d.Mean || d.High <= d.Mean || d.Low < 0 || d != paper.Bootstrap(a, b) {
		t.Errorf("%+v", d)
	}
	if same := paper.Bootstrap(a, a); same.Low != 0 || same.High != 0 {
		t.Errorf("no difference: %+v", same)
	}
}
