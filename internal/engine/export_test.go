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
