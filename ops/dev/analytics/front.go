package analytics

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/ch-go/compress"
)

const (
	maxQueryBytes  = 16 << 20 // a statement, with the rows written into it
	maxInsertBytes = 4 << 30  // a body of rows, which is streamed
	maxWaiting     = 256      // requests in line for a session
)

// front answers ClickHouse's HTTP interface from a pool of sessions.
type front struct {
	sessions chan *session
	waiting  chan struct{}
	control  *session // cancels what runs in the others
	cancels  sync.Mutex
	version  string
	timezone string
	log      *slog.Logger
}

// ServeHTTP runs one statement: the query parameter, the body, or an INSERT in the parameter and its rows in the body.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-ClickHouse-Timezone", f.timezone)
	w.Header().Set("X-ClickHouse-Server-Display-Name", "docstream")
	switch {
	case r.URL.Path == "/ping":
		_, _ = io.WriteString(w, "Ok.\n")
		return
	case r.URL.Path != "/":
		http.NotFound(w, r)
		return
	case r.URL.RawQuery == "" && r.Method == http.MethodGet:
		_, _ = io.WriteString(w, "Ok.\n")
		return
	}
	if err := f.serve(w, r); err != nil {
		f.fail(w, err)
	}
}

func (f *front) serve(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	params, settings, err := splitURL(q)
	if err != nil {
		return err
	}
	body, err := bodyOf(w, r)
	if err != nil {
		return err
	}
	st := statement{SQL: q.Get("query"), Format: q.Get("default_format"), Parameters: params}
	if st.Format == "" {
		st.Format = "TabSeparated"
	}
	how := classify(st.SQL, true)
	if how != inserting {
		text, err := io.ReadAll(io.LimitReader(body, maxQueryBytes+1))
		if err != nil {
			return err
		}
		if len(text)+len(st.SQL) > maxQueryBytes {
			return tooLarge("statement", maxQueryBytes)
		}
		if st.SQL == "" || len(text) == 0 {
			st.SQL += string(text)
		} else {
			st.SQL += "\n" + string(text)
		}
		how = classify(st.SQL, false)
	}
	switch {
	case strings.TrimSpace(st.SQL) == "":
		return exception{Code: "62", Text: "Code: 62. DB::Exception: Empty query. (SYNTAX_ERROR)"}
	case st.SQL == helloQuery && q.Get("client_protocol_version") != "":
		out := output(w, q.Get("compress") == "1")
		_, err := out.Write(hello(f.version, f.timezone))
		return err
	}
	if how == streaming {
		how, st.Result = plan(st, settings)
	}
	s, err := f.take(r.Context())
	if err != nil {
		return err
	}
	defer func() { f.sessions <- s }()
	if how == streaming || how == bounded {
		stop := f.cancelWhenLeft(r.Context(), s)
		defer stop()
	}
	return f.execute(w, s, how, st, body, q.Get("database"), settings, q.Get("compress") == "1")
}

// execute runs the statement in a session that it leaves as it found it.
func (f *front) execute(w http.ResponseWriter, s *session, how kind, st statement, body io.Reader,
	database string, settings map[string]string, compressed bool,
) error {
	if err := s.enter(database, settings); err != nil {
		return err
	}
	defer func() {
		err := s.leave(settings)
		if how == altering && err == nil {
			err = s.reset()
		}
		if err != nil {
			f.log.Error("resetting a session", "error", err.Error())
		}
	}()
	out := output(w, compressed)
	switch how {
	case inserting:
		st.SQL, st.Format = cutFormat(st.SQL, st.Format)
		summary, err := s.insert(st, body)
		if err == nil {
			merge(w.Header(), summary)
		}
		return err
	case streaming:
		begun, err := s.stream(st, out)
		if err != nil && begun {
			f.log.Warn("a result ended with an error", "error", err.Error())
			panic(http.ErrAbortHandler) // the client sees a broken response, not a short one
		}
		return err
	default:
		return explain(s.query(st, out, func(h http.Header) { merge(w.Header(), h) }), st.Result)
	}
}

