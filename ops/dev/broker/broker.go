// Package broker is the embedded Kafka broker and schema registry of one machine: franz-go's fake cluster on disk, and
// its fake registry with a journal. It calls itself a fake, and so do we.
//
// Promised: what was acknowledged survives kill -9, committed and aborted transactions stay what they were, groups
// keep their offsets, schemas keep their ids, compaction never eats what a transaction may still restore, and a broker
// that cannot write stops rather than acknowledge. Not promised: power loss, replication, and that an idempotent
// producer sees no duplicate when it retries across a kill -9.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

const (
	// DefaultMaxBytes is where the embedded broker stops growing. After a restart it holds its log in memory.
	DefaultMaxBytes = 4 << 30
	// DefaultCleanEvery is how often compaction and retention run; the fake's own default is an hour.
	DefaultCleanEvery = 30 * time.Second
)

// Config says where the broker listens and keeps its log. The zero value of a field is not a default.
type Config struct {
	Data       string
	Listen     string
	Registry   string
	MaxBytes   int64
	CleanEvery time.Duration
}

// Validate names the first setting that cannot work.
func (c Config) Validate() error {
	switch {
	case c.MaxBytes <= 0:
		return fmt.Errorf("max-bytes is %d, must be positive", c.MaxBytes)
	case c.CleanEvery <= 0:
		return fmt.Errorf("clean-every is %s, must be positive", c.CleanEvery)
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen address: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		// It has no authentication and advertises this very address to its clients.
		return fmt.Errorf("listen address %s: the embedded broker listens on a loopback address only", c.Listen)
	}
	return nil
}

// Run serves until ctx ends, then writes a clean snapshot and returns nil. ready is called once, when both addresses
// accept requests.
func Run(ctx context.Context, cfg Config, log *slog.Logger, ready func(kafka, registry string)) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	log.Warn("embedded broker: a fake, for trying, developing and testing on one machine; not replicated, "+
		"not safe against power loss, not for production", "data", cfg.Data, "max_bytes", cfg.MaxBytes)

	keep := keeper{dir: cfg.Data, logDir: filepath.Join(cfg.Data, "log")}
	logDir := keep.logDir
	size, err := sizeOf(logDir)
	if err != nil {
		return fmt.Errorf("measuring the log: %w", err)
	}
	if size > cfg.MaxBytes {
		return fmt.Errorf("the log in %s holds %d bytes, more than max-bytes %d: raise it, or move to Apache Kafka",
			logDir, size, cfg.MaxBytes)
	}
	if err := keep.prepare(log); err != nil {
		return fmt.Errorf("recovering the log: %w", err)
	}
	registry, err := openRegistry(filepath.Join(cfg.Data, "schemas.jsonl"), log)
	if err != nil {
		return fmt.Errorf("opening the registry: %w", err)
	}
	defer registry.Close()

	disk := newSynced(logDir, log)
	stop := make(chan struct{})
	defer close(stop)
	go disk.run(stop)
	cluster, err := open(cfg.Listen, logDir, disk, log)
	if err != nil {
		return err
	}
	defer func() {
		cluster.Close()
		if err := errors.Join(disk.flush(batch), disk.flush(rest)); err != nil {
			log.Error("syncing the log at the end", "error", err.Error())
		}
		if err := keep.stopped(); err != nil {
			log.Error("noting the orderly stop", "error", err.Error())
		}
	}()
	addr := cluster.ListenAddrs()[0]

	web, err := net.Listen("tcp", cfg.Registry)
	if err != nil {
		return fmt.Errorf("listening for the registry: %w", err)
	}
	server := &http.Server{Handler: registry, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(web) }()
	defer server.Close()

	limit := newLimit(cfg.MaxBytes, logDir, log)
	gate, err := newGate(cluster, addr, limit, disk, keep, log)
	if err != nil {
		return err
	}
	defer gate.close()
	if err := gate.guard(ctx); err != nil {
		return err
	}
	go limit.watch(ctx)
	go gate.cleanEvery(ctx, cfg.CleanEvery)

	ready(addr, web.Addr().String())
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return fmt.Errorf("serving the registry: %w", err)
	}
}

// open starts the cluster of one node on the wanted address.
func open(listen, logDir string, disk *synced, log *slog.Logger) (*kfake.Cluster, error) {
	_, port, _ := net.SplitHostPort(listen)
	if _, err := strconv.Atoi(port); err != nil {
		return nil, fmt.Errorf("listen address %s: not a port number", listen)
	}
	if err := os.MkdirAll(logDir, 0o700); err != nil {
		return nil, fmt.Errorf("creating the log directory: %w", err)
	}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ClusterID("docstream-embedded"),
		kfake.DataDir(logDir),
		kfake.DefaultNumPartitions(1),
		kfake.GroupMinSessionTimeout(time.Second),
		kfake.BrokerConfigs(brokerConfigs()),
		kfake.WithLogger(failStop{log}),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) { return disk.listen(network, listen) }),
	)
	if err != nil {
		return nil, fmt.Errorf("starting the embedded broker: %w", err)
	}
	return cluster, nil
}

// brokerConfigs are the settings that differ from the fake's. Cleaning is ours (see gate), so the fake's own ticker is
// set beyond any uptime: it would compact under open transactions and without a copy.
func brokerConfigs() map[string]string {
	return map[string]string{
		"log.cleaner.backoff.ms":           strconv.FormatInt((10 * 365 * 24 * time.Hour).Milliseconds(), 10),
		"message.max.bytes":                strconv.Itoa(8 << 20),
		"log.segment.bytes":                strconv.Itoa(16 << 20),
		"min.insync.replicas":              "1",
		"group.initial.rebalance.delay.ms": "0",
	}
}
