package main

import (
	"github.com/spf13/cobra"

	"docstream/ops/bench/structure"
)

// benchStructureCommand scores Markdown that lies there already, ours or another program's.
func (p *program) benchStructureCommand() *cobra.Command {
	return &cobra.Command{Use: "structure MADE EXPECTED", Short: "Score Markdown against what is expected of it, by file", Args: cobra.ExactArgs(2),
		Long: "Compare every Markdown file of the folder EXPECTED with the file of the same name in MADE: F1 of words, of neighbouring words (reading\n" +
			"order), of headings with level, of list items with depth, and of table cells with their neighbours.",
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
