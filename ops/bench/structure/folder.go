package structure

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Row is one document's scores.
type Row struct {
	File string `json:"file"`
	Scores
	Missing bool `json:"missing,omitempty"` // nothing was made of it: every score it could have is 0
}

// Folders scores every Markdown file of the folder want against the file of the same name in got.
func Folders(got, want string) ([]Row, error) {
	files, err := filepath.Glob(filepath.Join(want, "*.md"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no Markdown in %s", want)
	}
	var rows []Row
	for _, file := range files { // sorted by Glob
		expected, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		r := Row{File: filepath.Base(file)}
		made, err := os.ReadFile(filepath.Join(got, r.File))
		if r.Missing = errors.Is(err, fs.ErrNotExist); err != nil && !r.Missing {
			return nil, err
		}
		r.Scores = Score(string(made), string(expected))
		rows = append(rows, r)
	}
	return rows, nil
}

// Write prints the scores for a person, a file a line; a dash where neither side has anything of the kind.
func Write(w io.Writer, rows []Row) error {
	if _, err := fmt.Fprintf(w, "%-32s %8s %8s %8s %8s %8s\n", "file", "words", "order", "headings", "lists", "cells"); err != nil {
		return err
	}
	for _, r := range rows {
		if _, err := fmt.Fprintf(w, "%-32s %s %s %s %s %s%s\n", r.File, number(r.Words), number(r.Order), number(r.Headings), number(r.Lists),
			number(r.Cells), map[bool]string{true: "  nothing was made"}[r.Missing]); err != nil {
			return err
		}
	}
	return nil
}

func number(f float64) string {
	if f < 0 {
		return fmt.Sprintf("%8s", "–")
	}
	return fmt.Sprintf("%8.3f", f)
}
