package compose

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"

	"docstream/schemas/document"
)

// jsonRenderer writes the whole document as docstream.document/1, one page a line. What is known only at the end stands behind the pages.
type jsonRenderer struct {
	w     *bufio.Writer
	any   bool
	words int
	sum   float64 // of the pages' confidences, each times its words
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
	n := p.Words()
	r.words, r.sum = r.words+n, r.sum+float64(n)*p.Confidence
}

func (r *jsonRenderer) end() {
	_, _ = fmt.Fprintf(r.w, "\n],\"confidence\":%s}\n", compact(document.Round3(r.sum/float64(max(r.words, 1)))))
}

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
