package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"docstream/internal/engine"
	"docstream/processors/layout"
	"docstream/processors/ocr"
	"docstream/processors/prepare"
	"docstream/processors/prepare/formats/witness"
)

func (p *program) engineCommand() *cobra.Command {
	var names []string
	var device bool
	c := &cobra.Command{Use: "engine", Short: "The child process of a worker", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := p.config()
			if err != nil {
				return err
			}
			return engine.Main(c.Context(), func(m *engine.Mux) error {
				if device {
					return engine.ServeDevice(c.Context(), m, cfg.Models)
				}
				return register(m, cfg, names)
			})
		}}
	c.Flags().StringSliceVar(&names, "stages", nil, "stages whose handlers it has")
	c.Flags().BoolVar(&device, "device", false, "hold the models for the children of a worker")
	return c
}

// register gives a child the handlers of its stages.
func register(m *engine.Mux, cfg Config, names []string) error {
	models, err := cfg.Models.Open()
	if err != nil {
		return err
	}
	for _, name := range names {
		switch name {
		case "prepare":
			prepare.Register(m, cfg.Prepare, func() (witness.Reader, error) { return ocr.OpenGlance(models) })
		case "layout":
			layout.Register(m, models.Layout, models.Orientation)
		case "ocr":
			ocr.Register(m, models)
		default:
			return fmt.Errorf("stage %q has no handlers", name)
		}
	}
	return nil
}
