package s3

import (
	"bufio"
	"bytes"
	"cmp"
	"io"
	"runtime"

	"github.com/twmb/avro"

	"docstream/schemas"
)

// input is a file that is being read: its head, then one block after the other. While a block's records are taken, those behind it are opened,
// one a processor: what is held is bounded (P6), and a reader is no slower than its processors.
type input struct {
	span
	texts   map[int]string
	from    io.Reader
	failed  error // of the store; any other error lies in the file
	blocks  *blocks
	written *avro.Schema // nil: as this version writes

	ahead []*block
	end   error // of reading blocks; io.EOF after the last
}

// openFile reads the head of a file. The input is returned also where that fails.
func openFile(body io.Reader) (*input, error) {
	in := &input{from: body}
	b, err := openBlocks(bufio.NewReaderSize(in, 2*blockBytes))
	if err != nil {
		return in, cmp.Or(in.failed, err)
	}
	in.blocks = b
	written, err := avro.Parse(string(b.meta[metaAvro]))
	if err == nil && !bytes.Equal(written.Canonical(), envelopeSchema.Canonical()) {
		in.written, err = avro.Resolve(written, storedSchema)
	}
	if err != nil {
		return in, err
	}
	in.span, in.texts, err = readSpan(b.meta)
	return in, err
}

// Read notes what the store says, so that its failures and the file's own are told apart.
func (in *input) Read(p []byte) (int, error) {
	n, err := in.from.Read(p)
	if err != nil && err != io.EOF {
		in.failed = err
	}
	return n, err
}

// next returns the next records and what is wrong behind them; io.EOF after the last.
func (in *input) next() ([]schemas.Record, error) {
	for in.end == nil && len(in.ahead) <= runtime.GOMAXPROCS(0) {
		b, err := in.blocks.next()
		if err != nil {
			in.end = err
			break
		}
		in.ahead = append(in.ahead, b)
		go b.open(in.written, in.texts)
	}
	if len(in.ahead) == 0 {
		if in.failed != nil {
			return nil, in.failed
		}
		return nil, in.end
	}
	b := in.ahead[0]
	in.ahead = in.ahead[1:]
	<-b.opened
	return b.records, b.err
}
