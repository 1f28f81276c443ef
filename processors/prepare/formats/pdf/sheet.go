package pdf

import "slices"

// sheet is a table before its cells are read.
type sheet struct {
	rows, columns int
	slots         []slot // by row and column
}

// part cuts cells that reach over columns whose words keep to them: names of columns without rules between. What stands in one piece above
// such a line is the name of them all, and gets a row of its own.
func (s *sheet) part(em float64) {
	edges := make([]float64, s.columns+1)
	for _, c := range s.slots {
		edges[c.column], edges[c.toColumn] = c.x0, c.x1
	}
	names, cells := make([][]word, len(s.slots)), make([][]slot, len(s.slots))
	named := make([]bool, s.rows)
	for i, c := range s.slots {
		names[i], cells[i] = c.columns(edges, em)
		named[c.row] = named[c.row] || len(names[i]) > 0
	}
	at := make([]int, s.rows+1) // where a row begins now
	for y, n := range named {
		at[y+1] = at[y] + 1
		if n {
			at[y+1]++
		}
	}
	var out []slot
	for i, c := range s.slots {
		from := at[c.row]
		c.toRow = at[c.toRow]
		if len(names[i]) > 0 {
			out = append(out, slot{from, c.column, from + 1, c.toColumn, rowOf(names[i]).rect, names[i]})
			from++
		}
		c.row = from
		if cells[i] == nil {
			out = append(out, c)
			continue
		}
		for _, d := range cells[i] {
			d.row, d.toRow = c.row, c.toRow
			out = append(out, d)
		}
	}
	s.slots, s.rows = out, at[s.rows]
}

// columns deals the words of a cell that reaches over columns to these, and returns apart what stands in one piece above them; nothing where
// the words do not keep to the columns.
func (c slot) columns(edges []float64, em float64) (name []word, cells []slot) {
	k := c.toColumn - c.column
	if k < 2 || len(c.words) < 2 || slices.ContainsFunc(c.words, func(w word) bool { return w.turned }) {
		return nil, nil
	}
	cells = make([]slot, k)
	for i := range cells {
		cells[i] = slot{column: c.column + i, toColumn: c.column + i + 1, rect: rect{edges[c.column+i], c.y0, edges[c.column+i+1], c.y1}}
	}
	const names = 4 // lines; more are rows of a table
	lines := rowsOf(c.words)
	dealt := false
	if len(lines) > names {
		return nil, nil
	}
	for _, line := range lines {
		in := map[int]bool{}
		keeps := true
		last := -1
		for i, w := range line.words {
			n, _ := slices.BinarySearch(edges[c.column+1:c.toColumn], (w.x0+w.x1)/2)
			keeps = keeps && w.x0 >= cells[n].x0-0.2*em && w.x1 <= cells[n].x1+0.2*em && (i == 0 || n == last || w.x0-line.words[i-1].x1 >= 0.4*em)
			in[n], last = true, n
		}
		switch {
		case keeps && (dealt || len(in) >= max(2, (k+1)/2)):
			dealt = true
			for _, w := range line.words {
				n, _ := slices.BinarySearch(edges[c.column+1:c.toColumn], (w.x0+w.x1)/2)
				cells[n].words = append(cells[n].words, w)
			}
		case dealt:
			return nil, nil
		default:
			name = append(name, line.words...)
		}
	}
	if !dealt {
		return nil, nil
	}
	return name, cells
}

// trim takes away rows at the edges that are no part of the table: empty ones, a title above, running text below. It returns their words.
func (s *sheet) trim() (words []word) {
	const note = 20 // words
	for s.rows > 1 {
		at, ok := s.single(0)
		if !ok {
			break
		}
		words = append(words, s.drop(0, at)...)
		for k := range s.slots {
			s.slots[k].row, s.slots[k].toRow = s.slots[k].row-1, s.slots[k].toRow-1
		}
	}
	for s.rows > 1 {
		at, ok := s.single(s.rows - 1)
		if !ok || at >= 0 && len(s.slots[at].words) <= note {
			break
		}
		words = append(words, s.drop(s.rows-1, at)...)
	}
	return words
}

// single reports whether a row has no more than one cell, which reaches from side to side, and which that is; -1: none.
func (s *sheet) single(y int) (at int, ok bool) {
	at = -1
	for i, c := range s.slots {
		switch {
		case y < c.row || y >= c.toRow || len(c.words) == 0 && c.toRow-c.row == 1:
		case at >= 0, c.toColumn-c.column < s.columns, c.toRow-c.row > 1:
			return -1, false
		default:
			at = i
		}
	}
	return at, true
}

// drop takes a row away and returns the words of its cell.
func (s *sheet) drop(y, at int) (words []word) {
	if at >= 0 {
		words = s.slots[at].words
	}
	s.slots = slices.DeleteFunc(s.slots, func(c slot) bool { return c.row == y && c.toRow == y+1 })
	s.rows--
	return words
}
