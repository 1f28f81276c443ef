package prepare_test

import (
	"testing"

	"docstream/internal/fault"
	"docstream/processors/prepare"
	"docstream/schemas"
)

func TestAJobsOwnOptionsAreHonoured(t *testing.T) {
	p := pool(t, nil)
	scan := func(t *testing.T, o schemas.Options) schemas.Image {
		b := newBench(t, p, nil)
		e := b.submit(pdfType, book(1))
		e.Options, e.Options.OCR = o, "force"
		return b.work(t, e, schemas.Delivery{})[1].(*schemas.PagePrepared).Image
	}
	usual, fine := scan(t, schemas.Options{}), scan(t, schemas.Options{DPI: 300})
	if usual.DPI != prepare.DefaultConfig().DPI || fine.DPI != 300 || fine.Width != 2*usual.Width {
		t.Errorf("usual %+v, at 300 dpi %+v", usual, fine)
	}
	for name, c := range map[string]struct {
		options schemas.Options
		code    schemas.Code
	}{
		"as many pages as asked for":      {schemas.Options{MaxPages: 3}, ""},
		"more pages than asked for":       {schemas.Options{MaxPages: 2}, schemas.DocumentTooManyPages},
		"more than the deployment allows": {schemas.Options{MaxPages: 1_000_000}, schemas.DocumentTooManyPages},
		"no resolution":                   {schemas.Options{DPI: 7}, schemas.InvalidOption},
		"no language":                     {schemas.Options{Languages: []string{"?"}}, schemas.InvalidOption},
		"neither on nor off":              {schemas.Options{Tables: "maybe"}, schemas.InvalidOption},
	} {
		t.Run(name, func(t *testing.T) {
			pages := 3
			b := newBench(t, p, func(c *prepare.Config) { c.MaxPages = 4 })
			if c.options.MaxPages > 4 {
				pages = 5
			}
			e := b.submit(pdfType, book(pages))
			e.Options = c.options
			_, err := b.stage.Work(t.Context(), e, schemas.Delivery{})
			if c.code == "" && err != nil || c.code != "" && (err == nil || fault.Of(err).Code != c.code || fault.KindOf(err) != fault.Permanent) {
				t.Errorf("got %v, want %q", err, c.code)
			}
		})
	}
}
