package blob_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"docstream/internal/blob"
	"docstream/internal/testenv"
)

// follow sends bytes as a link says.
func follow(t *testing.T, r blob.Request, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, r.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range r.Headers {
		if name != "Content-Length" {
			req.Header.Set(name, v)
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

// TestAnObjectIsWrittenByALinkOnce: whoever has the link writes that object, of that size and digest, and never a second time.
func TestAnObjectIsWrittenByALinkOnce(t *testing.T) {
	s := open(t, testenv.S3(t))
	sum := sha256.Sum256([]byte("hello"))
	in := blob.Incoming{Key: "sources/acme/a", Size: 5, SHA256: hex.EncodeToString(sum[:]), MediaType: "text/plain", For: time.Minute}
	r, err := s.PutLink(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{"other bytes": "hallo", "more bytes": "hello!"} {
		if status, said := follow(t, r, body); status < 400 {
			t.Errorf("%s: %d %s", name, status, said)
		}
	}
	if status, said := follow(t, r, "hello"); status != http.StatusOK {
		t.Fatalf("%d %s (%v)", status, said, r)
	}
	if status, said := follow(t, r, "hello"); status != http.StatusPreconditionFailed {
		t.Errorf("a second time: %d %s", status, said)
	}
	if got, err := s.Sum(t.Context(), in.Key); err != nil || got != in.SHA256 {
		t.Errorf("%q %v", got, err)
	}
}

func TestAnObjectIsWrittenInPartsByLinks(t *testing.T) {
	s := open(t, testenv.S3(t))
	in := blob.Incoming{Key: "sources/acme/b", For: time.Minute}
	id, err := s.BeginParts(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	parts := []string{strings.Repeat("a", 5<<20), "the rest"}
	put := func(n int) {
		t.Helper()
		in.Size = int64(len(parts[n-1]))
		r, err := s.PartLink(t.Context(), in, id, n)
		if err != nil {
			t.Fatal(err)
		}
		if status, said := follow(t, r, parts[n-1]); status != http.StatusOK {
			t.Fatalf("part %d: %d %s", n, status, said)
		}
	}
	put(2)
	if err := s.JoinParts(t.Context(), in.Key, id, 2); !errors.Is(err, blob.ErrParts) {
		t.Errorf("one of two parts: %v", err)
	}
	put(1)
	if err := s.JoinParts(t.Context(), in.Key, id, 2); err != nil {
		t.Fatal(err)
	}
	body, _, err := s.Get(t.Context(), in.Key, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, []byte(parts[0]+parts[1])) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := s.JoinParts(t.Context(), in.Key, id, 2); !errors.Is(err, blob.ErrNotFound) && !errors.Is(err, blob.ErrExists) {
		t.Errorf("joined twice: %v", err)
	}
}

func TestStalePartsAreDropped(t *testing.T) {
	s := open(t, testenv.S3(t))
	in := blob.Incoming{Key: "sources/acme/c", Size: 4, For: time.Minute}
	id, err := s.BeginParts(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DropStale(t.Context(), "sources/", time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.JoinParts(t.Context(), in.Key, id, 1); !errors.Is(err, blob.ErrParts) {
		t.Errorf("a young one was dropped: %v", err)
	}
	if err := s.DropStale(t.Context(), "sources/", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.JoinParts(t.Context(), in.Key, id, 1); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("an old one was kept: %v", err)
	}
	if err := s.DropParts(t.Context(), in.Key, id); err != nil {
		t.Errorf("dropped twice: %v", err)
	}
}
