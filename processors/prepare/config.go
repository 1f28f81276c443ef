package prepare

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats"
	"docstream/processors/prepare/formats/witness"
	"docstream/schemas"
)

// Config bounds what a document may ask for and says how its pages are turned into images.
type Config struct {
	SourceDir   string `koanf:"source_dir"`   // folder below which each worker claims one for the sources it fetches
	SourceBytes int64  `koanf:"source_bytes"` // bound of that folder, and so of one document
	CompileDir  string `koanf:"compile_dir"`  // folder of the compiled PDF engine, shared by processes; empty: compile in every child

	MaxBytes  int64 `koanf:"max_bytes"`  // of one document: FILE_TOO_LARGE
	MaxPages  int   `koanf:"max_pages"`  // of one document
	MaxSide   int   `koanf:"max_side"`   // pixels a side of a picture that is read at all
	MaxPixels int64 `koanf:"max_pixels"` // of such a picture
	MaxText   int64 `koanf:"max_text"`   // bytes of a plain text

	MaxUnpacked    int64 `koanf:"max_unpacked"`    // bytes that the parts of a packed document (Office, e-book) may unpack to
	MaxRatio       int64 `koanf:"max_ratio"`       // bytes that a packed byte of such a document may unpack to, beyond the first 32 MiB; 0: any
	MaxParts       int   `koanf:"max_parts"`       // files in such a document
	MaxDepth       int   `koanf:"max_depth"`       // elements within elements
	MaxAttachments int   `koanf:"max_attachments"` // of a message that are read as pages; the others are named
	MaxLetters     int   `koanf:"max_letters"`     // messages within messages that are read

	LibreOffice string        `koanf:"libreoffice"`  // program that converts old Office formats; looked for in the path where it is no path
	ConvertTime time.Duration `koanf:"convert_time"` // that it may take

	DPI         int    `koanf:"dpi"`          // of rendered pages
	ImageSide   int    `koanf:"image_side"`   // pixels a side of a page image; larger ones are made smaller
	OCRClass    string `koanf:"ocr_class"`    // hardware class of the lanes that page images go to
	LastAttempt int    `koanf:"last_attempt"` // attempt, from 0, at which a page that crashes the engine is given up alone

	LayerLines     int     `koanf:"layer_lines"`     // of a page with a hidden text layer that are read to hold it to the picture; 0: it is believed where it looks well
	LayerAgreement float64 `koanf:"layer_agreement"` // of such a layer with what is read, 0 to 1: below it the page is recognised
	LayerSilence   float64 `koanf:"layer_silence"`   // of the lines of the picture that such a layer may lack, 0 to 1

	Buckets []Bucket `koanf:"buckets"` // where sources may lie besides the tenant's own prefix of the platform's bucket

	// Versions are the version strings of the stages behind this one that read pages, Composing that of the one that makes the outputs of them:
	// what they change, changes the pipeline version. The switchboard fills them in.
	Versions  []string `koanf:"-"`
	Composing string   `koanf:"-"`
}

// DefaultConfig suits a worker with some gigabytes of disk; both folders lie below the working directory of the process.
func DefaultConfig() Config {
	return Config{
		SourceDir:   "data/sources",
		SourceBytes: 4 << 30,
		CompileDir:  "data/compiled",
		MaxBytes:    500 << 20,
		MaxPages:    3000,
		MaxSide:     10_000,
		MaxPixels:   64_000_000,
		MaxText:     8 << 20,

		MaxUnpacked:    512 << 20,
		MaxRatio:       100,
		MaxParts:       20_000,
		MaxDepth:       256,
		MaxAttachments: 100,
		MaxLetters:     3,

		LibreOffice: "soffice",
		ConvertTime: 90 * time.Second,

		DPI:         150,
		ImageSide:   4096,
		OCRClass:    "gpu",
		LastAttempt: 3,

		LayerLines:     8,
		LayerAgreement: 0.85,
		LayerSilence:   0.1,

		Buckets: []Bucket{},
	}
}

