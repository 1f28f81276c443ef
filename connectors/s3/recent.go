package s3

import "sync"

// recent remembers the newest ids it was given, at most n of them. Safe for concurrent use.
type recent struct {
	mu   sync.Mutex
	ring []string
	next int
	ids  map[string]bool
}

func newRecent(n int) *recent { return &recent{ring: make([]string, n), ids: map[string]bool{}} }

func (r *recent) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ids[id]
}

func (r *recent) add(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ring) == 0 || r.ids[id] {
		return
	}
	delete(r.ids, r.ring[r.next])
	r.ring[r.next], r.ids[id] = id, true
	r.next = (r.next + 1) % len(r.ring)
}
