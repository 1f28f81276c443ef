package pdf

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// native asks the sandbox itself for the glyphs of a page, which are most of all that is asked for: by way of go-pdfium each answer costs a
// piece of the sandbox's memory that is allotted, cleared and given back, three times the question.
type native struct {
	module api.Module // of the sandbox that loaded a text page last
	page   uint64     // that text page

	asked  api.Module // the sandbox that what follows belongs to
	memory api.Memory
	out    uint32 // in the sandbox: where answers are written
	calls  [len(functions)]api.Function
	stack  [8]uint64
}

// What is asked, by the place of its name in functions.
const (
	malloc = iota
	getUnicode
	getBox
	getSize
	getMatrix
	getFont
	getWeight
)

var functions = [...]string{"malloc", "FPDFText_GetUnicode", "FPDFText_GetLooseCharBox", "FPDFText_GetFontSize", "FPDFText_GetMatrix",
	"FPDFText_GetFontInfo", "FPDFText_GetFontWeight"}

const (
	loads     = "FPDFText_LoadPage"
	nameBytes = 256 // of the name of a font; of a longer one nothing is known
	outBytes  = 32 + nameBytes
)

var errNoAnswer = errors.New("no answer")

// with lets n see which text pages are loaded.
func (n *native) with(ctx context.Context) context.Context {
	return experimental.WithFunctionListenerFactory(ctx, experimental.FunctionListenerFactoryFunc(func(f api.FunctionDefinition) experimental.FunctionListener {
		if slices.Contains(f.ExportNames(), loads) {
			return n
		}
		return nil
	}))
}

// Before is nothing.
func (n *native) Before(context.Context, api.Module, api.FunctionDefinition, []uint64, experimental.StackIterator) {
}

// After notes a text page that was loaded.
func (n *native) After(_ context.Context, m api.Module, _ api.FunctionDefinition, results []uint64) {
	n.module, n.page = m, results[0]
}

// Abort is nothing.
func (n *native) Abort(context.Context, api.Module, api.FunctionDefinition, error) {}

// ready finds what is asked for in the sandbox of the page at hand.
func (n *native) ready() error {
	if n.module == nil {
		return errNoAnswer
	}
	if n.asked == n.module {
		return nil
	}
	n.asked, n.memory = nil, n.module.Memory()
	for i, name := range functions {
		if n.calls[i] = n.module.ExportedFunction(name); n.calls[i] == nil {
			return fmt.Errorf("the sandbox has no %s", name)
		}
	}
	at, err := n.call(malloc, outBytes)
	if err != nil || at == 0 {
		return errors.Join(err, errNoAnswer)
	}
	n.out, n.asked = uint32(at), n.module
	return nil
}

func (n *native) call(what int, arguments ...uint64) (uint64, error) {
	copy(n.stack[:], arguments)
	if err := n.calls[what].CallWithStack(context.Background(), n.stack[:max(1, len(arguments))]); err != nil {
		return 0, err
	}
	return n.stack[0], nil
}

// floats reads numbers that were answered.
func (n *native) floats(out []float64) error {
	for i := range out {
		v, ok := n.memory.ReadFloat32Le(n.out + uint32(4*i))
		if !ok {
			return errNoAnswer
		}
		out[i] = float64(v)
	}
	return nil
}

// unicode is a character; half of one where it takes two.
func (n *native) unicode(i int) (rune, error) {
	v, err := n.call(getUnicode, n.page, uint64(i))
	return rune(uint32(v)), err
}

// box is where a character lies in user space: left, top, right, bottom. It is not known of every one.
func (n *native) box(i int) (b [4]float64, known bool, err error) {
	v, err := n.call(getBox, n.page, uint64(i), uint64(n.out))
	if err != nil || uint32(v) == 0 {
		return b, false, err
	}
	return b, true, n.floats(b[:])
}

// size is that of the font of a character, before its matrix.
func (n *native) size(i int) (float64, error) {
	v, err := n.call(getSize, n.page, uint64(i))
	return math.Float64frombits(v), err
}

// matrix is how a character lies, a to f; it is not known of every one.
func (n *native) matrix(i int) (m [6]float64, known bool, err error) {
	v, err := n.call(getMatrix, n.page, uint64(i), uint64(n.out))
	if err != nil || uint32(v) == 0 {
		return m, false, err
	}
	return m, true, n.floats(m[:])
}

// font is the name of a character's font in small letters, and its flags.
func (n *native) font(i int) (name string, flags uint32, known bool, err error) {
	v, err := n.call(getFont, n.page, uint64(i), uint64(n.out)+32, nameBytes, uint64(n.out))
	if err != nil || uint32(v) == 0 || uint32(v) > nameBytes {
		return "", 0, false, err
	}
	b, ok := n.memory.Read(n.out+32, uint32(v))
	flags, is := n.memory.ReadUint32Le(n.out)
	if !ok || !is {
		return "", 0, false, errNoAnswer
	}
	return strings.ToLower(string(b)), flags, true, nil
}

// weight is that of a character's font, below 0 where it is not known.
func (n *native) weight(i int) (int, error) {
	v, err := n.call(getWeight, n.page, uint64(i))
	return int(int32(uint32(v))), err
}
