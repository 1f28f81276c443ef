package compose_test

import (
	"log/slog"
	"strings"
	"testing"

	"docstream/internal/fault"
	"docstream/processors/compose"
	"docstream/schemas"
)

func TestTheDefaultsAreValid(t *testing.T) {
	if err := compose.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	if err := (compose.Config{}).Validate(); err == nil {
		t.Error("nothing is valid")
	}
}

func TestAPageOverTheBoundFailsTheComposition(t *testing.T) {
	for _, source := range []string{"text", "ocr"} {
		s, e := newStore(), event(1)
		s.put(t, e, page(1, source, para(strings.Repeat("long ", 50_000))))
		stage := compose.New(compose.Config{MaxPage: 100_000}, s, nil, slog.New(slog.DiscardHandler))
		if _, err := stage.Work(t.Context(), e, schemas.Delivery{}); fault.Of(err).Code != schemas.ComposeFailed {
			t.Errorf("%s: %v", source, err)
		}
	}
}
