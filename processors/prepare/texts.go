package prepare

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"docstream/internal/blob"
	"docstream/internal/failpoint"
	"docstream/schemas"
)

const jsonLinesType = "application/jsonl"

// texts is the object that the text pages of a chunk share: one page a line.
type texts struct {
	body bytes.Buffer
	refs []textRef
}

type textRef struct {
	page           int
	offset, length int64
	sum            string
}

func (t *texts) add(page int, line []byte) {
	t.refs = append(t.refs, refOf(page, int64(t.body.Len()), line))
	t.body.Write(line)
	t.body.WriteByte('\n')
}

func refOf(page int, offset int64, line []byte) textRef {
	sum := sha256.Sum256(line)
	return textRef{page, offset, int64(len(line)), hex.EncodeToString(sum[:])}
}

// store writes the object once and returns where each page lies in the object that is there in the end. One that was there already is
// equal where it has our length (P5: same bytes, same result); else it decides which pages there are.
func (w *work) store(ctx context.Context, page int, t *texts) (map[int]schemas.ObjectRef, error) {
	key := w.resultKey(schemas.TextChunkName(page))
	refs := t.refs
	err := w.objects.Put(ctx, key, t.body.Bytes(), blob.Options{MediaType: jsonLinesType, Once: true})
	if errors.Is(err, blob.ErrExists) {
		refs, err = w.stored(ctx, key, t)
	}
	if err != nil {
		return nil, err
	}
	failpoint.At(failpoint.Chunked)
	out := make(map[int]schemas.ObjectRef, len(refs))
	for _, r := range refs {
		out[r.page] = schemas.ObjectRef{Key: key, Offset: r.offset, Length: r.length, SHA256: r.sum}
	}
	return out, nil
}

// stored returns where the pages lie in the object that was there first.
func (w *work) stored(ctx context.Context, key string, t *texts) ([]textRef, error) {
	body, o, err := w.objects.Get(ctx, key, 0, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	if o.Size == int64(t.body.Len()) {
		return t.refs, nil
	}
	var refs []textRef
	in := bufio.NewReader(body)
	for offset := int64(0); ; {
		line, err := in.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return refs, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		var p struct {
			Number int `json:"number"`
		}
		if err := json.Unmarshal(line, &p); err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		refs = append(refs, refOf(p.Number, offset, bytes.TrimSuffix(line, []byte("\n"))))
		offset += int64(len(line))
	}
}
