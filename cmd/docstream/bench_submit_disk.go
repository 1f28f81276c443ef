package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"docstream/ops/bench/pace"
)

// diskRate is how often a second the disk alone is asked: enough for a 99th percentile of a run of a minute, a twentieth of its load.
const diskRate = 20

// disk writes files of n bytes to the disk of a service, synced, one after the other by a schedule of its own. No answer that comes after
// its document is safe comes sooner than the disk lets it: what this takes is the floor of a submit on this machine, in the same run.
type disk struct {
	folder string
	body   []byte
	made   atomic.Int64
}

// newDisk makes a folder for it beside the service's data; remove it after use.
func newDisk(data string, n int64) (*disk, error) {
	folder, err := os.MkdirTemp(data, "bench-")
	if err != nil {
		return nil, fmt.Errorf("the disk of the service cannot be measured: %w", err)
	}
	return &disk{folder: folder, body: make([]byte, n)}, nil
}

// run measures for d. Files are kept until remove: a file system that discards what is deleted would slow the others down.
func (k *disk) run(ctx context.Context, d time.Duration) pace.Summary {
	samples := pace.Open(ctx, diskRate, pace.Bounds{InFlight: 4, Time: d, Count: int64(d.Seconds()*diskRate) + 1}, k.write)
	return pace.Summarize(samples, http.StatusAccepted, d)
}

func (k *disk) write(context.Context) int {
	f, err := os.OpenFile(filepath.Join(k.folder, fmt.Sprint(k.made.Add(1))), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0
	}
	defer f.Close()
	if _, err := f.Write(k.body); err != nil {
		return 0
	}
	if err := f.Sync(); err != nil {
		return 0
	}
	return http.StatusAccepted
}

func (k *disk) remove() error { return os.RemoveAll(k.folder) }
