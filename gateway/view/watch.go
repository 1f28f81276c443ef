package view

import "sync"

// watchers wakes those who wait for one job to change. What nobody waits for costs nothing.
type watchers struct {
	mu sync.Mutex
	at map[string]*watcher
}

type watcher struct {
	changed chan struct{}
	users   int
}

// changed wakes everybody who waits for the row.
func (w *watchers) changed(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x := w.at[key]; x != nil {
		close(x.changed)
		delete(w.at, key)
	}
}

// Watch returns a channel that is closed once the job changes after the call, and what to call when nobody waits for it any more. Look at
// the job after calling it, not before.
func (v *View) Watch(tenant, job string) (changed <-chan struct{}, done func()) {
	w, key := &v.watch, string(rowKey(tenant, job))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at == nil {
		w.at = map[string]*watcher{}
	}
	x := w.at[key]
	if x == nil {
		x = &watcher{changed: make(chan struct{})}
		w.at[key] = x
	}
	x.users++
	return x.changed, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if x.users--; x.users == 0 && w.at[key] == x {
			delete(w.at, key)
		}
	}
}
