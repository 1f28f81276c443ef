package doors

import (
	"encoding/json"
	"io"
	"path"
	"strconv"
	"strings"

	"docstream/schemas"
	"docstream/schemas/document"
)

// reference points at another item of a document.
type reference struct {
	Ref string `json:"$ref"`
}

// item is what docling's texts, tables and pictures have in common.
type item struct {
	Self     string       `json:"self_ref"`
	Parent   *reference   `json:"parent,omitempty"`
	Children []reference  `json:"children"`
	Layer    string       `json:"content_layer"`
	Label    string       `json:"label"`
	Name     string       `json:"name,omitempty"` // of a group
	Prov     []provenance `json:"prov,omitempty"`
	Orig     *string      `json:"orig,omitempty"`
	Text     *string      `json:"text,omitempty"`
	Level    int          `json:"level,omitempty"`
	Data     *grid        `json:"data,omitempty"`
}

type provenance struct {
	Page int    `json:"page_no"`
	Box  box    `json:"bbox"`
	Span [2]int `json:"charspan"`
}

type box struct {
	L      float64 `json:"l"`
	T      float64 `json:"t"`
	R      float64 `json:"r"`
	B      float64 `json:"b"`
	Origin string  `json:"coord_origin"`
}

type grid struct {
	Cells   []gridCell `json:"table_cells"`
	Rows    int        `json:"num_rows"`
	Columns int        `json:"num_cols"`
}

type gridCell struct {
	Box      *box   `json:"bbox,omitempty"`
	RowSpan  int    `json:"row_span"`
	ColSpan  int    `json:"col_span"`
	RowFrom  int    `json:"start_row_offset_idx"`
	RowEnd   int    `json:"end_row_offset_idx"`
	ColFrom  int    `json:"start_col_offset_idx"`
	ColEnd   int    `json:"end_col_offset_idx"`
	Text     string `json:"text"`
	ColHead  bool   `json:"column_header"`
	RowHead  bool   `json:"row_header"`
	RowGroup bool   `json:"row_section"`
}

type pageItem struct {
	Size   map[string]float64 `json:"size"`
	Number int                `json:"page_no"`
}

// labels are docling's words for our kinds of blocks.
var labels = map[string]string{document.Heading: "section_header", document.Paragraph: "text", document.ListItem: "list_item", document.Caption: "caption",
	document.Header: "page_header", document.Footer: "page_footer", document.Equation: "formula", document.Reference: "reference", document.Code: "code",
	document.Note: "footnote"}

// doclingDocument is a document as docling writes it, version 1.0.0 of its schema.
type doclingDocument struct {
	Schema    string              `json:"schema_name"`
	Version   string              `json:"version"`
	Name      string              `json:"name"`
	Origin    *origin             `json:"origin"`
	Furniture item                `json:"furniture"`
	Body      item                `json:"body"`
	Groups    []item              `json:"groups"`
	Texts     []item              `json:"texts"`
	Pictures  []item              `json:"pictures"`
	Tables    []item              `json:"tables"`
	KeyValues []item              `json:"key_value_items"`
	Pages     map[string]pageItem `json:"pages"`
}

type origin struct {
	Media string `json:"mimetype"`
	Hash  uint64 `json:"binary_hash"`
	Name  string `json:"filename"`
}

func newDoclingDocument(job *schemas.JobSnapshot) *doclingDocument {
	name := strings.TrimSuffix(job.Source.Filename, path.Ext(job.Source.Filename))
	if name == "" {
		name = "document"
	}
	d := &doclingDocument{Schema: "DoclingDocument", Version: "1.0.0", Name: name,
		Furniture: item{Self: "#/furniture", Children: []reference{}, Layer: "furniture", Label: "unspecified", Name: "_root_"},
		Body:      item{Self: "#/body", Children: []reference{}, Layer: "body", Label: "unspecified", Name: "_root_"},
		Groups:    []item{}, Texts: []item{}, Pictures: []item{}, Tables: []item{}, KeyValues: []item{}, Pages: map[string]pageItem{}}
	if len(job.Source.SHA256) >= 16 {
		if h, err := strconv.ParseUint(job.Source.SHA256[:16], 16, 64); err == nil {
			d.Origin = &origin{Media: job.Source.MediaType, Hash: h, Name: job.Source.Filename}
		}
	}
	return d
}

// add takes the blocks of a page in reading order.
func (d *doclingDocument) add(p document.Page) {
	d.Pages[strconv.Itoa(p.Number)] = pageItem{map[string]float64{"width": p.Width, "height": p.Height}, p.Number}
	for _, b := range p.Blocks {
		at := provenance{Page: p.Number, Box: boxOf(b.Box), Span: [2]int{0, len([]rune(b.Text))}}
		i := item{Parent: &reference{"#/body"}, Children: []reference{}, Layer: "body", Prov: []provenance{at}}
		switch b.Kind {
		case document.TableKind:
			i.Label, i.Self, i.Data = "table", "#/tables/"+strconv.Itoa(len(d.Tables)), gridOf(b.Table)
			d.Tables = append(d.Tables, i)
		case document.Figure:
			i.Label, i.Self = "picture", "#/pictures/"+strconv.Itoa(len(d.Pictures))
			d.Pictures = append(d.Pictures, i)
		default:
			i.Label, i.Self, i.Orig, i.Text = labels[b.Kind], "#/texts/"+strconv.Itoa(len(d.Texts)), &b.Text, &b.Text
			if i.Label == "" {
				i.Label = "text"
			}
			if b.Kind == document.Heading {
				i.Level = max(1, b.Level)
			}
			if b.Kind == document.Header || b.Kind == document.Footer {
				i.Layer = "furniture"
			}
			d.Texts = append(d.Texts, i)
		}
		d.Body.Children = append(d.Body.Children, reference{i.Self})
	}
}

func boxOf(b document.Box) box { return box{b[0], b[1], b[2], b[3], "TOPLEFT"} }

func gridOf(t *document.Table) *grid {
	g := &grid{Cells: []gridCell{}}
	if t == nil {
		return g
	}
	g.Rows, g.Columns = t.Rows, t.Columns
	for _, c := range t.Cells {
		rows, columns, at := max(1, c.RowSpan), max(1, c.ColumnSpan), boxOf(c.Box)
		g.Cells = append(g.Cells, gridCell{Box: &at, RowSpan: rows, ColSpan: columns, RowFrom: c.Row, RowEnd: c.Row + rows, ColFrom: c.Column,
			ColEnd: c.Column + columns, Text: c.Text, ColHead: c.Header})
	}
	return g
}

// MaxDoclingJSON bounds the document that is written as docling's: its order differs from ours, so that it is held in memory (P6).
const MaxDoclingJSON = 16 << 20

// docling writes our document as docling's; nil is null.
func (s *sheet) docling(name string, job *schemas.JobSnapshot, from io.Reader) {
	if from == nil {
		s.value(name, nil)
		return
	}
	if s.err != nil {
		return
	}
	var in document.Document
	if s.err = json.NewDecoder(from).Decode(&in); s.err != nil {
		return
	}
	d := newDoclingDocument(job)
	for _, p := range in.Pages {
		d.add(p)
	}
	s.value(name, d)
}
