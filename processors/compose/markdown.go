package compose

import (
	"bufio"
	"fmt"
	"regexp"
	"strings"

	"docstream/schemas/document"
)

// markdownRenderer writes GitHub's Markdown. What stands in the document as plain signs is escaped where Markdown would read it as
// something else. Running headers and footers are left out and page boundaries cannot be seen; a page without a result leaves a comment. In a
// document of one page nothing runs along: there they are text.
type markdownRenderer struct {
	w        *bufio.Writer
	failures []document.Failure // still to be mentioned, by page
	last     string             // kind of the block before
	any      bool
	depth    int // of the list item before; none may be deeper by more than one
	flow     flow
}

func newMarkdown(w *bufio.Writer) *markdownRenderer {
	r := &markdownRenderer{w: w}
	r.flow.write = r.block
	return r
}

func (r *markdownRenderer) begin(h document.Head) { r.failures = h.Failures }

func (r *markdownRenderer) page(p *document.Page) {
	r.mention(p.Number)
	for _, b := range p.Blocks {
		if shown(b) {
			r.flow.block(b)
		}
	}
}

func (r *markdownRenderer) end() {
	r.flow.flush()
	r.mention(1 << 30)
}

// mention writes a comment for each failed page before page n.
func (r *markdownRenderer) mention(n int) {
	for ; len(r.failures) > 0 && r.failures[0].Page < n; r.failures = r.failures[1:] {
		r.flow.flush()
		r.separate("comment")
		f := r.failures[0]
		_, _ = fmt.Fprintf(r.w, "<!-- page %d: %s -->\n", f.Page, commentSafe(f.Code))
	}
}

func commentSafe(s string) string { return strings.ReplaceAll(s, "--", "") }

// separate puts an empty line between two blocks, none between two items of a list.
func (r *markdownRenderer) separate(kind string) {
	if r.any && !(kind == document.ListItem && r.last == document.ListItem) {
		_ = r.w.WriteByte('\n')
	}
	r.any, r.last = true, kind
}

func (r *markdownRenderer) block(b document.Block) {
	if b.Kind == document.TableKind && b.Table.Continues && r.last == document.TableKind {
		r.rows(grid(b.Table, true), false)
		return
	}
	r.separate(b.Kind)
	if b.Kind != document.ListItem {
		r.depth = 0
	}
	switch b.Kind {
	case document.Heading:
		_, _ = fmt.Fprintf(r.w, "%s %s\n", strings.Repeat("#", min(max(b.Level, 1), 6)), marked(b.Text, b.Spans, " "))
	case document.ListItem:
		marker, text, spans := listed(b)
		r.depth = min(max(b.Level, 1), r.depth+1, 8)
		_, _ = fmt.Fprintf(r.w, "%s%s %s\n", strings.Repeat("    ", r.depth-1), marker, marked(text, spans, " "))
	case document.TableKind:
		r.rows(grid(b.Table, true), true)
	case document.Code:
		fence := "```"
		for strings.Contains(b.Text, fence) {
			fence += "`"
		}
		_, _ = fmt.Fprintf(r.w, "%s\n%s\n%s\n", fence, strings.TrimRight(b.Text, "\n"), fence)
	case document.Equation:
		_, _ = fmt.Fprintf(r.w, "$$\n%s\n$$\n", strings.TrimSpace(b.Text))
	case document.Caption:
		_, _ = fmt.Fprintf(r.w, "*%s*\n", inline(oneLine(b.Text)))
	case document.Figure:
		r.figure(b)
	case document.Note:
		if b.Label != "" {
			_, _ = fmt.Fprintf(r.w, "[^%s]: %s\n", label(b.Label), marked(b.Text, b.Spans, " "))
			return
		}
		fallthrough
	default:
		r.text(b)
	}
}

// text writes a paragraph.
func (r *markdownRenderer) text(b document.Block) {
	lines := strings.Split(marked(b.Text, b.Spans, "\n"), "\n")
	for i, l := range lines {
		lines[i] = start(l)
	}
	_, _ = fmt.Fprintf(r.w, "%s\n", strings.Join(lines, "  \n"))
}

// figure writes a picture with what its document says of it. What was read in a picture stands below it.
func (r *markdownRenderer) figure(b document.Block) {
	if b.Image == nil {
		r.text(b)
		return
	}
	said := said(b)
	_, _ = fmt.Fprintf(r.w, "![%s](%s)\n", strings.ReplaceAll(inline(oneLine(said)), "]", `\]`), b.Image.Name)
	if b.Text != said {
		_ = r.w.WriteByte('\n')
		r.text(b)
	}
}

// said is what a document says of a figure's picture: its text, unless that was read in the picture.
func said(b document.Block) string {
	if len(b.Lines) > 0 {
		return ""
	}
	return b.Text
}

// rows writes a table with its first row as the head, which Markdown demands; rows that go on where a table ended have none.
func (r *markdownRenderer) rows(rows [][]*document.Cell, head bool) {
	for i, row := range rows {
		_ = r.w.WriteByte('|')
		for _, c := range row {
			text := ""
			if c != nil {
				text = strings.ReplaceAll(marked(c.Text, c.Spans, " "), "|", `\|`)
			}
			_, _ = r.w.WriteString(" " + text + " |")
		}
		_ = r.w.WriteByte('\n')
		if i == 0 && head {
			_, _ = r.w.WriteString("|" + strings.Repeat(" --- |", len(row)) + "\n")
		}
	}
}

var (
	bullet   = regexp.MustCompile(`^[•◦▪■●○‣⁃∙·*+–—-]\s+`)
	number   = regexp.MustCompile(`^(\d{1,9})[.)]\s+`)
	leading  = regexp.MustCompile(`^(#{1,6}(\s|$)|>|[-+](\s|$)|\d{1,9}[.)](\s|$)|={3,}|-{3,}|~{3,})`)
	emphasis = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "<", `\<`, "[", `\[`)
	edges    = regexp.MustCompile(`(^|[^\p{L}\p{N}])_|_([^\p{L}\p{N}]|$)`)
)

// item splits a list item into the marker Markdown knows and the rest. Letters and Roman numbers are no markers of Markdown; they stay in
// the text.
func item(s string) (marker, text string) {
	if m := bullet.FindString(s); m != "" {
		return "-", s[len(m):]
	}
	if m := number.FindStringSubmatch(s); m != nil {
		return m[1] + ".", s[len(m[0]):]
	}
	return "-", s
}

// inline escapes what Markdown would take for a mark inside a line.
func inline(s string) string {
	s = emphasis.Replace(s)
	return edges.ReplaceAllStringFunc(s, func(m string) string { return strings.Replace(m, "_", `\_`, 1) })
}

// start escapes what Markdown would take for a mark at the start of a paragraph.
func start(s string) string {
	m := leading.FindString(s)
	if m == "" {
		return s
	}
	if i := strings.IndexAny(m, ".)"); i > 0 {
		return s[:i] + `\` + s[i:]
	}
	return `\` + s
}
