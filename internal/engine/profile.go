package engine

import (
	"errors"
	"fmt"
	"strings"
)

// What reads the lines.
const (
	Tiny    = "tiny"    // the quick model alone: 2.6 CPU s for a dense page; Chinese, Latin-script languages
	Small   = "small"   // the thorough model alone: 12 CPU s; Japanese and more signs too
	Cascade = "cascade" // the quick model reads every line, the thorough one those the quick one is unsure of
)

// Profiles: where on the curve of cost against accuracy the reading stands.
const (
	Fast     = "fast"
	Accurate = "accurate"
)

// Reading says how hard a page is looked at. Everything in it changes results, so all of it belongs into the pipeline version.
type Reading struct {
	Recognition string  // tiny, small or cascade
	Doubt       float64 // of a cascade: the mean score of a line, 0 to 1, below which the thorough model reads it again
	WordDoubt   float64 // of a cascade: the least score of a sign of a word, 0 to 1, below which the thorough model reads that word again
	Side        int     // pixels: longest side of the image that lines are looked for on
	Width       float64 // of a line in the recogniser's eyes, as a share of its true width
	Thorough    float64 // the same where the thorough model of a cascade reads it again: it loses less by a squeeze than the quick one
}

// profiles are points on the measured curve (ops/decisions/2026-11-26-a-line-is-read-again-below-a-mean-score.md).
var profiles = map[string]Reading{
	Fast:     {Recognition: Cascade, Doubt: 0.9, WordDoubt: 0.5, Side: 1280, Width: 1, Thorough: 1},
	Accurate: {Recognition: Cascade, Doubt: 0.94, WordDoubt: 0.7, Side: 1280, Width: 1, Thorough: 1},
}

// Bounds of what can be configured.
const (
	leastSide, mostSide   = 320, 4096
	leastWidth, mostWidth = 0.5, 1.5
)

// Reading is the profile with what is configured in its place.
func (s ModelSet) Reading() Reading {
	r := profiles[s.Profile]
	if s.Recognition != "" {
		r.Recognition = s.Recognition
	}
	if s.Doubt > 0 {
		r.Doubt = s.Doubt
	}
	if s.WordDoubt > 0 {
		r.WordDoubt = s.WordDoubt
	}
	if s.Side > 0 {
		r.Side = s.Side
	}
	if s.Width > 0 {
		r.Width = s.Width
	}
	if s.Thorough > 0 {
		r.Thorough = s.Thorough
	}
	if r.Recognition != Cascade {
		r.Doubt, r.WordDoubt, r.Thorough = 0, 0, 0
	}
	return r
}

// String names everything that can change a result; the parent and its children compare it.
func (r Reading) String() string {
	return fmt.Sprintf("%s doubt=%g word=%g side=%d width=%g thorough=%g", r.Recognition, r.Doubt, r.WordDoubt, r.Side, r.Width, r.Thorough)
}

// validate names every value that cannot work.
func (s ModelSet) validateReading() error {
	var errs []error
	check := func(ok bool, format string, a ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("models: "+format, a...))
		}
	}
	check(s.Profile == Fast || s.Profile == Accurate, "profile must be %s or %s, is %q", Fast, Accurate, s.Profile)
	r := s.Recognition
	check(r == "" || r == Tiny || r == Small || r == Cascade, "recognition must be %s, %s, %s or empty, is %q", Tiny, Small, Cascade, r)
	check(s.Doubt >= 0 && s.Doubt <= 1, "doubt must be 0 to 1, is %g", s.Doubt)
	check(s.WordDoubt >= 0 && s.WordDoubt <= 1, "word_doubt must be 0 to 1, is %g", s.WordDoubt)
	check(s.Side == 0 || s.Side >= leastSide && s.Side <= mostSide, "side must be 0 or %d to %d, is %d", leastSide, mostSide, s.Side)
	check(s.Width == 0 || s.Width >= leastWidth && s.Width <= mostWidth, "width must be 0 or %g to %g, is %g", leastWidth, mostWidth, s.Width)
	check(s.Thorough == 0 || s.Thorough >= leastWidth && s.Thorough <= mostWidth, "thorough_width must be 0 or %g to %g, is %g", leastWidth, mostWidth, s.Thorough)
	return errors.Join(errs...)
}

