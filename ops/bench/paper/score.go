package paper

import (
	"math/rand/v2"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Score is what was read of one page, counted, so that pages can be added up.
type Score struct {
	Hits     int `json:"hits"`  // words read that are in the truth, each as often as it is there
	Read     int `json:"read"`  // words read
	True     int `json:"true"`  // words of the truth
	Edits    int `json:"edits"` // characters to change, add or remove
	TrueSize int `json:"true_characters"`
}

// F1 is the harmonic mean of precision and recall of words.
func (s Score) F1() float64 {
	if s.Read+s.True == 0 {
		return 1
	}
	return 2 * float64(s.Hits) / float64(s.Read+s.True)
}

// CER is the character error rate, spaces counted as one.
func (s Score) CER() float64 { return float64(s.Edits) / float64(max(s.TrueSize, 1)) }

// Add adds up.
func (s Score) Add(o Score) Score {
	return Score{s.Hits + o.Hits, s.Read + o.Read, s.True + o.True, s.Edits + o.Edits, s.TrueSize + o.TrueSize}
}

// Words splits a text for counting: compatibility forms folded (a ligature is its letters), every Han or kana sign a word of its own,
// because nobody writes spaces there.
func Words(text string) []string {
	var out []string
	for _, f := range strings.Fields(folded(text)) {
		var b strings.Builder
		flush := func() {
			if b.Len() > 0 {
				out = append(out, b.String())
				b.Reset()
			}
		}
		for _, r := range f {
			if unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) {
				flush()
				out = append(out, string(r))
				continue
			}
			b.WriteRune(r)
		}
		flush()
	}
	return out
}

// alike are signs that differ in the file and not on paper.
var alike = strings.NewReplacer("‘", "'", "’", "'", "“", `"`, "”", `"`, "–", "-", "—", "-", "‐", "-", "‑", "-", "−", "-", "\u00ad", "-", "•", "·", "●", "·")

func folded(text string) string { return alike.Replace(norm.NFKC.String(text)) }

// Compare scores one page.
func Compare(read, truth string) Score {
	got, want := Words(read), Words(truth)
	s := Score{Read: len(got), True: len(want)}
	left := map[string]int{}
	for _, w := range want {
		left[w]++
	}
	for _, w := range got {
		if left[w] > 0 {
			left[w]--
			s.Hits++
		}
	}
	a, b := []rune(strings.Join(strings.Fields(folded(read)), " ")), []rune(strings.Join(strings.Fields(folded(truth)), " "))
	s.Edits, s.TrueSize = distance(a, b), len(b)
	return s
}

// distance is Levenshtein's.
func distance(a, b []rune) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range a {
		before := row[0]
		row[0] = i + 1
		for j, y := range b {
			cost := before
			if x != y {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// Interval is a difference with the middle 95 % of its bootstrap.
type Interval struct{ Mean, Low, High float64 }

// Bootstrap is the difference in F1 of two readers of the same pages, over 2,000 draws of pages with a fixed seed.
func Bootstrap(a, b []Score) Interval {
	const draws = 2000
	f1 := func(s []Score, pick []int) float64 {
		var sum Score
		for _, i := range pick {
			sum = sum.Add(s[i])
		}
		return sum.F1()
	}
	n := min(len(a), len(b))
	if n == 0 {
		return Interval{}
	}
	r := rand.New(rand.NewPCG(1, 2026))
	pick := make([]int, n)
	for i := range pick {
		pick[i] = i
	}
	out := Interval{Mean: f1(a, pick) - f1(b, pick)}
	diffs := make([]float64, draws)
	for d := range diffs {
		for i := range pick {
			pick[i] = r.IntN(n)
		}
		diffs[d] = f1(a, pick) - f1(b, pick)
	}
	slices.Sort(diffs)
	out.Low, out.High = diffs[draws*25/1000], diffs[draws*975/1000]
	return out
}
