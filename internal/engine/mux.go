package engine

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

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

// Warm names what the first call of a method would have to do first, such as loading models. A child that takes over from another one does
// it before it has work, for every method that the other one was asked for; it may be done twice.
func (m *Mux) Warm(method string, f func() error) {
	m.Handle(warming+method, func(context.Context, []byte) ([]byte, error) { return nil, f() })
}

// warming is the prefix of the calls that warm a method.
const warming = "warm "

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
	if strings.HasPrefix(method, warming) {
		return func(context.Context, []byte) ([]byte, error) { return nil, nil }, nil // there is nothing to do first
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
