package engine

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sync/errgroup"
)

// deviceStats is the method a device answers its figures on.
const deviceStats = "device.stats"

// shared is one model of a device.
type shared struct {
	model *Model
	name  string
	alone bool
}

// ServeDevice makes this process the one that holds the models of a set: it loads all of them at once, so that whatever is missing is told
// at the start, gives the mux the device's figures, and computes for the slots that connect to the address in the environment until ctx
// ends.
func ServeDevice(ctx context.Context, m *Mux, set ModelSet) error {
	address := os.Getenv(deviceVariable)
	if address == "" {
		return errors.New("the environment does not say where the device listens: " + deviceVariable)
	}
	models, err := set.Open()
	if err != nil {
		return err
	}
	models.remote = nil // the address is its own
	all, err := models.all()
	if err != nil {
		return err
	}
	if err := os.Remove(address); err != nil && !errors.Is(err, os.ErrNotExist) { // of a device before this one
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", address)
	if err != nil {
		return err
	}
	b := NewBatcher(set.batching())
	Handle(m, deviceStats, func(context.Context, struct{}) (DeviceStats, error) { return b.Stats(), nil })
	go b.Run(ctx.Done())
	go func() {
		<-ctx.Done()
		_ = l.Close()
	}()
	go func() {
		var slots errgroup.Group
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			slots.Go(func() error { serveSlot(conn, b, all); return nil })
		}
	}()
	return nil
}

// all loads every model of the set, by the digest of its file.
func (m *Models) all() (map[string]shared, error) {
	out := map[string]shared{}
	add := func(file pinned, l *Model, err error) error {
		out[file.sha256] = shared{model: l, name: file.name()}
		return err
	}
	layout, err := m.Layout()
	err = errors.Join(err, add(m.set.layout(), layout, nil))
	turn, e := m.Orientation()
	err = errors.Join(err, add(m.set.orientation(), turn, e))
	det, e := m.Detection()
	err = errors.Join(err, add(m.set.detection(), det, e))
	readers, e := m.Recognisers()
	err = errors.Join(err, e)
	if err != nil {
		return nil, err
	}
	for i, r := range m.set.recognisers() {
		_ = add(r.model, readers[i].Model, nil)
	}
	alone := out[m.set.layout().sha256]
	alone.alone = true // its graph has a fixed first dimension
	out[m.set.layout().sha256] = alone
	return out, nil
}

// serveSlot computes for one slot until it goes.
func serveSlot(conn net.Conn, b *Batcher, all map[string]shared) {
	defer conn.Close()
	b.Enter()
	defer b.Leave()
	r, w := bufio.NewReaderSize(conn, 256<<10), bufio.NewWriterSize(conn, 256<<10)
	var digest [digestLength]byte
	var in Tensor
	for {
		if _, err := io.ReadFull(r, digest[:]); err != nil {
			return
		}
		if err := readTensor(r, &in); err != nil {
			return // what follows has no beginning
		}
		var out []Tensor
		err := fmt.Errorf("the device has no model %s: it was started with another set", digest[:])
		if s, ok := all[string(digest[:])]; ok {
			out, err = b.Do(s.model, s.name, s.alone, in.Shape, in.Float)
		}
		if replyTensors(w, out, err) != nil {
			return
		}
	}
}

func replyTensors(w *bufio.Writer, out []Tensor, failure error) error {
	if failure != nil {
		return errors.Join(writeFailure(w, failure), w.Flush())
	}
	var head [4]byte
	binary.NativeEndian.PutUint32(head[:], uint32(len(out)))
	_, err := w.Write(head[:])
	for _, t := range out {
		floats := t.Float
		if len(floats) == 0 && len(t.Int) > 0 {
			floats = nil
		}
		err = errors.Join(err, writeTensor(w, t.Shape, floats, t.Int))
	}
	return errors.Join(err, w.Flush())
}
