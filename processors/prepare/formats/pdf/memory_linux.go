package pdf

import (
	"context"
	"syscall"

	"github.com/tetratelabs/wazero/experimental"
)

// memory is what a sandbox was given; one sandbox lives at a time.
type memory struct{ now *reserved }

// full reports whether the sandbox has used up so much of what it may have that its end was for want of more: it grows by large steps.
func (m *memory) full() bool { return m.now != nil && m.now.open > uint64(len(m.now.all))/4*3 }

// with gives sandboxes memory that grows in place: their whole address space is reserved and nothing of it used, each growth opens a
// stretch of it, and the end of a sandbox gives all of it back to the system at once. Without it a sandbox of a gigabyte would be copied
// at each growth, and be in memory twice until the collector came by.
func (m *memory) with(ctx context.Context) context.Context {
	return experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(func(_, most uint64) experimental.LinearMemory {
		b, err := syscall.Mmap(-1, 0, int(most), syscall.PROT_NONE, syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_NORESERVE)
		if err != nil {
			return &reserved{} // the first growth fails, and with it the sandbox
		}
		m.now = &reserved{all: b}
		return m.now
	}))
}

// reserved is address space of which the first bytes are open.
type reserved struct {
	all  []byte
	open uint64
}

// Reallocate opens more of it.
func (r *reserved) Reallocate(size uint64) []byte {
	if size > uint64(len(r.all)) {
		return nil
	}
	if size > r.open {
		if err := syscall.Mprotect(r.all[r.open:size], syscall.PROT_READ|syscall.PROT_WRITE); err != nil {
			return nil
		}
		r.open = size
	}
	return r.all[:size:size]
}

// Free gives everything back.
func (r *reserved) Free() {
	if r.all != nil {
		_ = syscall.Munmap(r.all) // it was mapped
		r.all, r.open = nil, 0
	}
}
