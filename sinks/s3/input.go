package s3

import (
	"io"

	"github.com/twmb/avro/ocf"

	"docstream/schemas"
)

// input is a file that is being read.
type input struct {
	span
	texts  map[int]string
	from   io.Reader
	failed error // of the store; any other error lies in the file
	avro   *ocf.Reader
}

// openFile reads the head of a file. The input is returned also where that fails.
func openFile(body io.Reader) (*input, error) {
	in := &input{from: body}
	r, err := ocf.NewReader(in, ocf.WithCodec(deflate{}), ocf.WithReaderSchema(storedSchema), ocf.WithMaxDecompressedBlockBytes(maxBlock))
	if err != nil {
		return in, err
	}
	in.avro = r
	in.span, in.texts, err = readSpan(r.Metadata())
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

// record returns the next record, io.EOF after the last.
func (in *input) record() (schemas.Record, error) {
	var e stored
	if err := in.avro.Decode(&e); err != nil {
		return schemas.Record{}, err
	}
	r := e.open()
	r.Schema = in.texts[r.SchemaID]
	return r, nil
}
