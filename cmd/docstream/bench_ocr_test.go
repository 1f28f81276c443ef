package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"docstream/ops/bench/paper"
)

// scripted reads the truth of two words, and breaks off at a page.
type scripted struct {
	name, build string
	breaks      string
	pages       []string
}

func (s *scripted) label() string   { return s.name }
func (s *scripted) version() string { return s.build }
func (s *scripted) close()          {}

func (s *scripted) read(_ context.Context, path string) (string, time.Duration, error) {
	if path == s.breaks {
		return "", 0, errors.New("the power is off")
	}
	s.pages = append(s.pages, path)
	return "one two", time.Second, nil
}

func twoSheets() []sheet {
	return []sheet{{"a", paper.Clean, "a.png", "one two"}, {"b", paper.Clean, "b.png", "one three"}}
}

func TestAComparisonGoesOnWhereItWasStopped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.jsonl")
	mine, other := &scripted{name: "mine", build: "1", breaks: "b.png"}, &scripted{name: "other"}
	run := func() error {
		results, err := keptResults(path)
		if err != nil {
			t.Fatal(err)
		}
		return readAll(context.Background(), twoSheets(), []paperReader{mine, other}, results, path, 0)
	}
	if err := run(); err == nil {
		t.Fatal("a reader that fails is passed over")
	}
	mine.breaks, mine.pages, other.pages = "", nil, nil
	if err := run(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(append(mine.pages, other.pages...), " "); got != "b.png" {
		t.Errorf("read again: %s", got)
	}
	mine.pages, other.pages, mine.build = nil, nil, "2"
	if err := run(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(append(mine.pages, other.pages...), " "); got != "a.png b.png" {
		t.Errorf("another build of ours has read %s", got)
	}
}

func TestATableCountsSheetsThatAllHaveRead(t *testing.T) {
	mine, other := &scripted{name: "mine"}, &scripted{name: "other"}
	results := map[string]paperResult{}
	for _, s := range twoSheets() {
		results["mine "+s.key()] = paperResult{Score: paper.Compare("one two", s.truth), CPU: 1}
	}
	results["other a.clean"] = paperResult{Score: paper.Compare("one", "one two"), CPU: 3}
	var b strings.Builder
	if err := writePaper(&b, twoSheets(), []paperReader{mine, other}, results, []string{paper.Clean}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"clean: 1 sheets, 2 words", "mine                   1.00 CPU s a page  F1 1.0000", "other                  3.00 CPU s a page  F1 0.6667", "1 of 2 sheets"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}
