package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"docstream/ops/sample"
)

// sampleCommand makes a sample document and, where asked, its true text.
func (p *program) sampleCommand() *cobra.Command {
	o := sample.Default()
	var out, truth string
	c := &cobra.Command{Use: "sample --out FILE", Short: "Make a sample document", Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := o.Validate(); err != nil {
				return exit{exitUsage, err.Error()}
			}
			if err := writeFile(out, func(w io.Writer) error { return sample.Write(w, o) }); err != nil {
				return err
			}
			if truth == "" {
				return nil
			}
			return writeFile(truth, func(w io.Writer) error { return sample.WriteTruth(w, o) })
		}}
	c.Flags().StringVar(&out, "out", "", "PDF to write")
	c.Flags().StringVar(&truth, "truth", "", "text file to write the true text to")
	c.Flags().IntVar(&o.Pages, "pages", o.Pages, "number of pages")
	c.Flags().IntVar(&o.DPI, "dpi", o.DPI, "resolution of the page images")
	c.Flags().BoolVar(&o.Text, "text-layer", false, "a text layer instead of page images")
	c.Flags().Uint64Var(&o.Seed, "seed", o.Seed, "of the noise and of the words after page 3")
	_ = c.MarkFlagRequired("out") // the flag exists: it cannot fail
	return c
}

// writeFile writes a file whole or not at all: it appears under its name when it is complete.
func writeFile(path string, fill func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already once it was renamed
	if err := errors.Join(fill(f), f.Sync(), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
