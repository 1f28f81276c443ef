package prepare_test

import (
	"slices"
	"strings"
	"testing"

	"docstream/internal/fault"
	"docstream/processors/prepare"
	"docstream/schemas"
)

func TestSelectionIsSortedAndMerged(t *testing.T) {
	for in, want := range map[string]string{
		"1-3,7":         "1-3,7",
		"7, 1-3":        "1-3,7",
		"1,2,3":         "1-3",
		"5-9,1-6":       "1-9",
		"3-3":           "3",
		"4-":            "4-",
		" 2 - 4 , 12- ": "2-4,12-",
		"2-,5,9-12":     "2-",
		"1000000":       "1000000",
	} {
		s, err := prepare.ParseSelection(in)
		if err != nil || s.String() != want {
			t.Errorf("%q is %q, %v; want %q", in, s, err, want)
		}
		again, err := prepare.ParseSelection(s.String())
		if err != nil || again.String() != want {
			t.Errorf("%q does not survive being written", in)
		}
	}
}

func TestSelectionOfNothingIsEverything(t *testing.T) {
	s, err := prepare.ParseSelection("")
	if err != nil || s.Clip(1, 5).String() != "1-5" {
		t.Errorf("got %v, %v", s, err)
	}
}

func TestSelectionRefusesWhatIsNone(t *testing.T) {
	for _, in := range []string{"0", "-3", "a", "1-b", "3-1", "1,,2", ",", "1;2", "99999999999999999999", "1-2-3", "1.5", strings.Repeat("1,", 2000) + "1"} {
		_, err := prepare.ParseSelection(in)
		if f := fault.Of(err); err == nil || f.Code != schemas.InvalidOption || f.Kind != fault.Permanent {
			t.Errorf("%.20q gives %v", in, err)
		}
	}
}

func TestSelectionClips(t *testing.T) {
	s, err := prepare.ParseSelection("1-3,7,30-40")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Clip(3, 33).Pages(); !slices.Equal(got, []int{3, 7, 30, 31, 32, 33}) {
		t.Errorf("got %v", got)
	}
	if got := s.Clip(8, 20); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func FuzzSelection(f *testing.F) {
	f.Add("1-3,7")
	f.Add("9-")
	f.Fuzz(func(t *testing.T, in string) {
		s, err := prepare.ParseSelection(in)
		if err != nil {
			return
		}
		last := 0
		for _, r := range s {
			if r.First <= last || r.Last < r.First {
				t.Fatalf("%q is not normal: %v", in, s)
			}
			last = r.Last + 1
		}
	})
}
