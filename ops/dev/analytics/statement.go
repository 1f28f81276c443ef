package analytics

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// statement is one request to the engine.
type statement struct {
	SQL        string
	Format     string // where the statement names none
	Result     string // the one that its result is in
	Parameters map[string]string
}

// kind is how a statement has to be executed.
type kind int

const (
	whole     kind = iota // executed at once
	streaming             // a SELECT: its output may be of any size
	bounded               // a SELECT in a format that cannot be put together from chunks: executed at once, its size bounded
	inserting             // an INSERT whose rows are in the request's body
	altering              // changes the session itself, which is then thrown away
)

var (
	leading     = regexp.MustCompile(`^(?:\s+|--[^\n]*(?:\n|$)|/\*(?s:.*?)\*/|\()*`)
	firstWord   = regexp.MustCompile(`^[A-Za-z]+`)
	valuesAtEnd = regexp.MustCompile(`(?i)\s+VALUES\s*;?\s*$`)
	formatAtEnd = regexp.MustCompile(`(?i)\s+FORMAT\s+([A-Za-z0-9_]+)\s*;?\s*$`)
	rowsInside  = regexp.MustCompile(`(?i)\b(?:VALUES\s*\(|SELECT\b|WITH\b)`)
	temporary   = regexp.MustCompile(`(?i)^CREATE\s+(?:OR\s+REPLACE\s+)?TEMPORARY\b`)
	settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// classify tells how to execute sql; inURL says that the body is free to hold rows.
func classify(sql string, inURL bool) kind {
	sql = sql[len(leading.FindString(sql)):]
	switch strings.ToUpper(firstWord.FindString(sql)) {
	case "SELECT", "WITH":
		return streaming
	case "INSERT":
		if inURL && !rowsInside.MatchString(sql) {
			return inserting
		}
	case "USE", "SET":
		return altering
	case "CREATE":
		if temporary.MatchString(sql) {
			return altering
		}
	}
	return whole
}

// cutFormat takes the FORMAT clause, or a bare VALUES, off an INSERT: the engine is told the format of streamed rows apart.
func cutFormat(sql, otherwise string) (string, string) {
	if m := valuesAtEnd.FindStringIndex(sql); m != nil {
		return sql[:m[0]], "Values"
	}
	m := formatAtEnd.FindStringSubmatchIndex(sql)
	if m == nil {
		return sql, otherwise
	}
	return sql[:m[0]], sql[m[2]:m[3]]
}

// reserved are the URL parameters of ClickHouse's HTTP interface that are not settings.
var reserved = map[string]bool{
	"query": true, "database": true, "default_format": true, "user": true, "password": true, "quota_key": true,
	"query_id": true, "session_id": true, "session_timeout": true, "session_check": true, "role": true,
	"client_protocol_version": true, "compress": true, "decompress": true, "buffer_size": true,
	"wait_end_of_query": true, "stacktrace": true, "enable_http_compression": true, "http_response_buffer_size": true,
	"send_progress_in_http_headers": true, "cancel_http_readonly_queries_on_client_close": true,
	"http_write_exception_in_output_format": true, "network_compression_method": true,
	"http_zlib_compression_level": true, "network_zstd_compression_level": true, "http_native_compression_disable_checksumming_on_decompress": true,
}

// splitURL sorts the URL's parameters into a statement's parameters (param_x) and settings.
func splitURL(q url.Values) (params, settings map[string]string, err error) {
	params, settings = map[string]string{}, map[string]string{}
	for key, values := range q {
		name, isParam := strings.CutPrefix(key, "param_")
		switch {
		case isParam:
			params[name] = values[0]
		case reserved[key]:
		case settingName.MatchString(key):
			settings[key] = values[0]
		default:
			return nil, nil, exception{Code: "115", Text: fmt.Sprintf(
				"Code: 115. DB::Exception: Setting %q is neither a builtin setting nor a parameter. (UNKNOWN_SETTING)", key)}
		}
	}
	return params, settings, nil
}

// counts is the summary header of a statement.
func counts(read, written uint64) http.Header {
	return http.Header{"X-Clickhouse-Summary": {fmt.Sprintf(`{"read_rows":"%d","written_rows":"%d"}`, read, written)}}
}