// Validate names every value that cannot work.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, a ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("prepare: "+format, a...))
		}
	}
	check(c.SourceDir != "", "source_dir is missing")
	check(c.SourceBytes > 0, "source_bytes must be positive, is %d", c.SourceBytes)
	check(c.MaxBytes > 0, "max_bytes must be positive, is %d", c.MaxBytes)
	check(c.MaxPages > 0, "max_pages must be positive, is %d", c.MaxPages)
	check(c.MaxSide > 0, "max_side must be positive, is %d", c.MaxSide)
	check(c.MaxPixels > 0, "max_pixels must be positive, is %d", c.MaxPixels)
	check(c.MaxText > 0, "max_text must be positive, is %d", c.MaxText)
	check(c.MaxUnpacked > 0, "max_unpacked must be positive, is %d", c.MaxUnpacked)
	check(c.MaxRatio >= 0, "max_ratio must not be negative, is %d", c.MaxRatio)
	check(c.MaxParts > 0, "max_parts must be positive, is %d", c.MaxParts)
	check(c.MaxDepth >= 16 && c.MaxDepth <= 10_000, "max_depth must be 16 to 10000, is %d", c.MaxDepth)
	check(c.MaxAttachments >= 0, "max_attachments must not be negative, is %d", c.MaxAttachments)
	check(c.MaxLetters >= 0, "max_letters must not be negative, is %d", c.MaxLetters)
	check(c.ConvertTime > 0, "convert_time must be positive, is %s", c.ConvertTime)
	check(c.DPI >= 36 && c.DPI <= 600, "dpi must be 36 to 600, is %d", c.DPI)
	check(c.ImageSide >= 256 && c.ImageSide <= c.MaxSide, "image_side must be 256 to max_side (%d), is %d", c.MaxSide, c.ImageSide)
	check(c.OCRClass == "cpu" || c.OCRClass == "gpu", "ocr_class must be cpu or gpu, is %q", c.OCRClass)
	check(c.LastAttempt >= 0, "last_attempt must not be negative, is %d", c.LastAttempt)
	check(c.LayerLines >= 0 && c.LayerLines <= 100, "layer_lines must be 0 to 100, is %d", c.LayerLines)
	check(c.LayerAgreement >= 0 && c.LayerAgreement <= 1, "layer_agreement must be 0 to 1, is %g", c.LayerAgreement)
	check(c.LayerSilence >= 0 && c.LayerSilence <= 1, "layer_silence must be 0 to 1, is %g", c.LayerSilence)
	for i, b := range c.Buckets {
		check(schemas.ValidTenant(b.Tenant), "buckets[%d]: tenant %q is not of the form [a-z0-9-]{1,40}", i, b.Tenant)
		check(bucketForm.MatchString(b.Bucket), "buckets[%d]: %q is no name of a bucket", i, b.Bucket)
	}
	return errors.Join(errs...)
}

// limits are the deployment's; a job may ask for fewer pages.
func (c Config) limits(o schemas.Options) formats.Limits {
	most := c.MaxPages
	if o.MaxPages > 0 {
		most = min(most, o.MaxPages)
	}
	return formats.Limits{Pages: most, Side: c.MaxSide, Pixels: c.MaxPixels, Text: c.MaxText, Unpacked: c.MaxUnpacked, Ratio: c.MaxRatio, Parts: c.MaxParts,
		Depth: c.MaxDepth, Attachments: c.MaxAttachments, Letters: c.MaxLetters}
}

func (c Config) want(o schemas.Options) formats.Want {
	return formats.Want{OCR: ocr(o), DPI: cmp.Or(o.DPI, c.DPI), Side: c.ImageSide, Figures: o.Figures == schemas.On,
		Layers: witness.Bounds{Lines: c.LayerLines, Agreement: c.LayerAgreement, Silence: c.LayerSilence}}
}

// rendering is what of the configuration can change a result.
func (c Config) rendering() string {
	return fmt.Sprintf("dpi=%d side=%d layer=%d,%g,%g", c.DPI, c.ImageSide, c.LayerLines, c.LayerAgreement, c.LayerSilence)
}

func ocr(o schemas.Options) string {
	if o.OCR == "" {
		return formats.Auto
	}
	return o.OCR
}

// fits refuses a document of more bytes than the limit.
func (c Config) fits(size int64) error {
	if size > c.MaxBytes {
		return fault.Document(schemas.FileTooLarge, "The document has %d bytes; the limit is %d.", size, c.MaxBytes)
	}
	return nil
}