// Files are models that stand in the place of the pinned ones, each as file@sha256; a file without a folder lies in the models' folder.
// Empty is the pinned one. A recogniser and its dictionary go together.
type Files struct {
	Layout             string `koanf:"layout"`
	Orientation        string `koanf:"orientation"`
	Detection          string `koanf:"detection"`
	Quick              string `koanf:"quick"` // the recogniser that reads every line
	QuickDictionary    string `koanf:"quick_dictionary"`
	Thorough           string `koanf:"thorough"` // the one that reads the doubtful lines
	ThoroughDictionary string `koanf:"thorough_dictionary"`
}

func (f Files) validate() error {
	var errs []error
	for _, e := range []struct{ key, value string }{{"layout", f.Layout}, {"orientation", f.Orientation}, {"detection", f.Detection},
		{"quick", f.Quick}, {"quick_dictionary", f.QuickDictionary}, {"thorough", f.Thorough}, {"thorough_dictionary", f.ThoroughDictionary}} {
		if e.value == "" {
			continue
		}
		if p, ok := pin(e.value); !ok || p.path == "" || len(p.sha256) != 64 || strings.Trim(p.sha256, "0123456789abcdef") != "" {
			errs = append(errs, fmt.Errorf("models: files.%s must be file@sha256 with 64 hexadecimal digits, is %q", e.key, e.value))
		}
	}
	if (f.Quick == "") != (f.QuickDictionary == "") || (f.Thorough == "") != (f.ThoroughDictionary == "") {
		errs = append(errs, errors.New("models: a recogniser and its dictionary must be exchanged together"))
	}
	return errors.Join(errs...)
}

// pinned is a file with the digest it must have.
type pinned struct {
	path   string
	sha256 string
}

// pin splits file@sha256.
func pin(s string) (pinned, bool) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return pinned{}, false
	}
	return pinned{s[:i], s[i+1:]}, true
}

// name is the model's in digests and results: the file without its folder and ending.
func (p pinned) name() string {
	base := p.path[strings.LastIndexByte(p.path, '/')+1:]
	return strings.TrimSuffix(strings.TrimSuffix(base, ".onnx"), ".txt")
}

// or is the configured file, else one of the pinned set.
func or(configured, file string) pinned {
	if p, ok := pin(configured); ok {
		return p
	}
	return pinned{file, digests[file]}
}

func (s ModelSet) layout() pinned      { return or(s.Files.Layout, layoutModel) }
func (s ModelSet) orientation() pinned { return or(s.Files.Orientation, orientationModel) }

// detection is the thorough one only where nothing is quick.
func (s ModelSet) detection() pinned {
	if s.Reading().Recognition == Small {
		return or(s.Files.Detection, "ppocrv6-small-det.onnx")
	}
	return or(s.Files.Detection, "ppocrv6-tiny-det.onnx")
}

// recogniser is a model with its dictionary.
type recogniser struct{ model, dictionary pinned }

// witness is what reads the sample that a hidden text layer is held to.
var witness = recogniser{or("", quickModel), or("", quickDictionary)}

// recognisers are the one that reads every line, and behind it in a cascade the one that reads the doubtful lines.
func (s ModelSet) recognisers() []recogniser {
	quick := recogniser{or(s.Files.Quick, quickModel), or(s.Files.QuickDictionary, quickDictionary)}
	thorough := recogniser{or(s.Files.Thorough, "ppocrv6-small-rec.onnx"), or(s.Files.ThoroughDictionary, "ppocrv6-dict.txt")}
	switch s.Reading().Recognition {
	case Tiny:
		return []recogniser{quick}
	case Small:
		return []recogniser{thorough}
	}
	return []recogniser{quick, thorough}
}

// files are all that can take part in a result.
func (s ModelSet) files() []pinned {
	out := []pinned{s.layout(), s.orientation(), s.detection()}
	for _, r := range s.recognisers() {
		out = append(out, r.model, r.dictionary)
	}
	return out
}
