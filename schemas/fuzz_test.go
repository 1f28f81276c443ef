package schemas_test

import (
	"testing"

	"docstream/schemas"
)

// FuzzRecord decodes what anybody may have put on a lane.
func FuzzRecord(f *testing.F) {
	c, _ := newCodec(f)
	if err := c.Register(f.Context(), "p", "DocumentSubmitted"); err != nil {
		f.Fatal(err)
	}
	good, err := c.Encode(&schemas.DocumentSubmitted{Head: schemas.Head{JobID: "job_x"}, Options: schemas.Options{OCR: "auto"}, Metadata: map[string]string{"a": "b"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[5:])
	f.Fuzz(func(t *testing.T, body []byte) {
		if e, err := c.Decode(t.Context(), append(good[:5:5], body...)); err == nil && e == nil {
			t.Fatal("neither an event nor an error")
		}
		if o, err := c.Outline(t.Context(), append(good[:5:5], body...)); err == nil && o == nil {
			t.Fatal("neither an outline nor an error")
		}
	})
}
