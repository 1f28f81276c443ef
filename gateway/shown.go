package gateway

import (
	"encoding/json"
	"sync"

	"docstream/schemas"
)

// shown keeps the answers about jobs that have ended: those never change again but by a new state, and most of what is asked is asked again.
// An answer belongs to the very snapshot it was written from, so it goes with it.
type shown struct {
	mu   sync.Mutex
	kept halves[*schemas.JobSnapshot, []byte]
}

// maxShown bounds the bytes of the young half.
const maxShown = 8 << 20

func (s *shown) find(job *schemas.JobSnapshot) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept.find(job)
}

func (s *shown) keep(job *schemas.JobSnapshot, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept.most = maxShown
	s.kept.add(job, b, len(b)+1<<10) // and the snapshot itself
}

// shownOf is the answer about a job.
func (g *Gateway) shownOf(s *schemas.JobSnapshot) []byte {
	if b, ok := g.answers.find(s); ok {
		return b
	}
	b, err := json.Marshal(g.show(s))
	if err != nil {
		panic(err) // our own types: cannot fail
	}
	if schemas.Terminal(s.Status) {
		g.answers.keep(s, b)
	}
	return b
}
