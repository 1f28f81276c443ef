package broker

import "testing"

// When a log of gigabytes is cleaned takes minutes to see from outside, so that it is tested from within.
func TestTheLogIsCleanedWhereItIsWorthAStop(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name string
		at   growth
		want bool
	}{
		{"nothing was written", growth{left: 100 * mib, size: 100 * mib}, false},
		{"less than half as much again", growth{left: 100 * mib, size: 149 * mib}, false},
		{"half as much again", growth{left: 100 * mib, size: 150 * mib}, true},
		{"the last one is long ago", growth{left: 100 * mib, size: 101 * mib, old: true}, true},
		{"half as much again, and many write", growth{left: 100 * mib, size: 150 * mib, rate: crowded}, false},
		{"the last one is long ago, and many write", growth{left: 100 * mib, size: 101 * mib, old: true, rate: crowded}, false},
		{"several times as much, and many write", growth{left: 100 * mib, size: 400 * mib, rate: 9 * crowded}, true},
		{"several times little, and many write", growth{left: 2 * mib, size: 100 * mib, rate: crowded}, false},
		{"from little to much, and many write", growth{left: 2 * mib, size: 130 * mib, rate: crowded}, true},
		{"nearly full, and many write", growth{left: 800 * mib, size: 922 * mib, rate: crowded}, true},
	} {
		c.at.max = 1024 * mib
		if got := c.at.due(); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
