package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/processors/compose"
	"docstream/schemas"
	"docstream/schemas/document"
)

// readsOneLine are stages that find one page with one line in every document.
func readsOneLine(m *memoryStore) bareStages {
	return bareStages{
		Prepare: func(_ context.Context, e *schemas.DocumentSubmitted, _ schemas.Delivery) ([]schemas.Event, error) {
			return []schemas.Event{&schemas.DocumentOpened{Head: e.Head, PagesTotal: 1, MediaType: "image/png"}, &schemas.PagePrepared{Head: e.Head, Page: 1}}, nil
		},
		Layout: func(_ context.Context, e *schemas.PagePrepared, _ schemas.Delivery) ([]schemas.Event, error) {
			return []schemas.Event{&schemas.PageLaidOut{Head: e.Head, Page: e.Page}}, nil
		},
		OCR: func(ctx context.Context, e *schemas.PageLaidOut, _ schemas.Delivery) ([]schemas.Event, error) {
			b, err := json.Marshal(document.Page{Format: document.PageFormat, Number: 1, Blocks: []document.Block{{Kind: document.Paragraph, Text: "Rope and tar."}}})
			if err != nil {
				return nil, err
			}
			return nil, m.Put(ctx, schemas.ResultKey(e.Tenant, e.JobID, e.Run, schemas.PageResultName(e.Page)), b, blob.Options{})
		},
	}
}

func TestAConversionLeavesEveryOutputUnderTheNameOfTheFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "note.png")
	if err := os.WriteFile(file, []byte("an image"), 0o600); err != nil {
		t.Fatal(err)
	}
	m, ctx := newMemory(), context.Background()
	c := compose.New(compose.DefaultConfig(), m, nil, nil)
	out := filepath.Join(dir, "out")
	if n, err := convert(ctx, readsOneLine(m), c, m, file, convertOptions{out: out, read: "force"}); err != nil || n != 1 {
		t.Fatalf("%d pages, %v", n, err)
	}
	for _, name := range []string{"note.md", "note.txt", "note.html", "note.json", "note.csv"} {
		b, err := os.ReadFile(filepath.Join(out, name))
		if err != nil || name != "note.csv" && !strings.Contains(string(b), "Rope and tar.") {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(out, "note.json")); err != nil || !strings.Contains(string(b), `"ocr":"force"`) {
		t.Errorf("%s, %v", b, err)
	}

	refuses := readsOneLine(m)
	refuses.Prepare = func(context.Context, *schemas.DocumentSubmitted, schemas.Delivery) ([]schemas.Event, error) {
		return nil, fault.Document(schemas.DocumentCorrupt, "The file is damaged.")
	}
	if n, err := convert(ctx, refuses, c, m, file, convertOptions{out: out, read: "auto"}); err == nil || n != 0 {
		t.Errorf("a refused document gave %d pages, %v", n, err)
	}
}
