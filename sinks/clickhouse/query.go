package clickhouse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	driver "github.com/ClickHouse/clickhouse-go/v2"
)

// Formats lists what Query can write, the first one by default.
var Formats = []string{"table", "csv", "json", "markdown"}

var (
	leading   = regexp.MustCompile(`^(?:\s+|--[^\n]*(?:\n|$)|/\*(?s:.*?)\*/|\()*`)
	returning = regexp.MustCompile(`(?i)^(?:SELECT|WITH|SHOW|DESC|DESCRIBE|EXPLAIN|EXISTS|CHECK)\b`)
	formatted = regexp.MustCompile(`(?i)\sFORMAT\s+[A-Za-z0-9_]+\s*;?\s*$`)
)

// Query runs one statement on the sink's database and writes its result: table (aligned, for people), csv (with a header), json (one
// object a line) or markdown. Rows are written as they arrive, but for table. A statement with a FORMAT clause of its own is written by the
// server, which takes an http DSN. An error carries the server's own words.
func (s *Sink) Query(ctx context.Context, sql string, w io.Writer, format string) error {
	if format == "" {
		format = Formats[0]
	}
	write, ok := writers[format]
	if !ok {
		return fmt.Errorf("clickhouse: format %q is not one of %s", format, strings.Join(Formats, ", "))
	}
	sql = strings.TrimRight(sql, "; \t\r\n")
	rows := returning.MatchString(sql[len(leading.FindString(sql)):])
	switch own := formatted.MatchString(sql); {
	case own && s.options.Protocol != driver.HTTP:
		return errors.New("clickhouse: a FORMAT clause takes an http:// dsn; choose a format of: " + strings.Join(Formats, ", "))
	case own:
		return s.post(ctx, sql, w)
	case !rows:
		return said(ctx, s.conn.Exec(ctx, sql))
	}
	result, err := s.conn.Query(ctx, sql)
	if err != nil {
		return said(ctx, err)
	}
	defer result.Close()
	return said(ctx, render(result, write(w)))
}

// said keeps the server's words where it answered, and says whose fault it is where it did not.
func said(ctx context.Context, err error) error {
	var e *driver.Exception
	if errors.As(err, &e) {
		return fmt.Errorf("clickhouse: code %d: %s", e.Code, e.Message)
	}
	return classify(ctx, err)
}

// post asks over plain HTTP.
func (s *Sink) post(ctx context.Context, sql string, w io.Writer) error {
	u := url.URL{Scheme: "http", Host: s.options.Addr[0], Path: s.options.HttpUrlPath}
	if s.options.TLS != nil {
		u.Scheme = "https"
	}
	u.RawQuery = url.Values{"database": {s.cfg.Database}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(sql))
	if err != nil {
		return fmt.Errorf("clickhouse: %w", err)
	}
	r.Header.Set("X-ClickHouse-User", s.cfg.User)
	if s.cfg.Password != "" {
		r.Header.Set("X-ClickHouse-Key", s.cfg.Password)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: clone(s.options.TLS), DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		return classify(ctx, fmt.Errorf("clickhouse: %w", err))
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 16<<10))
		return errors.New("clickhouse: " + strings.TrimSpace(string(text)))
	}
	if _, err := io.Copy(w, answer.Body); err != nil {
		return fmt.Errorf("clickhouse: the result broke off: %w", err)
	}
	return nil
}

func clone(t *tls.Config) *tls.Config {
	if t == nil {
		return nil
	}
	return t.Clone()
}
