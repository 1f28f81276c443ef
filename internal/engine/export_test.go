package engine

import "bytes"

// EncodeCall is a request without a body, for tests that speak to a child by hand.
func EncodeCall(method string) []byte {
	var b bytes.Buffer
	if err := writeMessage(&b, call{Method: method}, nil, 1<<20); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// ReadMessage reads an answer as a parent does and returns the length of its body.
func ReadMessage(b []byte, limit int64) int {
	r := bytes.NewReader(b)
	var a answer
	var body bytes.Buffer
	if h, err := readHeader(r); err == nil {
		_ = readBody(r, h, &a, &body, limit)
	}
	return body.Len()
}

// Waiting is how many calls have no result yet.
func (b *Batcher) Waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting
}

// Waiting is how many wait for a place.
func (p *Pool) Waiting() int { return p.places.Waiting() }
