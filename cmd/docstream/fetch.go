package main

import (
	"docstream/internal/outbound"
	"docstream/internal/topology"
)

// waits fits the harness to a stage that computes nothing and waits for strangers: all records that are taken are worked on at once, so that
// none waits for another's address, and a batch is done in a third of the rebalance timeout.
func (w *wiring) waits() {
	s, lanes := &w.cfg.Stream, len(topology.Fetch.Lanes(""))
	s.Slots = w.cfg.Fetch.Concurrent
	s.Batch = max(1, s.Slots/lanes)
	s.RebalanceTimeout = max(s.RebalanceTimeout, 3*w.cfg.Fetch.Outbound.Timeout)
}

// guard is what asks the addresses that documents are fetched from.
func (w *wiring) guard() *outbound.Guard {
	g, err := outbound.New(w.cfg.Fetch.Outbound, nil)
	if err != nil {
		panic(err) // Validate has passed it
	}
	return g
}
