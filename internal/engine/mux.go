package engine

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"docstream/internal/fault"
	"docstream/schemas"
)

// Mux names the handlers of a child. The zero value is ready.
type Mux struct {
	handlers map[string]Handler
}

// Handle names a handler. A name given twice is a mistake of the switchboard and panics.
func (m *Mux) Handle(method string, h Handler) {
	if _, ok := m.handlers[method]; ok {
		panic("engine: method " + method + " has two handlers")
	}
	if m.handlers == nil {
		m.handlers = make(map[string]Handler)
	}
	m.handlers[method] = h
}

// Methods lists the names, sorted.
func (m *Mux) Methods() []string {
	var names []string
	for name := range m.handlers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (m *Mux) find(method string) (Handler, error) {
	if h, ok := m.handlers[method]; ok {
		return h, nil
	}
	return nil, fault.World(schemas.EngineUnavailable, "%s", schemas.Codes[schemas.EngineUnavailable].Meaning).
		Because(fmt.Errorf("this child has no method %q, only %q", method, m.Methods()))
}

// Handle names a function of typed values.
func Handle[Req, Res any](m *Mux, method string, f func(context.Context, Req) (Res, error)) {
	var out bytes.Buffer // kept between calls: one child does one call at a time
	m.Handle(method, func(ctx context.Context, in []byte) ([]byte, error) {
		var req Req
		if err := decode(in, &req); err != nil {
			return nil, fmt.Errorf("decode request of %s: %w", method, err)
		}
		res, err := f(ctx, req)
		if err != nil {
			return nil, err
		}
		if err := encode(&out, &res); err != nil {
			return nil, fmt.Errorf("encode result of %s: %w", method, err)
		}
		return out.Bytes(), nil
	})
}
