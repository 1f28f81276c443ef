// Package models gives tests the models. It lies apart from the rest of testenv, so that a test that reads nothing is not linked with the engine.
package models

import (
	"testing"

	"docstream/internal/engine"
	"docstream/internal/testenv"
)

// Open opens a set; without its files the test fails in CI and is skipped elsewhere.
func Open(t testing.TB, set engine.ModelSet) *engine.Models {
	t.Helper()
	if err := set.Check(); err != nil {
		testenv.Missing(t, err.Error())
	}
	m, err := set.Open()
	if err != nil {
		t.Fatal(err)
	}
	return m
}
