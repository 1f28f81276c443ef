// Package analytics is the embedded ClickHouse of one machine: the engine as a library (libchdb) behind ClickHouse's
// HTTP interface, so that an unchanged driver and plain curl work on it.
//
// Promised: what was answered with success survives kill -9; one statement never sees the database or settings of
// another; results and inserts are streamed; memory is bounded by the engine's limit. Not in the engine: replicated
// tables, users and grants, system.query_log. Whoever reaches the address may do everything, so it listens on loopback.
package analytics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

const (
	// DefaultConnections is how many statements run at one time.
	DefaultConnections = 4
	// DefaultMemoryBytes is where the engine refuses a query rather than grow.
	DefaultMemoryBytes = 2 << 30
)

// Config says where the endpoint listens and what the engine may use.
type Config struct {
	Data        string
	Listen      string
	Library     string
	Connections int
	MemoryBytes int64
}

// Validate names the first setting that cannot work.
func (c Config) Validate() error {
	switch {
	case c.Connections < 1 || c.Connections > 64:
		return fmt.Errorf("--connections is %d, must be between 1 and 64", c.Connections)
	case c.MemoryBytes < 64<<20:
		return fmt.Errorf("--memory-bytes is %d, must be at least 64 MiB", c.MemoryBytes)
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen address: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("listen address %s: the embedded engine checks no user, it listens on a loopback address only", c.Listen)
	}
	return nil
}

// Run serves until ctx ends, lets running statements end, closes the engine and returns nil. ready is called once,
// with the address and the engine's version.
func Run(ctx context.Context, cfg Config, log *slog.Logger, ready func(addr, version string)) error {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return errors.New("the embedded ClickHouse is pinned for Linux on x86-64 only: point docstream at a ClickHouse server")
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	f, err := openFront(cfg, log)
	if err != nil {
		return err
	}
	defer f.close()
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	server := &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: maxQueryBytes}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	ready(l.Addr().String(), f.version)
	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		log.Warn("statements were cut off", "error", err.Error())
		_ = server.Close()
	}
	return nil
}

// openFront starts the engine with its pool of sessions.
func openFront(cfg Config, log *slog.Logger) (*front, error) {
	// The engine takes its time zone from the environment: the one of the machine must not get into the data.
	if err := os.Setenv("TZ", "UTC"); err != nil {
		return nil, err
	}
	lib, err := load(cfg.Library)
	if err != nil {
		return nil, err
	}
	args, err := engineArguments(cfg)
	if err != nil {
		return nil, err
	}
	var keep signals
	keep.save()
	defer keep.restore()
	lib.setSignals(0)
	f := &front{
		sessions: make(chan *session, cfg.Connections), waiting: make(chan struct{}, maxWaiting), log: log,
	}
	if f.control, err = newSession(lib, args, "control"); err != nil {
		return nil, err
	}
	for i := range cfg.Connections {
		s, err := newSession(lib, args, fmt.Sprint(i))
		if err != nil {
			return nil, err
		}
		f.sessions <- s
	}
	s := <-f.sessions
	defer func() { f.sessions <- s }()
	if f.version, err = s.run("SELECT version()"); err != nil {
		return nil, fmt.Errorf("asking the engine for its version: %w", err)
	}
	if !strings.HasPrefix(f.version, Engine+".") {
		return nil, fmt.Errorf("%s is ClickHouse %s, not the pinned %s: run python3 ops/parts/fetch.py", cfg.Library, f.version, Engine)
	}
	if f.timezone, err = s.run("SELECT timezone()"); err != nil {
		return nil, fmt.Errorf("asking the engine for its time zone: %w", err)
	}
	return f, nil
}

// engineArguments are the engine's command line; it takes its server settings from a file.
func engineArguments(cfg Config) ([]string, error) {
	path, err := filepath.Abs(cfg.Data)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(path, "config.xml")
	if err := os.WriteFile(file, []byte(fmt.Sprintf(engineConfig, cfg.MemoryBytes)), 0o600); err != nil {
		return nil, fmt.Errorf("writing the engine's configuration: %w", err)
	}
	return []string{"clickhouse", "--path=" + filepath.Join(path, "engine"), "--config-file=" + file}, nil
}

// engineConfig bounds caches and threads to what a developer's machine has to spare.
const engineConfig = `<clickhouse>
  <max_server_memory_usage>%d</max_server_memory_usage>
  <mark_cache_size>67108864</mark_cache_size>
  <index_mark_cache_size>16777216</index_mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <mmap_cache_size>100</mmap_cache_size>
  <compiled_expression_cache_size>16777216</compiled_expression_cache_size>
  <background_pool_size>2</background_pool_size>
  <background_schedule_pool_size>4</background_schedule_pool_size>
</clickhouse>
`

// sessionSetting is a setting that changes nothing the engine does: it tells our sessions apart in its list of statements.
const sessionSetting = "chdb_client_name"

// close waits for each session's statement and closes the engine.
func (f *front) close() {
	for range cap(f.sessions) {
		s := <-f.sessions
		s.close()
	}
	f.control.close()
}
