package stream

import (
	"math"
	"sync/atomic"
	"time"
)

// pace is the recent mean time of one record: an exponential moving average over about twenty.
type pace struct{ bits atomic.Uint64 }

func (p *pace) add(d time.Duration) {
	for {
		old := p.bits.Load()
		mean := math.Float64frombits(old)
		next := d.Seconds()
		if mean > 0 {
			next = mean + (next-mean)/20
		}
		if p.bits.CompareAndSwap(old, math.Float64bits(next)) {
			return
		}
	}
}

func (p *pace) seconds() float64 { return math.Float64frombits(p.bits.Load()) }
