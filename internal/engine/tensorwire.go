package engine

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unsafe"
)

// Tensors cross between a slot and the device on a socket of this machine, in the machine's own byte order:
//
//	request  64 bytes  SHA-256 of the model's file in hexadecimal
//	         tensor
//	answer   uint32    number of tensors; failed: a string follows instead, as uint32 length and bytes
//	         tensors
//	tensor   uint32    kind: 1 float32, 2 int64
//	         uint32    number of dimensions
//	         int64…    dimensions
//	         values
const (
	wireFloat, wireInt = 1, 2
	wireFailed         = 1 << 31
	wireDimensions     = 8
	wireValues         = 64 << 20 // of one tensor, at most
	wireTensors        = 64
	wireText           = 64 << 10
	digestLength       = 64
)

// raw are the bytes of values.
func raw[T float32 | int64](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*int(unsafe.Sizeof(v[0])))
}

func writeTensor(w *bufio.Writer, shape []int64, floats []float32, ints []int64) error {
	kind, values := uint32(wireFloat), raw(floats)
	if floats == nil && ints != nil {
		kind, values = wireInt, raw(ints)
	}
	head := binary.NativeEndian.AppendUint32(nil, kind)
	head = binary.NativeEndian.AppendUint32(head, uint32(len(shape)))
	_, a := w.Write(head)
	_, b := w.Write(raw(shape))
	_, c := w.Write(values)
	return errors.Join(a, b, c)
}

// readTensor reads into the memory of t where it suffices.
func readTensor(r io.Reader, t *Tensor) error {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	kind, dims := binary.NativeEndian.Uint32(head[:4]), binary.NativeEndian.Uint32(head[4:])
	if kind != wireFloat && kind != wireInt || dims == 0 || dims > wireDimensions {
		return fmt.Errorf("a tensor of the kind %d with %d dimensions", kind, dims)
	}
	t.Shape = sized(t.Shape, int(dims))
	if _, err := io.ReadFull(r, raw(t.Shape)); err != nil {
		return err
	}
	n := int64(1)
	for _, d := range t.Shape {
		if d < 0 || d > wireValues {
			return fmt.Errorf("a tensor of the shape %v", t.Shape)
		}
		if n *= d; n > wireValues {
			return fmt.Errorf("a tensor of the shape %v is over the limit of %d values", t.Shape, wireValues)
		}
	}
	var values []byte
	if kind == wireFloat {
		t.Float, t.Int = sized(t.Float, int(n)), t.Int[:0]
		values = raw(t.Float)
	} else {
		t.Int, t.Float = sized(t.Int, int(n)), t.Float[:0]
		values = raw(t.Int)
	}
	_, err := io.ReadFull(r, values)
	return err
}

// sized returns a slice of n elements, the same memory where it suffices. The content is undefined.
func sized[T any](s []T, n int) []T {
	if cap(s) >= n {
		return s[:n]
	}
	return make([]T, n)
}

func writeFailure(w *bufio.Writer, cause error) error {
	text := cause.Error()
	text = text[:min(len(text), wireText)]
	head := binary.NativeEndian.AppendUint32(nil, wireFailed)
	head = binary.NativeEndian.AppendUint32(head, uint32(len(text)))
	_, a := w.Write(head)
	_, b := w.WriteString(text)
	return errors.Join(a, b)
}

// errComputation is a computation that failed where the device still works.
type errComputation string

func (e errComputation) Error() string { return string(e) }

// readAnswer reads the tensors of an answer into out, whose memory is used again.
func readAnswer(r io.Reader, out []Tensor) ([]Tensor, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return out, err
	}
	n := binary.NativeEndian.Uint32(head[:])
	if n == wireFailed {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return out, err
		}
		text := make([]byte, min(binary.NativeEndian.Uint32(head[:]), wireText))
		if _, err := io.ReadFull(r, text); err != nil {
			return out, err
		}
		return out, errComputation(text)
	}
	if n > wireTensors {
		return out, fmt.Errorf("an answer of %d tensors", n)
	}
	for len(out) < int(n) {
		out = append(out, Tensor{})
	}
	out = out[:n]
	for i := range out {
		if err := readTensor(r, &out[i]); err != nil {
			return out, err
		}
	}
	return out, nil
}
