package engine

import (
	"fmt"
	"slices"

	ort "github.com/yalue/onnxruntime_go"
)

// Model is one graph with one float input, loaded into this process or into the device that it shares. It is for one goroutine at a time.
type Model struct {
	session *ort.DynamicAdvancedSession // nil: the shared device has it
	remote  *remote
	digest  string // of its file
	graph   graph
	outputs []string
}

// Tensor is one output: its dimensions and its data in row-major order, in Float or in Int as the graph says.
type Tensor struct {
	Shape []int64
	Float []float32
	Int   []int64
}

// Load reads a model. outputs are the ones that will be asked for, in that order; none means all the graph has. An output that is not
// asked for is never computed.
func (r *Runtime) Load(model []byte, outputs ...string) (*Model, error) {
	g, err := parseGraph(model)
	if err != nil {
		return nil, err
	}
	if len(g.inputs) != 1 {
		return nil, fmt.Errorf("the model has the inputs %q, not one", g.inputs)
	}
	if len(outputs) == 0 {
		outputs = g.outputs
	}
	for _, o := range outputs {
		if !slices.Contains(g.outputs, o) {
			return nil, fmt.Errorf("the model has no output %q, only %q", o, g.outputs)
		}
	}
	o, err := r.options()
	if err != nil {
		return nil, fmt.Errorf("session options: %w", err)
	}
	defer func() { _ = o.Destroy() }()
	s, err := ort.NewDynamicAdvancedSessionWithONNXData(model, g.inputs, outputs, o)
	if err != nil {
		return nil, fmt.Errorf("load model: %w", err)
	}
	return &Model{session: s, graph: g, outputs: outputs}, nil
}

// Metadata is a value of the model's own notes, empty where it has none.
func (m *Model) Metadata(key string) string { return m.graph.metadata[key] }

// Run computes the outputs of one input and shows them to use; they are valid until use returns. in may be longer than shape needs.
func (m *Model) Run(shape []int64, in []float32, use func(out []Tensor) error) error {
	if m.remote != nil {
		out, err := m.remote.run(m.digest, shape, in)
		if err != nil {
			return fmt.Errorf("run model on %v: %w", shape, err)
		}
		return use(out)
	}
	t, err := ort.NewTensor(ort.Shape(shape), in)
	if err != nil {
		return fmt.Errorf("input tensor: %w", err)
	}
	defer func() { _ = t.Destroy() }()
	values := make([]ort.Value, len(m.outputs))
	defer func() {
		for _, v := range values {
			if v != nil {
				_ = v.Destroy()
			}
		}
	}()
	if err := m.session.Run([]ort.Value{t}, values); err != nil {
		return fmt.Errorf("run model on %v: %w", shape, err)
	}
	out := make([]Tensor, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case *ort.Tensor[float32]:
			out[i] = Tensor{Shape: v.GetShape(), Float: v.GetData()}
		case *ort.Tensor[int64]:
			out[i] = Tensor{Shape: v.GetShape(), Int: v.GetData()}
		default:
			return fmt.Errorf("output %q is a %T, neither float32 nor int64", m.outputs[i], v)
		}
	}
	return use(out)
}

// RunInto computes the one output of one input into memory of the caller's, for outputs of image size whose shape is known. in and out
// may be longer than their shapes need.
func (m *Model) RunInto(shape []int64, in []float32, outShape []int64, out []float32) error {
	if len(m.outputs) != 1 {
		return fmt.Errorf("the model has the outputs %q, not one", m.outputs)
	}
	if m.remote != nil {
		return m.Run(shape, in, func(t []Tensor) error {
			if len(t) != 1 || !slices.Equal(t[0].Shape, outShape) || len(out) < len(t[0].Float) {
				return fmt.Errorf("the model's output is not of the shape %v", outShape)
			}
			copy(out, t[0].Float)
			return nil
		})
	}
	t, err := ort.NewTensor(ort.Shape(shape), in)
	if err != nil {
		return fmt.Errorf("input tensor: %w", err)
	}
	defer func() { _ = t.Destroy() }()
	o, err := ort.NewTensor(ort.Shape(outShape), out)
	if err != nil {
		return fmt.Errorf("output tensor: %w", err)
	}
	defer func() { _ = o.Destroy() }()
	if err := m.session.Run([]ort.Value{t}, []ort.Value{o}); err != nil {
		return fmt.Errorf("run model on %v: %w", shape, err)
	}
	return nil
}

// Close frees the graph.
func (m *Model) Close() error {
	if m.session == nil {
		return nil
	}
	return m.session.Destroy()
}
