package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// Devices a runtime can work on.
const (
	CPU  = "cpu"
	CUDA = "cuda"
)

// Runtime is ONNX Runtime loaded into this process. There is at most one.
type Runtime struct {
	lib    string
	device string
}

var loaded struct {
	sync.Mutex
	runtime *Runtime
}

// OpenRuntime loads the library for a device, cpu or cuda. Opening it again the same way returns the same runtime. A device that cannot
// be used is an error that names what is missing; there is no silent fallback, because device decides the cost and the result's bytes.
func OpenRuntime(lib, device string) (*Runtime, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if r := loaded.runtime; r != nil {
		if r.lib != lib || r.device != device {
			return nil, fmt.Errorf("this process already runs %s on %s, it cannot also run %s on %s", r.lib, r.device, lib, device)
		}
		return r, nil
	}
	switch device {
	case CPU:
	case CUDA:
		if err := missingForCUDA(lib); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("device %q is neither %s nor %s", device, CPU, CUDA)
	}
	if _, err := os.Stat(lib); err != nil {
		return nil, fmt.Errorf("ONNX Runtime library: %w", err)
	}
	ort.SetSharedLibraryPath(lib)
	if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
		return nil, fmt.Errorf("load ONNX Runtime: %w", err)
	}
	loaded.runtime = &Runtime{lib: lib, device: device}
	return loaded.runtime, nil
}

// Device is where the models run.
func (r *Runtime) Device() string { return r.device }

// Version is the library's own.
func (r *Runtime) Version() string { return ort.GetVersion() }

// missingForCUDA names everything that the CUDA provider needs and this machine lacks.
func missingForCUDA(lib string) error {
	var missing []error
	provider := filepath.Join(filepath.Dir(lib), "libonnxruntime_providers_cuda.so")
	if _, err := os.Stat(provider); err != nil {
		missing = append(missing, fmt.Errorf("the provider library beside ONNX Runtime: %w", err))
	}
	if _, err := os.Stat("/dev/nvidia0"); err != nil {
		missing = append(missing, fmt.Errorf("a GPU: %w", err))
	}
	for _, name := range []string{"libcudart.so.12", "libcublasLt.so.12", "libcudnn.so.9"} {
		if err := loadable(name); err != nil {
			missing = append(missing, fmt.Errorf("a CUDA 12 library: %w", err))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("device cuda cannot be used here, missing: %w", errors.Join(missing...))
}

// options are those of every session. One thread each: ONNX Runtime's threads spin, and with neighbours on the cores two of them were
// three times slower than one; the pool scales by processes. The memory pattern is off because it keeps a plan for every input shape.
func (r *Runtime) options() (*ort.SessionOptions, error) {
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		o.SetIntraOpNumThreads(1),
		o.SetInterOpNumThreads(1),
		o.SetCpuMemArena(true),
		o.SetMemPattern(false),
		o.SetGraphOptimizationLevel(ort.GraphOptimizationLevelEnableAll),
		o.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
		o.AddSessionConfigEntry("session.inter_op.allow_spinning", "0"),
	)
	if err == nil && r.device == CUDA {
		err = appendCUDA(o)
	}
	if err != nil {
		return nil, errors.Join(err, o.Destroy())
	}
	return o, nil
}

// appendCUDA puts the CUDA provider first. Convolutions are not auto-tuned: the choice would depend on timing, and P5 wants the same
// bytes from the same device.
func appendCUDA(o *ort.SessionOptions) error {
	c, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return fmt.Errorf("CUDA provider: %w", err)
	}
	defer func() { _ = c.Destroy() }()
	if err := c.Update(map[string]string{"device_id": "0", "cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}); err != nil {
		return fmt.Errorf("CUDA provider options: %w", err)
	}
	if err := o.AppendExecutionProviderCUDA(c); err != nil {
		return fmt.Errorf("append the CUDA provider: %w", err)
	}
	return nil
}
