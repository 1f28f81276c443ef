package gateway

import (
	"encoding/json"
	"strconv"
	"sync"

	"docstream/schemas"
)

// shown keeps the answers about jobs that have ended: those never change again but by a new state, and most of what is asked is asked again.
// An answer belongs to the very snapshot it was written from, so it goes with it.
type shown struct {
	mu   sync.Mutex
	kept halves[*schemas.JobSnapshot, *written]
}

// written is an answer about a job with what its head says of it. Those lists are shared by all who ask: they are replaced, never written to.
type written struct {
	body        []byte
	tag, length []string
}

// maxShown bounds the bytes of the young half.
const maxShown = 8 << 20

func (s *shown) find(job *schemas.JobSnapshot) (*written, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept.find(job)
}

func (s *shown) keep(job *schemas.JobSnapshot, w *written) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept.most = maxShown
	s.kept.add(job, w, len(w.body)+1<<10) // and the snapshot itself
}

// shownOf is the answer about a job.
func (g *Gateway) shownOf(s *schemas.JobSnapshot) *written {
	if w, ok := g.answers.find(s); ok {
		return w
	}
	b, err := json.Marshal(g.show(s))
	if err != nil {
		panic(err) // our own types: cannot fail
	}
	w := &written{b, []string{jobTag(s)}, []string{strconv.Itoa(len(b))}}
	if schemas.Terminal(s.Status) {
		g.answers.keep(s, w)
	}
	return w
}
