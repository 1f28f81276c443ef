package main

import (
	"github.com/spf13/cobra"

	"docstream/ops/bench/structure"
)

// benchStructureCommand scores Markdown that lies there already, ours or another program's.
func (p *program) benchStructureCommand() *cobra.Command {
	return &cobra.Command{Use: "structure MADE EXPECTED", Short: "Score Markdown against what is expected of it, by file", Args: cobra.ExactArgs(2),
		Long: "Compare the Markdown files of MADE, which bench convert writes, with the files of the same names in EXPECTED. Against Markdown: F1 of\n" +
			"words, of neighbouring words (reading order), of headings with level, of list items with depth, of table cells with their\n" +
			"neighbours, and the character error rate. Against a text: words and characters. Against JSON: the share of its values found.",
		RunE: func(_ *cobra.Command, folders []string) error {
			rows, err := structure.Folders(folders[0], folders[1])
			if err != nil {
				return fail(exitUsage, "%s", err)
			}
			if p.json {
				return p.print(rows)
			}
			return structure.Write(p.stdout, rows)
		}}
}
