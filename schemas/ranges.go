package schemas

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
)

// Ranges is a set of page numbers as ascending ranges that neither touch nor overlap.
type Ranges []Range

// Range is the pages First to Last, both included.
type Range struct{ First, Last int }

// maxRanges bounds a selection a client may write.
const maxRanges = 1000

// ErrRanges says that a page selection does not read like 1-3,7.
var ErrRanges = errors.New("a page selection reads like 1-3,7")

// ParseRanges reads a selection such as "1-3,7"; an open end as in "5-" reaches to the last page there is. The empty text is the empty
// set. The result is in order and merged, whatever the text was.
func ParseRanges(text string) (Ranges, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	parts := strings.Split(text, ",")
	if len(parts) > maxRanges {
		return nil, fmt.Errorf("%w, with at most %d parts", ErrRanges, maxRanges)
	}
	out := make(Ranges, 0, len(parts))
	for _, p := range parts {
		r, err := parseRange(strings.TrimSpace(p))
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out.merged(), nil
}

// lastPage stands for an open end: no document has as many pages.
const lastPage = 1 << 30

func parseRange(s string) (Range, error) {
	first, last, dash := strings.Cut(s, "-")
	a, err := strconv.Atoi(first)
	if err != nil || a < 1 || a > lastPage {
		return Range{}, ErrRanges
	}
	if !dash {
		return Range{a, a}, nil
	}
	if last == "" {
		return Range{a, lastPage}, nil
	}
	b, err := strconv.Atoi(last)
	if err != nil || b < a || b > lastPage {
		return Range{}, ErrRanges
	}
	return Range{a, b}, nil
}

func (r Ranges) merged() Ranges {
	slices.SortFunc(r, func(a, b Range) int { return a.First - b.First })
	out := r[:0]
	for _, x := range r {
		if n := len(out); n > 0 && x.First <= out[n-1].Last+1 {
			out[n-1].Last = max(out[n-1].Last, x.Last)
			continue
		}
		out = append(out, x)
	}
	return out
}

// Clip returns the part of the set between two pages, both included.
func (r Ranges) Clip(first, last int) Ranges {
	var out Ranges
	for _, x := range r {
		if x.First, x.Last = max(x.First, first), min(x.Last, last); x.First <= x.Last {
			out = append(out, x)
		}
	}
	return out
}

// Count is how many pages the set holds.
func (r Ranges) Count() int {
	n := 0
	for _, x := range r {
		n += x.Last - x.First + 1
	}
	return n
}

// All iterates over the pages in order.
func (r Ranges) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, x := range r {
			for p := x.First; p <= x.Last; p++ {
				if !yield(p) {
					return
				}
			}
		}
	}
}

// String writes the set as ParseRanges reads it.
func (r Ranges) String() string {
	parts := make([]string, len(r))
	for i, x := range r {
		switch {
		case x.First == x.Last:
			parts[i] = strconv.Itoa(x.First)
		case x.Last == lastPage:
			parts[i] = strconv.Itoa(x.First) + "-"
		default:
			parts[i] = fmt.Sprintf("%d-%d", x.First, x.Last)
		}
	}
	return strings.Join(parts, ",")
}
