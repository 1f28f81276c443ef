package compose

import (
	"fmt"
	"slices"
	"strings"

	"docstream/schemas"
	"docstream/schemas/document"
)

// asked leaves out of a page what the job did not ask for. The page's own object keeps it: another run may ask for it.
func asked(p *document.Page, o schemas.Options) {
	if o.Figures == schemas.Off {
		p.Blocks = slices.DeleteFunc(p.Blocks, func(b document.Block) bool { return b.Kind == document.Figure })
	}
	if o.Tables != schemas.Off {
		return
	}
	for i := range p.Blocks {
		b := &p.Blocks[i]
		if b.Table != nil {
			b.Kind, b.Text, b.Table = document.Paragraph, rowsOf(b.Table), nil
		}
	}
}

// rowsOf writes a table as lines of text, one a row.
func rowsOf(t *document.Table) string {
	var out strings.Builder
	row := -1
	for _, c := range t.Cells {
		text := strings.Join(strings.Fields(c.Text), " ")
		switch {
		case text == "":
			continue
		case row >= 0 && c.Row != row:
			out.WriteByte('\n')
		case row >= 0:
			out.WriteByte(' ')
		}
		out.WriteString(text)
		row = c.Row
	}
	return out.String()
}

// languages are those whose script the recognition models' dictionaries hold, by their codes.
var languages = map[string]bool{}

func init() {
	for _, l := range strings.Fields("af az br bs ca cs cy da de en eo es et eu fi fo fr ga gl hr hu id is it ja la lb lt lv mi ms mt nb nl nn no oc pl pt qu rm ro sk sl sq sv sw tl tr uz zh") {
		languages[l] = true
	}
}

// warnings say what in a result may be wrong for a reason that its reader cannot see.
func warnings(e *schemas.DocumentFinished) []string {
	if schemas.Bitmap(e.Finished).Count() == schemas.Bitmap(e.Text).Count() {
		return nil // nothing was recognised
	}
	var out []string
	for _, l := range e.Options.Languages {
		if main, _, _ := strings.Cut(l, "-"); !languages[main] {
			out = append(out, fmt.Sprintf("The document is said to be in %q, whose script the models here do not read: recognised pages may be wrong.", l))
		}
	}
	return out
}
