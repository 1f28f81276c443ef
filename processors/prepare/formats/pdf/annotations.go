package pdf

import (
	"github.com/klippa-app/go-pdfium/enums"
	"github.com/klippa-app/go-pdfium/requests"
)

const maxAnnotations = 2000 // looked at on one page

// flatten makes what was filled in, typed or stamped onto the page a part of its content: the values of a form are no part of it in the file.
// It reports whether there was something; the page has no links then any more. A page that cannot be flattened is read as it is.
func (p *page) flatten() bool {
	c, err := p.pdf.FPDFPage_GetAnnotCount(&requests.FPDFPage_GetAnnotCount{Page: p.page})
	if err != nil {
		return false
	}
	for i := range min(c.Count, maxAnnotations) {
		if p.speaks(i) {
			_, _ = p.pdf.FPDFPage_Flatten(&requests.FPDFPage_Flatten{Page: p.page, Usage: requests.FPDFPage_FlattenUsageNormalDisplay})
			return true
		}
	}
	return false
}

// speaks reports whether an annotation shows something of its own, as links and notes do not.
func (p *page) speaks(i int) bool {
	a, err := p.pdf.FPDFPage_GetAnnot(&requests.FPDFPage_GetAnnot{Page: p.page, Index: i})
	if err != nil {
		return false
	}
	defer func() { _, _ = p.pdf.FPDFPage_CloseAnnot(&requests.FPDFPage_CloseAnnot{Annotation: a.Annotation}) }()
	s, err := p.pdf.FPDFAnnot_GetSubtype(&requests.FPDFAnnot_GetSubtype{Annotation: a.Annotation})
	if err != nil {
		return false
	}
	switch s.Subtype {
	case enums.FPDF_ANNOT_SUBTYPE_WIDGET, enums.FPDF_ANNOT_SUBTYPE_FREETEXT, enums.FPDF_ANNOT_SUBTYPE_STAMP, enums.FPDF_ANNOT_SUBTYPE_INK:
		return true
	}
	return false
}
