package prepare_test

import (
	"strings"
	"testing"

	"docstream/processors/prepare"
)

func TestTheDefaultsAreValid(t *testing.T) {
	if err := prepare.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestEveryValueThatCannotWorkIsNamed(t *testing.T) {
	for name, change := range map[string]func(*prepare.Config){
		"source_dir":      func(c *prepare.Config) { c.SourceDir = "" },
		"source_bytes":    func(c *prepare.Config) { c.SourceBytes = 0 },
		"max_pages":       func(c *prepare.Config) { c.MaxPages = 0 },
		"max_side":        func(c *prepare.Config) { c.MaxSide = -1 },
		"max_pixels":      func(c *prepare.Config) { c.MaxPixels = 0 },
		"max_text":        func(c *prepare.Config) { c.MaxText = 0 },
		"dpi":             func(c *prepare.Config) { c.DPI = 5 },
		"image_side":      func(c *prepare.Config) { c.ImageSide = c.MaxSide + 1 },
		"layer_lines":     func(c *prepare.Config) { c.LayerLines = -1 },
		"layer_agreement": func(c *prepare.Config) { c.LayerAgreement = 2 },
		"layer_silence":   func(c *prepare.Config) { c.LayerSilence = -1 },
		"ocr_class":       func(c *prepare.Config) { c.OCRClass = "tpu" },
		"buckets[0]":      func(c *prepare.Config) { c.Buckets = []prepare.Bucket{{Tenant: "Acme", Bucket: "scans"}} },
		"no name":         func(c *prepare.Config) { c.Buckets = []prepare.Bucket{{Tenant: "acme", Bucket: "a/b"}} },
		"last_attempt":    func(c *prepare.Config) { c.LastAttempt = -1 },
	} {
		c := prepare.DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
