package prepare

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"docstream/internal/fault"
	"docstream/schemas"
)

// Selection is pages as ranges, ascending, apart from one another and not touching. The empty selection holds no page.
type Selection []Range

// Range is the pages from First to Last, both included.
type Range struct{ First, Last int }

// endless stands for the last page of any document.
const endless = 1 << 30

// maxRanges bounds what a client can make us hold.
const maxRanges = 1000

// ParseSelection reads a selection such as "1-3,7,12-": pages from 1, ranges in any order and overlapping. The empty string selects every
// page. An error is a fault of the document: INVALID_OPTION.
func ParseSelection(s string) (Selection, error) {
	if strings.TrimSpace(s) == "" {
		return Selection{{1, endless}}, nil
	}
	var out Selection
	for part := range strings.SplitSeq(s, ",") {
		r, err := parseRange(strings.TrimSpace(part))
		if err != nil {
			return nil, fault.Document(schemas.InvalidOption, "The page selection is not of the form 1-3,7.").Because(err)
		}
		if out = append(out, r); len(out) > maxRanges {
			return nil, fault.Document(schemas.InvalidOption, "The page selection has more than %d ranges.", maxRanges)
		}
	}
	return out.normal(), nil
}

func parseRange(s string) (Range, error) {
	from, to, isRange := strings.Cut(s, "-")
	first, err := parsePage(from)
	if err != nil {
		return Range{}, err
	}
	last := first
	switch to = strings.TrimSpace(to); {
	case isRange && to == "":
		last = endless
	case isRange:
		if last, err = parsePage(to); err != nil {
			return Range{}, err
		}
	}
	if last < first {
		return Range{}, fmt.Errorf("range %q runs backwards", s)
	}
	return Range{first, last}, nil
}

func parsePage(s string) (int, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 30)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no page", s)
	}
	return int(n), nil
}

// normal sorts and merges.
func (s Selection) normal() Selection {
	slices.SortFunc(s, func(a, b Range) int { return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last)) })
	var out Selection
	for _, r := range s {
		if n := len(out); n > 0 && r.First <= out[n-1].Last+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// Clip returns the part of the selection between two pages, both included.
func (s Selection) Clip(first, last int) Selection {
	var out Selection
	for _, r := range s {
		if r.First, r.Last = max(r.First, first), min(r.Last, last); r.First <= r.Last {
			out = append(out, r)
		}
	}
	return out
}

// Pages lists the pages; only of a clipped selection.
func (s Selection) Pages() []int {
	var out []int
	for _, r := range s {
		for n := r.First; n <= r.Last; n++ {
			out = append(out, n)
		}
	}
	return out
}

// String writes the selection as it is parsed: 1-3,7.
func (s Selection) String() string {
	parts := make([]string, len(s))
	for i, r := range s {
		switch {
		case r.First == r.Last:
			parts[i] = strconv.Itoa(r.First)
		case r.Last >= endless:
			parts[i] = strconv.Itoa(r.First) + "-"
		default:
			parts[i] = strconv.Itoa(r.First) + "-" + strconv.Itoa(r.Last)
		}
	}
	return strings.Join(parts, ",")
}
