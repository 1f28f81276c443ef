package structure

// Behind names the scores by which mine are worse than another's; a score that either lacks is not compared.
func Behind(mine, other Scores) (names []string) {
	for _, s := range []struct {
		name        string
		mine, other float64
		lessIsMore  bool
	}{
		{"words", mine.Words, other.Words, false}, {"order", mine.Order, other.Order, false}, {"headings", mine.Headings, other.Headings, false},
		{"lists", mine.Lists, other.Lists, false}, {"cells", mine.Cells, other.Cells, false}, {"fields", mine.Fields, other.Fields, false},
		{"cer", mine.CER, other.CER, true},
	} {
		if s.mine < 0 || s.other < 0 {
			continue
		}
		if s.lessIsMore != (s.mine < s.other) && s.mine != s.other {
			names = append(names, s.name)
		}
	}
	return names
}
