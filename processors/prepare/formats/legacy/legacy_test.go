package legacy_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"docstream/internal/fault"
	"docstream/processors/prepare/formats/docx"
	"docstream/processors/prepare/formats/formatstest"
	"docstream/processors/prepare/formats/legacy"
	"docstream/processors/prepare/formats/pptx"
	"docstream/processors/prepare/formats/xlsx"
	"docstream/schemas"
)

func format(program string, limit time.Duration) legacy.Format {
	return legacy.New(program, limit, docx.New(), xlsx.New(), pptx.New())
}

func TestWithoutLibreOfficeTheCodeSaysSo(t *testing.T) {
	_, err := formatstest.Open(t, format("no-such-program", time.Second), legacy.Word, []byte("x"), formatstest.Limits)
	if f := fault.Of(err); err == nil || f.Code != schemas.ConverterMissing || f.Kind != fault.Permanent {
		t.Errorf("got %v", err)
	}
}

// TestAConverterThatHangsOrFailsHurtsOnlyItsDocument has a shell stand where LibreOffice would: the bounds around it are what is tested.
func TestAConverterThatHangsOrFailsHurtsOnlyItsDocument(t *testing.T) {
	for script, code := range map[string]schemas.Code{"sleep 60 & sleep 60": schemas.EngineTimeout, "exit 3": schemas.DocumentCorrupt, "exit 0": schemas.DocumentCorrupt} {
		program := filepath.Join(t.TempDir(), "converter")
		if err := os.WriteFile(program, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err := formatstest.Open(t, format(program, 300*time.Millisecond), legacy.Excel, []byte("x"), formatstest.Limits)
		if f := fault.Of(err); err == nil || f.Code != code || f.Kind != fault.Permanent {
			t.Errorf("%s: got %v, want %s", script, err, code)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s took %s", script, took)
		}
	}
}
