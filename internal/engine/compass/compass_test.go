package compass_test

import (
	"errors"
	"image"
	"testing"

	"docstream/internal/engine"
	"docstream/internal/engine/compass"
	"docstream/internal/engine/raster"
)

// fixed answers always the same probabilities.
type fixed struct {
	probabilities []float32
	err           error
	shape         []int64
}

func (f *fixed) Run(shape []int64, _ []float32, use func([]engine.Tensor) error) error {
	f.shape = shape
	if f.err != nil {
		return f.err
	}
	return use([]engine.Tensor{{Shape: []int64{1, 4}, Float: f.probabilities}})
}

func TestAClassSaysHowToTurnBack(t *testing.T) {
	im := raster.From(image.NewGray(image.Rect(0, 0, 500, 90)))
	for class, want := range []int{0, 270, 180, 90} {
		p := []float32{.01, .02, .03, .04}
		p[class] = .9
		m := &fixed{probabilities: p}
		degrees, sure, err := compass.New(m).Ask(im)
		if err != nil || degrees != want || sure < .89 || sure > .91 {
			t.Errorf("class %d: turn by %d, sure %.2f, %v", class, degrees, sure, err)
		}
		if len(m.shape) != 4 || m.shape[2] != 224 || m.shape[3] != 224 {
			t.Errorf("input %v", m.shape)
		}
	}
}

func TestAModelThatFailsOrIsAnotherIsAnError(t *testing.T) {
	im := raster.From(image.NewGray(image.Rect(0, 0, 300, 400)))
	broken := errors.New("broken")
	if _, _, err := compass.New(&fixed{err: broken}).Ask(im); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, _, err := compass.New(&fixed{probabilities: []float32{1}}).Ask(im); err == nil {
		t.Error("one class was taken for four")
	}
}
