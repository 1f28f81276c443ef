package engine

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"

	"docstream/internal/fault"
	"docstream/schemas"
)

// deviceVariable tells the child of a slot where the shared device listens.
const deviceVariable = "DOCSTREAM_ENGINE_DEVICE"

// remote is the connection of a slot to the device that all slots share. It is for one goroutine at a time.
type remote struct {
	address string
	conn    net.Conn
	r       *bufio.Reader
	w       *bufio.Writer
	out     []Tensor
}

// sharedDevice is the device of this process, nil where it computes by itself.
func sharedDevice() *remote {
	if address := os.Getenv(deviceVariable); address != "" {
		return &remote{address: address}
	}
	return nil
}

// run has the device compute. The tensors are valid until the next call.
func (f *remote) run(digest string, shape []int64, in []float32) ([]Tensor, error) {
	values := 1
	for _, d := range shape {
		values *= int(d)
	}
	if values > len(in) {
		return nil, fmt.Errorf("%d values are not a tensor of the shape %v", len(in), shape)
	}
	reused := f.conn != nil
	err := f.ask(digest, shape, in[:values])
	if err != nil && reused { // the device before this one ended: it computed nothing of this
		err = f.ask(digest, shape, in[:values])
	}
	if err != nil {
		return nil, absent(fmt.Errorf("the shared device: %w", err))
	}
	f.out, err = readAnswer(f.r, f.out)
	var failed errComputation
	if err == nil || errors.As(err, &failed) {
		return f.out, err
	}
	f.hangUp()
	// The device died under this page or under another one that it computed beside it: nobody can tell.
	return nil, fault.Puzzle(schemas.EngineCrashed, "%s", schemas.Codes[schemas.EngineCrashed].Meaning).Because(fmt.Errorf("the shared device: %w", err))
}

// ask sends a request, on a new connection where there is none. After an error there is none.
func (f *remote) ask(digest string, shape []int64, in []float32) error {
	if f.conn == nil {
		conn, err := net.Dial("unix", f.address)
		if err != nil {
			return err
		}
		f.conn, f.r, f.w = conn, bufio.NewReaderSize(conn, 256<<10), bufio.NewWriterSize(conn, 256<<10)
	}
	_, err := f.w.WriteString(digest)
	if err = errors.Join(err, writeTensor(f.w, shape, in, nil), f.w.Flush()); err != nil {
		f.hangUp()
	}
	return err
}

func (f *remote) hangUp() {
	_ = f.conn.Close()
	f.conn = nil
}
