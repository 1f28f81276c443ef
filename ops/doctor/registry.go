package doctor

import (
	"context"
	"errors"
	"net/http"

	"github.com/twmb/franz-go/pkg/sr"

	"docstream/schemas"
)

// registry asks whether the schema registry has what this build writes, or would take it.
func (h House) registry(ctx context.Context) []Finding {
	cl, err := h.Kafka.RegistryClient()
	if err == nil {
		_, err = cl.Subjects(ctx)
	}
	if err != nil {
		return []Finding{fail("the schema registry does not answer: "+err.Error(), "a process that starts waits for it; records of a schema not seen before cannot be read",
			"check kafka.registry in docstream config, and that the registry runs")}
	}
	var out []Finding
	var there, new int
	for _, s := range h.Plan.Specs() {
		for _, kind := range s.Kinds {
			known, f := h.subject(ctx, cl, h.Plan.Subject(s, kind), kind)
			switch {
			case f != nil:
				out = append(out, *f)
			case known:
				there++
			default:
				new++
			}
			if len(out) > 10 || ctx.Err() != nil {
				return out
			}
		}
	}
	if new > 0 {
		out = append(out, ok("%d subjects do not have this build's schema yet; they are registered when a process of it starts", new))
	}
	out = append(out, ok("%d subjects have this build's schemas", there))
	for _, level := range cl.Compatibility(ctx) {
		switch {
		case level.Err != nil:
			out = append(out, warn("the registry does not say which compatibility it enforces: "+level.Err.Error(), "nobody but our own test refuses a schema old readers cannot read", "let the doctor read /config"))
		case level.Level == sr.CompatNone:
			out = append(out, warn("the registry enforces no compatibility", "it takes a schema that old readers cannot read", "set its compatibility to FULL_TRANSITIVE"))
		default:
			out = append(out, ok("the registry enforces %s; the released schemas are FULL_TRANSITIVE by our own test", level.Level))
		}
	}
	return out
}

// subject reports whether a subject has a kind's schema; a finding says what is wrong.
func (h House) subject(ctx context.Context, cl *sr.Client, subject, kind string) (known bool, _ *Finding) {
	wrong := func(f Finding) (bool, *Finding) { return false, &f }
	text, err := schemas.Schema(kind)
	if err != nil {
		return wrong(fail(err.Error(), "this build is broken", "build it anew"))
	}
	want := sr.Schema{Schema: text, Type: sr.TypeAvro}
	_, err = cl.LookupSchema(ctx, subject, want)
	var refused *sr.ResponseError
	switch {
	case err == nil:
		return true, nil
	case !errors.As(err, &refused) || refused.StatusCode != http.StatusNotFound:
		return wrong(fail("looking up "+subject+": "+err.Error(), "a process that starts waits for the registry", "look at the registry"))
	}
	got, err := cl.CheckCompatibility(ctx, subject, -1, want)
	if err == nil && !got.Is {
		return wrong(fail(subject+": the registry holds a schema that this build's is not compatible with", "a process of this build cannot register it and does not start",
			"run the build that belongs to this house, or find out who registered the other schema"))
	}
	return false, nil
}
