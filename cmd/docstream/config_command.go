package main

import (
	"reflect"

	"github.com/spf13/cobra"
)

func (p *program) configCommand() *cobra.Command {
	return &cobra.Command{Use: "config", Short: "Print the effective configuration, secrets as ***", Args: cobra.NoArgs,
		Long: "Print the configuration that every command would run with.\n" +
			"Each key can be set in the YAML file, by DOCSTREAM_<SECTION>_<KEY>, or by --set section.key=value.\n" +
			"Lists are parted by commas, lists of entries are JSON; sizes take KiB, MiB, GiB; durations are such as 90s or 24h.",
		RunE: func(*cobra.Command, []string) error {
			cfg, err := p.config()
			if err != nil {
				return err
			}
			if !p.json {
				return printYAML(p.stdout, cfg)
			}
			out := map[string]any{}
			for _, s := range settings(reflect.ValueOf(cfg)) {
				out[s.key] = s.text()
				if s.secret && !s.value.IsZero() {
					out[s.key] = "***"
				}
			}
			return p.print(out)
		}}
}
