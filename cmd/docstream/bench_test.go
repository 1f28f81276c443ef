package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"docstream/internal/blob"
	"docstream/schemas"
)

func TestMemoryWritesOnce(t *testing.T) {
	m, ctx := newMemory(), context.Background()
	if err := m.Put(ctx, "a/1", []byte("hello"), blob.Options{Once: true}); err != nil {
		t.Fatal(err)
	}
	if err := m.Put(ctx, "a/1", nil, blob.Options{Once: true}); !errors.Is(err, blob.ErrExists) {
		t.Errorf("second write: %v", err)
	}
	r, o, err := m.Get(ctx, "a/1", 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(r); string(b) != "ell" || o.Size != 5 {
		t.Errorf("read %q of %d", b, o.Size)
	}
	if _, err := m.Head(ctx, "b"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("head of nothing: %v", err)
	}
	n := 0
	if err := m.List(ctx, "a/", func(blob.Object) bool { n++; return true }); err != nil || n != 1 {
		t.Errorf("listed %d, %v", n, err)
	}
	if err := m.Delete(ctx, "a/1"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Get(ctx, "a/1", 0, 0); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("read after delete: %v", err)
	}
}

func TestEngineCountsPagesOfAllChunks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := newMemory()
	sub, err := bareDocument(context.Background(), m, path)
	if err != nil {
		t.Fatal(err)
	}
	s := bareStages{
		Prepare: func(_ context.Context, e *schemas.DocumentSubmitted, _ schemas.Delivery) ([]schemas.Event, error) {
			if e.FromPage > 1 {
				return []schemas.Event{&schemas.PageFinished{Page: 3}}, nil
			}
			more := *e
			more.FromPage = 3
			return []schemas.Event{&schemas.PagePrepared{Page: 1}, &schemas.PagePrepared{Page: 2}, &more}, nil
		},
		Layout: func(_ context.Context, e *schemas.PagePrepared, _ schemas.Delivery) ([]schemas.Event, error) {
			return []schemas.Event{&schemas.PageLaidOut{Page: e.Page}}, nil
		},
		OCR: func(context.Context, *schemas.PageLaidOut, schemas.Delivery) ([]schemas.Event, error) {
			return nil, nil
		},
	}
	if n, err := bareEngine(context.Background(), s, m, sub, 1); err != nil || n != 3 {
		t.Errorf("%d pages, %v", n, err)
	}
}
