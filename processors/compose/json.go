package compose

import (
	"bufio"
	"bytes"
	"encoding/json"

	"docstream/schemas/document"
)

// jsonRenderer writes the whole document as docstream.document/1, one page a line.
type jsonRenderer struct {
	w   *bufio.Writer
	any bool
}

func (r *jsonRenderer) begin(h document.Head) {
	b := compact(h)
	_, _ = r.w.Write(b[:len(b)-1]) // without its closing brace: the pages come behind its fields
	_, _ = r.w.WriteString(`,"pages":[`)
}

func (r *jsonRenderer) page(p *document.Page) {
	if r.any {
		_ = r.w.WriteByte(',')
	}
	r.any = true
	_ = r.w.WriteByte('\n')
	inner := *p
	inner.Format = ""
	_, _ = r.w.Write(compact(inner))
}

func (r *jsonRenderer) end() { _, _ = r.w.WriteString("\n]}\n") }

// compact encodes without escaping what only HTML needs escaped. The types of the document have nothing that cannot be encoded except
// numbers that are none, which the decoder would have refused.
func compact(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
