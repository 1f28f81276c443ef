package doctor

import (
	"context"
	"strings"
)

// models reads every model of the configured set.
func (h House) models(context.Context) []Finding {
	if h.Models == nil {
		return nil
	}
	if err := h.Models.Check(); err != nil {
		return []Finding{fail("the models are not complete: "+strings.Join(strings.Fields(err.Error()), " "), "prepare, layout and ocr do not start on this machine; documents wait",
			"make parts, or set models.dir to where they lie")}
	}
	return []Finding{ok("every model has its pinned digest")}
}
