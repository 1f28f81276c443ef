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
		wire, o := append(good[:5:5], body...), &schemas.DocumentSubmitted{}
		e, err := c.Decode(t.Context(), wire)
		if err == nil && e == nil {
			t.Fatal("neither an event nor an error")
		}
		if c.Outline(t.Context(), wire, o) != nil || err != nil {
			return
		}
		if d := e.(*schemas.DocumentSubmitted); d.Tenant != o.Tenant || d.JobID != o.JobID || d.Run != o.Run || d.FromPage != o.FromPage ||
			!d.SubmittedAt.Equal(o.SubmittedAt) || d.Source.MediaType != o.Source.MediaType {
			t.Fatalf("the outline is %+v of %+v", o, d)
		}
	})
}
