package markdown_test

import (
	"strings"
	"testing"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats/formatstest"
	"docstream/processors/prepare/formats/markdown"
	"docstream/schemas"
)

func TestMarkdownBecomesBlocks(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"headings":         {"# One #\ntext\nmore\n\nTwo\n---\n", "heading1: One\nparagraph: text more\nheading2: Two\n"},
		"lists":            {"- a\n  - b\n\n3. c\n4. d\n", "list_item1: • a\nlist_item2: • b\nlist_item1: 3. c\nlist_item1: 4. d\n"},
		"code":             {"```go\na\n\n  b\n```\nafter", "code: a⏎⏎  b\nparagraph: after\n"},
		"tables":           {"| a | b |\n|---|---|\n| 1 | 2 |\n", "table 2x2\n 0: |0 *a |1 *b\n 1: |0 1 |1 2\n"},
		"looks and links":  {"**b** *i* `c` [l](https://a.example) [no](javascript:x)", "paragraph: b i c l no {strong \"b\"} {emphasis \"i\"} {code \"c\"} {link \"l\" https://a.example}\n"},
		"HTML within":      {"<table><tr><th>x<td>y</table>", "table 1x2\n 0: |0 *x |1 y\n"},
		"notes":            {"a[^x]\n\n[^x]: said\n", "paragraph: a[1] {note_ref \"[1]\" 1}\nnote[1]: said\n"},
		"what is to do":    {"- [x] a\n- [ ] b\n", "list_item1: • ☒ a\nlist_item1: • ☐ b\n"},
		"settings before":  {"---\ntitle: x\n---\n# T\n", "heading1: T\n"},
		"a line of dashes": {"---\n\ntext\n", "paragraph: text\n"},
	} {
		t.Run(name, func(t *testing.T) {
			pages, err := formatstest.Read(t, markdown.New(), markdown.MediaType, []byte(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if got := formatstest.Outline(pages); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestHostileMarkdownIsRefused(t *testing.T) {
	for in, code := range map[string]schemas.Code{"": schemas.DocumentEmpty, strings.Repeat(">", 10_000) + "x": schemas.DocumentTooDeep} {
		if _, err := formatstest.Open(t, markdown.New(), markdown.MediaType, []byte(in), formatstest.Limits); fault.Of(err).Code != code {
			t.Errorf("got %v, want %s", err, code)
		}
	}
}

func FuzzMarkdown(f *testing.F) {
	f.Add([]byte("# T\n\n- a\n  1. b\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```go\nx\n```\n[l](https://a.example) <b>x</b>"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, err := formatstest.Read(t, markdown.New(), markdown.MediaType, in); err != nil && fault.KindOf(err) != fault.Permanent {
			t.Fatal(err)
		}
	})
}
