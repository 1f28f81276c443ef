package clickhouse

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"

	conn "github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// rowWriter writes a result row by row.
type rowWriter interface {
	header(columns []string) error
	row(values []any) error
	end() error
}

var writers = map[string]func(io.Writer) rowWriter{
	"table":    func(w io.Writer) rowWriter { return &tableWriter{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} },
	"csv":      func(w io.Writer) rowWriter { return &csvWriter{csv.NewWriter(w)} },
	"json":     func(w io.Writer) rowWriter { return &jsonWriter{w: w} },
	"markdown": func(w io.Writer) rowWriter { return &markdownWriter{w} },
}

func render(rows conn.Rows, to rowWriter) error {
	if err := to.header(rows.Columns()); err != nil {
		return err
	}
	types := rows.ColumnTypes()
	cells := make([]any, len(types))
	values := make([]any, len(types))
	for rows.Next() {
		for i, t := range types {
			cells[i] = reflect.New(t.ScanType()).Interface()
		}
		if err := rows.Scan(cells...); err != nil {
			return err
		}
		for i := range cells {
			values[i] = value(reflect.ValueOf(cells[i]))
		}
		if err := to.row(values); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return to.end()
}

// value turns what a column holds into nil (NULL), text, a number, a flag, a list or a map: a time becomes text as ClickHouse writes it, and
// so does every type that knows its own text.
func value(v reflect.Value) any {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil
		}
		if s, ok := v.Interface().(fmt.Stringer); ok && v.Elem().Kind() == reflect.Struct && v.Elem().Type() != instantType {
			return s.String() // big integers
		}
		v = v.Elem()
	}
	switch t := v.Interface().(type) {
	case time.Time:
		return t.Format("2006-01-02 15:04:05.999999")
	case fmt.Stringer:
		return t.String()
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Array: // item by item: Array(UInt8) must not become base64
		out := make([]any, v.Len())
		for i := range out {
			out[i] = value(v.Index(i))
		}
		return out
	case reflect.Map:
		out := make(map[string]any, v.Len())
		for _, k := range v.MapKeys() {
			out[text(value(k), "")] = value(v.MapIndex(k))
		}
		return out
	}
	return v.Interface()
}

var instantType = reflect.TypeFor[time.Time]()

// text is a value for a cell: NULL as null, lists and maps as JSON.
func text(v any, null string) string {
	switch v := v.(type) {
	case nil:
		return null
	case string:
		return v
	case []any, map[string]any:
		if b, err := json.Marshal(v); err == nil {
			return string(b)
		}
	}
	return fmt.Sprint(v)
}

func texts(values []any, null string, escape *strings.Replacer) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = text(v, null)
		if escape != nil {
			out[i] = escape.Replace(out[i])
		}
	}
	return out
}

var (
	oneLine  = strings.NewReplacer("\n", `\n`, "\r", `\r`, "\t", `\t`)
	markdown = strings.NewReplacer("|", `\|`, "\n", "<br>", "\r", "")
)

type tableWriter struct{ w *tabwriter.Writer }

func (t *tableWriter) header(columns []string) error { return t.line(columns) }
func (t *tableWriter) row(values []any) error        { return t.line(texts(values, "NULL", oneLine)) }
func (t *tableWriter) end() error                    { return t.w.Flush() }

func (t *tableWriter) line(cells []string) error {
	_, err := fmt.Fprintln(t.w, strings.Join(cells, "\t"))
	return err
}

type csvWriter struct{ w *csv.Writer }

func (c *csvWriter) header(columns []string) error { return c.w.Write(columns) }
func (c *csvWriter) row(values []any) error        { return c.w.Write(texts(values, `\N`, nil)) }
func (c *csvWriter) end() error                    { c.w.Flush(); return c.w.Error() }

type jsonWriter struct {
	w       io.Writer
	columns [][]byte
}

func (j *jsonWriter) header(columns []string) error {
	for _, c := range columns {
		b, err := json.Marshal(c)
		if err != nil {
			return err
		}
		j.columns = append(j.columns, b)
	}
	return nil
}

func (j *jsonWriter) row(values []any) error {
	line := []byte{'{'}
	for i, v := range values {
		if i > 0 {
			line = append(line, ',')
		}
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		line = append(append(append(line, j.columns[i]...), ':'), b...)
	}
	_, err := j.w.Write(append(line, '}', '\n'))
	return err
}

func (j *jsonWriter) end() error { return nil }

type markdownWriter struct{ w io.Writer }

func (m *markdownWriter) header(columns []string) error {
	if err := m.line(columns); err != nil {
		return err
	}
	_, err := fmt.Fprintln(m.w, "|"+strings.Repeat("---|", len(columns)))
	return err
}

func (m *markdownWriter) row(values []any) error { return m.line(texts(values, "", markdown)) }
func (m *markdownWriter) end() error             { return nil }

func (m *markdownWriter) line(cells []string) error {
	_, err := fmt.Fprintln(m.w, "| "+strings.Join(cells, " | ")+" |")
	return err
}
