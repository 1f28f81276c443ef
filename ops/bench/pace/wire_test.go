package pace

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestAnAnswerIsComparedAndTheConnectionKept(t *testing.T) {
	from := map[string]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from[r.RemoteAddr] = true
		switch r.URL.Path {
		case "/refused":
			http.Error(w, "no", http.StatusForbidden)
		case "/long":
			w.(http.Flusher).Flush()
		default:
			fmt.Fprint(w, r.Header.Get("X-Says"))
		}
	}))
	defer s.Close()
	for name, c := range map[string]struct {
		path, says string
		want       int
	}{
		"the answer":          {"/", "hello", http.StatusOK},
		"another answer":      {"/", "hallo", 0},
		"a refusal":           {"/refused", "hello", http.StatusForbidden},
		"one of no length":    {"/long", "hello", 0},
		"nothing at all":      {"/", "", 0},
		"more than was asked": {"/", "hello, world", 0},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := NewWire(s.URL+c.path, http.Header{"X-Says": {c.says}}, []byte("hello"))
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			clear(from)
			for range 3 {
				if got := w.Do(t.Context()); got != c.want {
					t.Errorf("%d, want %d", got, c.want)
				}
			}
			if c.want != 0 && len(from) != 1 {
				t.Errorf("%d connections", len(from))
			}
		})
	}
}