// cancelWhenLeft cancels what the session executes once ctx ends, until stop is called: a statement may run for long before it writes to
// a client that has left. It is asked again and again because the engine may not have begun the statement yet.
func (f *front) cancelWhenLeft(ctx context.Context, s *session) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-done:
			return
		case <-ctx.Done():
		}
		for {
			f.cancel(s)
			select {
			case <-done:
				return
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

func (f *front) cancel(s *session) {
	f.cancels.Lock()
	defer f.cancels.Unlock()
	_, err := f.control.run("KILL QUERY WHERE Settings[" + quoteText(sessionSetting) + "] = " + quoteText(s.name) + " ASYNC FORMAT Null")
	if err != nil {
		f.log.Warn("cancelling a statement whose client has left", "error", err.Error())
	}
}

// take waits for a free session, in a line of bounded length.
func (f *front) take(ctx context.Context) (*session, error) {
	select {
	case f.waiting <- struct{}{}:
		defer func() { <-f.waiting }()
	default:
		return nil, exception{Code: "202", Text: fmt.Sprintf(
			"Code: 202. DB::Exception: Too many simultaneous queries: %d are waiting. (TOO_MANY_SIMULTANEOUS_QUERIES)", maxWaiting)}
	}
	select {
	case s := <-f.sessions:
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fail answers as ClickHouse does: the text in the body, its number in a header.
func (f *front) fail(w http.ResponseWriter, err error) {
	e := exception{Code: "1002", Text: "Code: 1002. DB::Exception: " + err.Error()}
	status := http.StatusInternalServerError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &e):
	case errors.As(err, &large):
		e = tooLarge("body", large.Limit)
	}
	w.Header().Del("X-ClickHouse-Summary")
	w.Header().Set("X-ClickHouse-Exception-Code", e.Code)
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, strings.TrimRight(e.Text, "\n")+"\n")
}

func tooLarge(what string, limit int64) exception {
	return exception{Code: "307", Text: fmt.Sprintf(
		"Code: 307. DB::Exception: The %s is larger than %d bytes. (TOO_MANY_BYTES)", what, limit)}
}

// bodyOf is the request's body, bounded and decompressed.
func bodyOf(w http.ResponseWriter, r *http.Request) (io.Reader, error) {
	var body io.Reader = http.MaxBytesReader(w, r.Body, maxInsertBytes)
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		plain, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = http.MaxBytesReader(w, io.NopCloser(plain), maxInsertBytes)
	default:
		return nil, exception{Code: "1", Text: fmt.Sprintf(
			"Code: 1. DB::Exception: Content-Encoding %q is not supported here; gzip is. (UNSUPPORTED_METHOD)", encoding)}
	}
	if r.URL.Query().Get("decompress") == "1" {
		body = unblocked{compress.NewReader(body)}
	}
	return body, nil
}

// unblocked reads compressed blocks and ends as a reader should: the codec wraps the end between two blocks.
type unblocked struct{ r io.Reader }

func (u unblocked) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.EOF
	}
	return n, err
}

// output is where a result is written: as it is, or in ClickHouse's compressed blocks.
func output(w io.Writer, compressed bool) io.Writer {
	if !compressed {
		return w
	}
	return &blocks{to: w, enc: compress.NewWriter(compress.LevelZero, compress.LZ4)}
}

// blocks compresses each write as a block of its own.
type blocks struct {
	to  io.Writer
	enc *compress.Writer
}

func (b *blocks) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), chunk)
		if err := b.enc.Compress(rest[:n]); err != nil {
			return 0, err
		}
		if _, err := b.to.Write(b.enc.Data); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

func merge(to, from http.Header) {
	for k, v := range from {
		to[k] = v
	}
}
