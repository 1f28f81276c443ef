package structure

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Row is one document's scores.
type Row struct {
	File string `json:"file"`
	Scores
	Missing bool `json:"missing,omitempty"` // nothing was made of it: every score it could have is 0
}

// Folders scores the Markdown in got against every file of the same name in want: Markdown with its structure, a text by its words and
// characters, JSON by its fields.
func Folders(got, want string) ([]Row, error) {
	var rows []Row
	entries, err := os.ReadDir(want) // sorted
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		kind := filepath.Ext(e.Name())
		if kind != ".md" && kind != ".txt" && kind != ".json" {
			continue
		}
		expected, err := os.ReadFile(filepath.Join(want, e.Name()))
		if err != nil {
			return nil, err
		}
		r := Row{File: e.Name()}
		made, err := os.ReadFile(filepath.Join(got, strings.TrimSuffix(e.Name(), kind)+".md"))
		if r.Missing = errors.Is(err, fs.ErrNotExist); err != nil && !r.Missing {
			return nil, err
		}
		switch kind {
		case ".md":
			r.Scores = Score(string(made), string(expected))
		case ".txt":
			r.Scores = Bare(string(made), string(expected))
		default:
			if r.Scores, err = Fields(string(made), expected); err != nil {
				return nil, fmt.Errorf("%s: %w", e.Name(), err)
			}
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("nothing is expected in %s", want)
	}
	return rows, nil
}

// Write prints the scores for a person, a file a line; a dash where neither side has anything of the kind.
func Write(w io.Writer, rows []Row) error {
	if _, err := fmt.Fprintf(w, "%-32s %8s %8s %8s %8s %8s %8s %8s\n", "file", "words", "order", "headings", "lists", "cells", "fields", "cer"); err != nil {
		return err
	}
	for _, r := range append(rows, mean(rows)) {
		if _, err := fmt.Fprintf(w, "%-32s %s %s %s %s %s %s %s%s\n", r.File, number(r.Words), number(r.Order), number(r.Headings), number(r.Lists),
			number(r.Cells), number(r.Fields), number(r.CER), map[bool]string{true: "  nothing was made"}[r.Missing]); err != nil {
			return err
		}
	}
	return nil
}

// mean is the mean of what was scored, each score over the rows that have it.
func mean(rows []Row) Row {
	m := Row{File: fmt.Sprintf("mean of %d", len(rows))}
	for _, field := range []func(*Scores) *float64{
		func(s *Scores) *float64 { return &s.Words }, func(s *Scores) *float64 { return &s.Order }, func(s *Scores) *float64 { return &s.Headings },
		func(s *Scores) *float64 { return &s.Lists }, func(s *Scores) *float64 { return &s.Cells }, func(s *Scores) *float64 { return &s.Fields },
		func(s *Scores) *float64 { return &s.CER },
	} {
		sum, n := 0.0, 0
		for i := range rows {
			if v := *field(&rows[i].Scores); v >= 0 {
				sum, n = sum+v, n+1
			}
		}
		*field(&m.Scores) = None
		if n > 0 {
			*field(&m.Scores) = sum / float64(n)
		}
	}
	return m
}

func number(f float64) string {
	if f < 0 {
		return fmt.Sprintf("%8s", "–")
	}
	return fmt.Sprintf("%8.3f", f)
}
