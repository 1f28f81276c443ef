package schemas_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"pgregory.net/rapid"

	"docstream/schemas"
)

func TestAnOutlineSaysWhatTheWholeSubmissionSays(t *testing.T) {
	c, _ := newCodec(t)
	if err := c.Register(t.Context(), "d-value", "DocumentSubmitted"); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		in := &schemas.DocumentSubmitted{}
		fill(rt, reflect.ValueOf(in).Elem())
		wire, err := c.Encode(in)
		if err != nil {
			rt.Fatal(err)
		}
		out := &schemas.DocumentSubmitted{}
		if err := c.Outline(t.Context(), wire, out); err != nil {
			rt.Fatal(err)
		}
		want := &schemas.DocumentSubmitted{Head: schemas.Head{Tenant: in.Tenant, JobID: in.JobID, Run: in.Run, SubmittedAt: in.SubmittedAt}, FromPage: in.FromPage,
			Source: schemas.Source{MediaType: in.Source.MediaType}}
		if !reflect.DeepEqual(out, want) {
			rt.Fatalf("got %+v, want %+v", out, want)
		}
	})
}

func TestAnOutlineOfAnOlderSubmissionHasTheDefaults(t *testing.T) {
	c, registry := newCodec(t)
	s, err := registry.CreateSchema(t.Context(), "old", sr.Schema{Schema: `{"type":"record","name":"DocumentSubmitted","namespace":"docstream","fields":[{"name":"colour","type":"string"},{"name":"job_id","type":"string"}]}`})
	if err != nil {
		t.Fatal(err)
	}
	got := &schemas.DocumentSubmitted{Head: schemas.Head{Tenant: "another", SubmittedAt: time.Now()}, FromPage: 7} // what was read before is gone
	err = c.Outline(t.Context(), []byte{0, 0, 0, 0, byte(s.ID), 6, 'r', 'e', 'd', 10, 'j', 'o', 'b', '_', 'x'}, got)
	if want := (&schemas.DocumentSubmitted{Head: schemas.Head{JobID: "job_x"}, FromPage: 1}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v %v, want %+v", got, err, want)
	}
}

func TestOnlySubmissionsHaveAnOutline(t *testing.T) {
	c, _ := newCodec(t)
	for _, kind := range []string{"DocumentSubmitted", "PageFinished"} {
		if err := c.Register(t.Context(), kind+"-value", kind); err != nil {
			t.Fatal(err)
		}
	}
	good, err := c.Encode(&schemas.DocumentSubmitted{FromPage: 1})
	if err != nil {
		t.Fatal(err)
	}
	page, err := c.Encode(&schemas.PageFinished{Page: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"nothing": nil, "plain JSON": []byte(`{"a":1}`), "an unknown schema id": {0, 0, 0, 9, 9, 1}, "another event": page,
		"cut short": good[:len(good)-1], "with bytes behind": append(append([]byte{}, good...), 0)} {
		for range 2 { // what is known of a schema is remembered
			if err := c.Outline(t.Context(), b, &schemas.DocumentSubmitted{}); !errors.Is(err, schemas.ErrUndecodable) {
				t.Errorf("%s: %v, want undecodable", name, err)
			}
		}
	}
}
