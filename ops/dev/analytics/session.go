package analytics

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"unsafe"
)

// chunk is how much of an insert's body is handed to the engine at a time.
const chunk = 1 << 20

// session is one connection to the engine: one statement at a time. What a statement sets (database, settings) is
// undone after it, because the next one belongs to another client.
type session struct {
	lib    *library
	args   []string
	name   string   // in the engine, under which its statement can be cancelled
	handle *pointer // the very pointer that connect returned: closing takes no other
	// database is the current one; empty where it is not known and must be set again.
	database string
}

func newSession(lib *library, args []string, name string) (*session, error) {
	s := &session{lib: lib, args: args, name: name}
	return s, s.connect()
}

func (s *session) connect() (err error) {
	s.database = ""
	if s.handle, err = s.lib.open(s.args); err != nil {
		return err
	}
	if _, err = s.run("SET " + sessionSetting + " = " + quoteText(s.name)); err != nil {
		s.close()
	}
	return err
}

// reset replaces the connection by a fresh one, for what cannot be undone statement by statement.
func (s *session) reset() error {
	s.close()
	return s.connect()
}

func (s *session) close() {
	if s.handle != nil {
		s.lib.closeConn(s.handle)
		s.handle = nil
	}
}

// enter puts the session into the request's database with the request's settings; leave undoes the settings.
func (s *session) enter(database string, settings map[string]string) error {
	if s.handle == nil { // an earlier reset failed
		if err := s.connect(); err != nil {
			return err
		}
	}
	if database == "" {
		database = "default"
	}
	if database != s.database {
		if _, err := s.run("USE " + quoteName(database)); err != nil {
			return err
		}
		s.database = database
	}
	if len(settings) == 0 {
		return nil
	}
	var set []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		set = append(set, name+" = "+quoteText(settings[name]))
	}
	if _, err := s.run("SET " + strings.Join(set, ", ")); err != nil {
		return errors.Join(err, s.leave(settings))
	}
	return nil
}

func (s *session) leave(settings map[string]string) error {
	if len(settings) == 0 {
		return nil
	}
	var set []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		set = append(set, name+" = DEFAULT")
	}
	if _, err := s.run("SET " + strings.Join(set, ", ")); err != nil {
		return s.reset()
	}
	return nil
}

// run executes a statement of our own and returns its output as text.
func (s *session) run(sql string) (string, error) {
	var out strings.Builder
	err := s.query(statement{SQL: sql, Format: "TSVRaw"}, &out, func(http.Header) {})
	return strings.TrimSpace(out.String()), err
}

// query executes a statement as a whole and writes its output. summary is told the counts before the first byte.
func (s *session) query(st statement, w io.Writer, summary func(http.Header)) error {
	p := newParameters(st.Parameters)
	result := s.lib.query(*s.handle, textAt(st.SQL), uintptr(len(st.SQL)), textAt(st.Format), uintptr(len(st.Format)),
		first(p.names), first(p.nameLengths), first(p.values), first(p.valueLengths), uintptr(len(p.names)))
	runtime.KeepAlive(p)
	runtime.KeepAlive(st)
	defer s.lib.destroy(result)
	if err := exceptionOf(textOf(s.lib.failure(result))); err != nil {
		return err
	}
	if n := s.lib.length(result); n > maxWholeOutput {
		return exception{Code: tooManyRows, Text: fmt.Sprintf(
			"Code: %s. DB::Exception: The result is %d bytes long, more than %d. (TOO_MANY_ROWS_OR_BYTES)", tooManyRows, n, maxWholeOutput)}
	}
	summary(counts(s.lib.rowsRead(result), s.lib.written(result)))
	_, err := w.Write(s.bytes(result))
	return err
}

// stream executes a SELECT and writes its output block by block, so that a result is never in memory as a whole.
// begun reports whether a byte was written: after that an error cannot be sent as an error any more.
func (s *session) stream(st statement, w io.Writer) (begun bool, err error) {
	p := newParameters(st.Parameters)
	result := s.lib.stream(*s.handle, textAt(st.SQL), uintptr(len(st.SQL)), textAt(st.Format), uintptr(len(st.Format)),
		first(p.names), first(p.nameLengths), first(p.values), first(p.valueLengths), uintptr(len(p.names)))
	runtime.KeepAlive(p)
	runtime.KeepAlive(st)
	defer s.lib.destroy(result)
	if err := exceptionOf(textOf(s.lib.failure(result))); err != nil {
		return false, err
	}
	for {
		more, err := s.block(result, w)
		if err != nil || !more {
			return begun, err
		}
		begun = true
	}
}

// block writes the next block of a streamed result.
func (s *session) block(result pointer, w io.Writer) (more bool, err error) {
	block := s.lib.fetch(*s.handle, result)
	defer s.lib.destroy(block)
	if err := exceptionOf(textOf(s.lib.failure(block))); err != nil {
		return false, err
	}
	data := s.bytes(block)
	if len(data) == 0 {
		return false, nil
	}
	if _, err := w.Write(data); err != nil {
		s.lib.cancel(*s.handle, result)
		return false, err
	}
	return true, nil
}

// insert streams a body into a table and returns the counts. A body that cannot be read to its end inserts nothing
// of what the engine has not yet written as a part.
func (s *session) insert(st statement, body io.Reader) (http.Header, error) {
	p := newParameters(st.Parameters)
	stream := s.lib.insert(*s.handle, textAt(st.SQL), uintptr(len(st.SQL)), textAt(st.Format), uintptr(len(st.Format)),
		first(p.names), first(p.nameLengths), first(p.values), first(p.valueLengths), uintptr(len(p.names)))
	runtime.KeepAlive(p)
	runtime.KeepAlive(st)
	defer s.lib.destroyInsert(stream)
	if err := exceptionOf(textOf(s.lib.insertFailure(stream))); err != nil {
		return nil, err
	}
	buf := make([]byte, chunk)
	for end := false; !end; {
		n, err := fill(buf, body)
		if err != nil && err != io.EOF {
			s.lib.cancelInsert(stream)
			return nil, err
		}
		if n > 0 && s.lib.appendTo(stream, pointer(&buf[0]), uintptr(n)) != 0 {
			return nil, exceptionOf(textOf(s.lib.insertFailure(stream)))
		}
		end = err == io.EOF
	}
	result := s.lib.done(stream)
	defer s.lib.destroy(result)
	if err := exceptionOf(textOf(s.lib.failure(result))); err != nil {
		return nil, err
	}
	return counts(0, s.lib.written(result)), nil
}

// fill reads until buf is full or the body ends. Unlike io.ReadFull it tells a body that ended from one that was cut
// off: the second must not be taken for a shorter insert.
func fill(buf []byte, body io.Reader) (n int, err error) {
	for n < len(buf) && err == nil {
		var read int
		read, err = body.Read(buf[n:])
		n += read
	}
	return n, err
}

// bytes is a result's output in the engine's memory; it is gone when the result is destroyed.
func (s *session) bytes(result pointer) []byte {
	n := s.lib.length(result)
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(s.lib.buffer(result)), n)
}

// quoteName quotes an identifier, quoteText a string, by ClickHouse's rules.
func quoteName(s string) string { return "`" + escape(s, '`') + "`" }
func quoteText(s string) string { return "'" + escape(s, '\'') + "'" }

func escape(s string, quote byte) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] == '\\' || s[i] == quote {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
