package engine

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"fmt"
	"io"
	"time"

	"docstream/internal/fault"
	"docstream/schemas"
)

// A message is an envelope and a body, both gob, behind a header of their lengths:
//
//	bytes 0-3  length of the envelope, little endian
//	bytes 4-7  length of the body, little endian
//
// Every message carries its own gob types: a child can be replaced between any two without either side keeping a stream's state.

// protocol is what a child says first. A parent refuses a child of another protocol: half-replaced binaries are told apart.
const protocol = "docstream-engine/1"

const (
	headerSize  = 8
	maxEnvelope = 4 << 20  // a fault with its stack
	keepBuffer  = 64 << 20 // a buffer that grew beyond this is not kept for the next call
)

// hello is the envelope a child sends once it can take calls.
type hello struct {
	Protocol string
}

// call is the envelope of a request.
type call struct {
	Method string
	Budget time.Duration // until the deadline; 0 for none
}

// answer is the envelope of a result.
type answer struct {
	Fault *wireFault // nil for success
	CPU   time.Duration
}

// wireFault is a fault.Error on its way; the cause crosses as text.
type wireFault struct {
	Kind    int
	Code    string
	Message string
	Cause   string
}

func (w *wireFault) fault() *fault.Error {
	f := &fault.Error{Kind: fault.Kind(w.Kind), Code: schemas.Code(w.Code), Message: w.Message}
	if w.Kind < int(fault.Unknown) || w.Kind > int(fault.Unavailable) {
		f.Kind = fault.Unknown
	}
	if w.Cause != "" {
		f.Cause = remoteCause(w.Cause)
	}
	return f
}

// remoteCause is the text of an error that happened in a child.
type remoteCause string

func (r remoteCause) Error() string { return string(r) }

// errTooLarge says that a message would not fit the bound.
type errTooLarge struct{ size, limit int64 }

func (e errTooLarge) Error() string {
	return fmt.Sprintf("a message of %d bytes is over the limit of %d", e.size, e.limit)
}

// encode replaces the content of buf with the gob of v; nil leaves it empty.
func encode(buf *bytes.Buffer, v any) error {
	recycle(buf)
	if v == nil {
		return nil
	}
	return gob.NewEncoder(buf).Encode(v)
}

// decode reads the gob in b into v; an empty b or a nil v leaves v as it is.
func decode(b []byte, v any) error {
	if v == nil || len(b) == 0 {
		return nil
	}
	return gob.NewDecoder(bytes.NewReader(b)).Decode(v)
}

// recycle empties buf, and lets go of its memory when one large message made it grow.
func recycle(buf *bytes.Buffer) {
	if buf.Cap() > keepBuffer {
		*buf = bytes.Buffer{}
	}
	buf.Reset()
}

// writeMessage writes one message.
func writeMessage(w io.Writer, envelope any, body []byte, limit int64) error {
	if int64(len(body)) > limit {
		return errTooLarge{int64(len(body)), limit}
	}
	var head bytes.Buffer
	head.Write(make([]byte, headerSize))
	if err := gob.NewEncoder(&head).Encode(envelope); err != nil {
		return fmt.Errorf("encode envelope: %w", err)
	}
	b := head.Bytes()
	binary.LittleEndian.PutUint32(b[0:], uint32(len(b)-headerSize))
	binary.LittleEndian.PutUint32(b[4:], uint32(len(body)))
	if _, err := w.Write(b); err != nil {
		return err
	}
	_, err := w.Write(body)
	return err
}

// readHeader waits for the next message. io.EOF means that the other side ended between two messages.
func readHeader(r io.Reader) (h [headerSize]byte, err error) {
	_, err = io.ReadFull(r, h[:])
	return h, err
}

// readBody reads what a header announced: the envelope into envelope, the body into buf.
func readBody(r io.Reader, h [headerSize]byte, envelope any, buf *bytes.Buffer, limit int64) error {
	n, m := int64(binary.LittleEndian.Uint32(h[0:])), int64(binary.LittleEndian.Uint32(h[4:]))
	if n > maxEnvelope || m > limit {
		return errTooLarge{n + m, limit}
	}
	recycle(buf)
	if err := readN(r, buf, n); err != nil {
		return err
	}
	if err := decode(buf.Bytes(), envelope); err != nil {
		return fmt.Errorf("decode envelope: %w", err)
	}
	recycle(buf)
	return readN(r, buf, m)
}

// readN reads n bytes as they arrive, so that an announced length alone costs no memory.
func readN(r io.Reader, buf *bytes.Buffer, n int64) error {
	buf.Grow(int(min(n, 1<<20)))
	_, err := io.CopyN(buf, r, n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
