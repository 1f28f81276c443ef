package gateway

// halves keeps what was used lately within a bound (P6): where the young half is full it becomes the old one, and the old one goes; what is found
// in the old one is young again. It locks nothing.
type halves[K comparable, V any] struct {
	most       int // bytes of the young half, about
	young, old map[K]sized[V]
	size       int
}

type sized[V any] struct {
	value V
	bytes int
}

func (h *halves[K, V]) find(key K) (V, bool) {
	if e, ok := h.young[key]; ok {
		return e.value, true
	}
	e, ok := h.old[key]
	if ok {
		h.add(key, e.value, e.bytes)
	}
	return e.value, ok
}

func (h *halves[K, V]) add(key K, value V, bytes int) {
	if h.young == nil || h.size > h.most {
		h.old, h.young, h.size = h.young, map[K]sized[V]{}, 0
	}
	h.young[key] = sized[V]{value, bytes}
	h.size += bytes
}

func (h *halves[K, V]) drop(key K) {
	delete(h.young, key)
	delete(h.old, key)
}
