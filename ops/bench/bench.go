// Package bench measures what a page costs: through the bare engine, and through the whole stream.
//
// Costs are CPU seconds of processes, read from the kernel, so that waiting costs nothing and neighbours disturb little. Pairs of
// measurements are interleaved: what the machine does to one, it does to the other.
package bench

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// Run is one measurement.
type Run struct {
	Pages int           `json:"pages"`
	CPU   time.Duration `json:"cpu"`  // of our processes
	Wall  time.Duration `json:"wall"` // from the first byte to the last
}

// Rate is pages per CPU second.
func (r Run) Rate() float64 {
	if r.CPU <= 0 {
		return 0
	}
	return float64(r.Pages) / r.CPU.Seconds()
}

func (r Run) String() string {
	return fmt.Sprintf("%d pages, %.2f CPU s, %.2f s wall: %.3f pages per CPU s, %.2f pages per s", r.Pages, r.CPU.Seconds(), r.Wall.Seconds(),
		r.Rate(), float64(r.Pages)/max(r.Wall.Seconds(), 1e-9))
}

// Pair is the same document through both.
type Pair struct {
	Document string `json:"document"`
	Engine   Run    `json:"engine"`
	Stream   Run    `json:"stream"`
}

// Ratio is what of the bare engine's rate is left through the stream.
func (p Pair) Ratio() float64 {
	if p.Engine.Rate() == 0 {
		return 0
	}
	return p.Stream.Rate() / p.Engine.Rate()
}

// Median is the median ratio of the pairs.
func Median(pairs []Pair) float64 {
	if len(pairs) == 0 {
		return 0
	}
	var ratios []float64
	for _, p := range pairs {
		ratios = append(ratios, p.Ratio())
	}
	slices.Sort(ratios)
	if n := len(ratios); n%2 == 0 {
		return (ratios[n/2-1] + ratios[n/2]) / 2
	}
	return ratios[len(ratios)/2]
}

// Write prints the pairs for a person.
func Write(w io.Writer, pairs []Pair) error {
	for _, p := range pairs {
		if _, err := fmt.Fprintf(w, "%s\n  engine  %s\n  stream  %s\n  ratio   %.3f\n", p.Document, p.Engine, p.Stream, p.Ratio()); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "median ratio of %d: %.3f\n", len(pairs), Median(pairs))
	return err
}
