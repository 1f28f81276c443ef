// Package ocr reads the text of a page image: lines and words with boxes and confidences, in blocks and in reading order, tables as
// cells.
//
// The stage reads PageLaidOut and writes PageFinished; the page result is an object written once. The reading itself runs in a child of
// the engine; this package holds both halves: [Stage] is the parent's, [Register] gives the child its handler.
package ocr

import (
	"context"
	"errors"
	"fmt"
	"io"

	"docstream/internal/blob"
	"docstream/internal/engine"
	"docstream/schemas"
)

// Version names this stage's algorithm; it is part of the pipeline version and changes with anything that can change a result.
const Version = "ocr/10"

const stageName = "ocr"

// Objects is the part of the object store the stage needs.
type Objects interface {
	Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, blob.Object, error)
	Put(ctx context.Context, key string, body []byte, o blob.Options) error
}

// Engine lends a child.
type Engine interface {
	Lease(ctx context.Context) (*engine.Slot, error)
}

// Config bounds the stage.
type Config struct {
	Device        string `koanf:"device"`          // cpu or cuda; reported with the cost
	Reading       string `koanf:"reading"`         // how hard the child looks, as engine.Reading says it; its model set must agree
	MaxImageBytes int64  `koanf:"max_image_bytes"` // size of an encoded page image
	MaxPixels     int64  `koanf:"max_pixels"`      // of a decoded page image
}

// DefaultConfig reads pages up to A3 at 600 dpi the default way.
func DefaultConfig() Config {
	return Config{Device: engine.CPU, Reading: engine.DefaultModelSet().Reading().String(), MaxImageBytes: 256 << 20, MaxPixels: 100e6}
}

// Validate names every value that cannot work.
func (c Config) Validate() error {
	var errs []error
	if c.Device != engine.CPU && c.Device != engine.CUDA {
		errs = append(errs, fmt.Errorf("ocr: device must be cpu or cuda, is %q", c.Device))
	}
	if c.Reading == "" {
		errs = append(errs, errors.New("ocr: reading is empty"))
	}
	if c.MaxImageBytes <= 0 || c.MaxPixels <= 0 {
		errs = append(errs, fmt.Errorf("ocr: max_image_bytes (%d) and max_pixels (%d) must be positive", c.MaxImageBytes, c.MaxPixels))
	}
	return errors.Join(errs...)
}

// Method is the name of the child's handler.
const Method = "ocr.page"

// Request is one page image with its regions.
type Request struct {
	Image     []byte // PNG or JPEG
	MaxPixels int64
	Reading   string // what the parent's pipeline version names; a child that reads another way refuses
	Number    int
	DPI       int
	Regions   []schemas.LaidRegion
	Languages []string // codes the page is said to be in; where the quick recogniser lacks letters of one, the thorough one reads every line

	Figures bool   // with the pictures of figures
	Text    []byte // a document.Page that the image shows only what it lacks; empty: the image shows the page
}

// Result is the page result.
type Result struct {
	JSON       []byte // a document.Page
	Lines      int
	Words      int
	Confidence float64

	Figures []Figure // what the figures show
}

// Figure is one object beside the result.
type Figure struct {
	Name string // below the result
	PNG  []byte
}
