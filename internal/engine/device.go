package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Device is the process that holds the models where all slots of a pool share them, as its parent sees it: started before the first slot,
// started again when it died, ended when one batch takes longer than a page may.
type Device struct {
	pool *Pool // of the one place
	dir  string
	log  *slog.Logger

	mu    sync.Mutex
	slot  *Slot
	ended chan struct{}
	watch sync.Once

	figures sync.Mutex
	stats   DeviceStats
}

// statsInterval is how often a device is asked for its figures.
const statsInterval = time.Second

// newDevice prepares the process; nothing is started yet.
func newDevice(cfg Config, command, env []string, log *slog.Logger, reg prometheus.Registerer) (*Device, error) {
	dir, err := os.MkdirTemp("", "docstream-device-") // only this user may enter it
	if err != nil {
		return nil, fmt.Errorf("a folder for the device's socket: %w", err)
	}
	d := &Device{dir: dir, log: log, ended: make(chan struct{})}
	cfg.Slots, cfg.MemoryBurst = 1, 0 // a driver maps far more than it uses
	d.pool = NewPool(cfg, command, append(append([]string{}, env...), d.variable()), log, nil)
	if reg != nil {
		if err := reg.Register(d); err != nil && !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
			return nil, errors.Join(err, os.Remove(dir))
		}
	}
	return d, nil
}

func (d *Device) variable() string { return deviceVariable + "=" + filepath.Join(d.dir, "socket") }

// ensure starts the process where it does not run. What it lacks is in the error's cause.
func (d *Device) ensure(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.slot == nil {
		s, err := d.pool.Lease(ctx)
		if err != nil {
			return err
		}
		s.ends = time.Now().Add(100 * 365 * 24 * time.Hour) // it serves every document
		d.slot = s
	}
	if !d.slot.Fresh() {
		return nil
	}
	var s DeviceStats
	_, err := d.slot.Call(context.WithoutCancel(ctx), deviceStats, struct{}{}, &s)
	if err != nil { // a device that died is told of once; the next call starts another
		_, err = d.slot.Call(context.WithoutCancel(ctx), deviceStats, struct{}{}, &s)
	}
	if err == nil {
		d.watch.Do(func() { go d.follow() })
	}
	return err
}

// follow asks for the figures until the device ends.
func (d *Device) follow() {
	t := time.NewTicker(statsInterval)
	defer t.Stop()
	for {
		select {
		case <-d.ended:
			return
		case <-t.C:
			d.ask()
		}
	}
}

// ask reads the figures; a batch that takes longer than a page may ends the device, which the next call starts again.
func (d *Device) ask() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.slot == nil || d.slot.Fresh() {
		return
	}
	var s DeviceStats
	if _, err := d.slot.Call(context.Background(), deviceStats, struct{}{}, &s); err != nil {
		d.log.Error("the shared device ended", "error", err)
		return
	}
	if s.Running > d.pool.cfg.PageDeadline {
		d.log.Error("the shared device hangs", "batch", s.Running)
		d.pool.discard(d.slot.seat, "deadline")
	}
	d.figures.Lock()
	d.stats = s
	d.figures.Unlock()
}

// Stats are the figures that were last asked for.
func (d *Device) Stats() DeviceStats {
	d.figures.Lock()
	defer d.figures.Unlock()
	return d.stats
}

func (d *Device) close() {
	close(d.ended)
	d.pool.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.slot != nil {
		d.slot.Release()
		d.slot = nil
	}
	_ = os.RemoveAll(d.dir)
}
