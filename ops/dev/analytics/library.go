package analytics

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Engine is the release of ClickHouse that this program binds. Another one may move a function's arguments, which
// nothing but a crash would tell.
const Engine = "26.7"

type pointer = unsafe.Pointer

// library is libchdb through its C functions, without cgo. Each field is bound to the function of that name.
type library struct {
	setSignals func(enabled int32)                                                                               `c:"chdb_set_signal_handlers_enabled"`
	connect    func(argc int32, argv pointer) *pointer                                                           `c:"chdb_connect"`
	closeConn  func(conn *pointer)                                                                               `c:"chdb_close_conn"`
	query      func(conn, q pointer, qn uintptr, f pointer, fn uintptr, n, nl, v, vl pointer, c uintptr) pointer `c:"chdb_query_with_params_n"`
	stream     func(conn, q pointer, qn uintptr, f pointer, fn uintptr, n, nl, v, vl pointer, c uintptr) pointer `c:"chdb_stream_query_with_params_n"`
	fetch      func(conn, result pointer) pointer                                                                `c:"chdb_stream_fetch_result"`
	cancel     func(conn, result pointer)                                                                        `c:"chdb_stream_cancel_query"`
	destroy    func(result pointer)                                                                              `c:"chdb_destroy_query_result"`
	buffer     func(result pointer) pointer                                                                      `c:"chdb_result_buffer"`
	length     func(result pointer) uintptr                                                                      `c:"chdb_result_length"`
	failure    func(result pointer) pointer                                                                      `c:"chdb_result_error"`
	rowsRead   func(result pointer) uint64                                                                       `c:"chdb_result_rows_read"`
	written    func(result pointer) uint64                                                                       `c:"chdb_result_rows_written"`

	insert        func(conn, q pointer, qn uintptr, f pointer, fn uintptr, n, nl, v, vl pointer, c uintptr) pointer `c:"chdb_stream_insert_with_params_n"`
	appendTo      func(stream, data pointer, n uintptr) int32                                                       `c:"chdb_stream_append"`
	done          func(stream pointer) pointer                                                                      `c:"chdb_stream_done"`
	insertFailure func(stream pointer) pointer                                                                      `c:"chdb_stream_insert_error"`
	cancelInsert  func(stream pointer)                                                                              `c:"chdb_stream_cancel_insert"`
	destroyInsert func(stream pointer)                                                                              `c:"chdb_destroy_insert_stream"`
}

// load opens the library and binds every function, or says in one line why not.
func load(path string) (*library, error) {
	if path == "" {
		return nil, errors.New("--lib is required: the path of libchdb.so (python3 ops/parts/fetch.py brings it)")
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing: run python3 ops/parts/fetch.py", path)
	}
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be loaded: %w", path, err)
	}
	lib := &library{}
	fields := reflect.ValueOf(lib).Elem()
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Tag.Get("c")
		if _, err := purego.Dlsym(handle, name); err != nil {
			return nil, fmt.Errorf("%s has no function %s: it is another version than the pinned one (ClickHouse %s)", path, name, Engine)
		}
		field := reflect.NewAt(fields.Field(i).Type(), fields.Field(i).Addr().UnsafePointer())
		purego.RegisterLibFunc(field.Interface(), handle, name)
	}
	return lib, nil
}

// open starts a connection. The engine is started by the first one; every connection of a process sees its tables.
func (l *library) open(args []string) (*pointer, error) {
	argv := make([]*byte, len(args)+1)
	for i, a := range args {
		b := append([]byte(a), 0)
		argv[i] = &b[0]
	}
	conn := l.connect(int32(len(args)), pointer(&argv[0]))
	runtime.KeepAlive(argv)
	if conn == nil || *conn == nil {
		return nil, errors.New("the engine does not start: its directory may be damaged or of a newer version")
	}
	return conn, nil
}

// textOf copies a C string.
func textOf(p pointer) string {
	if p == nil {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(p), n))
}

// textAt points at a string's bytes; the engine takes a length, but no nil.
func textAt(s string) pointer {
	if s == "" {
		s = "\x00"
	}
	return pointer(unsafe.StringData(s))
}

// parameters are the values of a statement's {name:Type} places, in the shape the engine takes them.
type parameters struct {
	names, values             []pointer
	nameLengths, valueLengths []uintptr
}

func newParameters(m map[string]string) *parameters {
	p := &parameters{}
	for name, value := range m {
		p.names, p.nameLengths = append(p.names, textAt(name)), append(p.nameLengths, uintptr(len(name)))
		p.values, p.valueLengths = append(p.values, textAt(value)), append(p.valueLengths, uintptr(len(value)))
	}
	return p
}

func first[T any](s []T) pointer {
	if len(s) == 0 {
		return nil
	}
	return pointer(&s[0])
}

// exception is an error of the engine, with ClickHouse's number for it.
type exception struct {
	Code string
	Text string
}

func (e exception) Error() string { return e.Text }

const (
	tooManyRows   = "396" // TOO_MANY_ROWS_OR_BYTES
	tooMuchMemory = "241" // MEMORY_LIMIT_EXCEEDED
)

// exceptionOf turns the engine's text into an error; an empty text is none.
func exceptionOf(text string) error {
	if text == "" {
		return nil
	}
	e := exception{Code: "1002", Text: text} // UNKNOWN_EXCEPTION
	if _, after, ok := strings.Cut(text, "Code: "); ok {
		if n := strings.IndexFunc(after, func(r rune) bool { return r < '0' || r > '9' }); n > 0 {
			e.Code = after[:n]
		}
	}
	return e
}

// signals are the handlers of a process, kept while the engine starts: it would replace the ones that Go's own
// scheduler and panics stand on.
type signals [32][4]uint64

func (s *signals) save() {
	for n := 1; n < len(s); n++ {
		_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(n), 0, uintptr(pointer(&s[n])), 8, 0, 0)
	}
}

func (s *signals) restore() {
	for n := 1; n < len(s); n++ {
		var now [4]uint64
		_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(n), 0, uintptr(pointer(&now)), 8, 0, 0)
		if now[0] != s[n][0] && n != int(syscall.SIGKILL) && n != int(syscall.SIGSTOP) {
			_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(n), uintptr(pointer(&s[n])), 0, 8, 0, 0)
		}
	}
}
