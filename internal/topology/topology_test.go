package topology_test

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"testing"
	"time"

	"docstream/internal/topology"
	"docstream/schemas"
)

var update = flag.Bool("update", false, "write the golden files")

func TestTheGraphIsTheGoldenOne(t *testing.T) {
	for format, file := range map[string]string{"text": "testdata/topology.golden.txt", "mermaid": "testdata/topology.golden.mermaid"} {
		var got bytes.Buffer
		if err := topology.DefaultConfig().Describe(&got, format); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s changed; if that is meant: go test ./internal/topology -update\n%s", file, got.String())
		}
	}
}

// event returns an event of a kind that stands in the lanes.
func event(kind string) schemas.Event {
	e := schemas.New(kind)
	*e.Envelope() = schemas.Head{Tenant: "acme", JobID: "job_x"}
	switch e := e.(type) {
	case *schemas.DocumentSubmitted:
		e.Class, e.Priority, e.FromPage = "gpu", "low", 1
	case *schemas.PagePrepared:
		e.Class, e.Priority = "gpu", "low"
	case *schemas.PageLaidOut:
		e.Class, e.Priority = "gpu", "low"
	case *schemas.DocumentFinished:
		e.Class, e.Priority = "gpu", "low"
	}
	return e
}

func TestEveryEventHasAPlace(t *testing.T) {
	plan := topology.DefaultConfig()
	for _, kind := range schemas.Kinds {
		topic, key, err := topology.Route(event(kind))
		if err != nil || key == "" {
			t.Errorf("%s has no place: key %q, %v", kind, key, err)
			continue
		}
		i := slices.IndexFunc(plan.Specs(), func(s topology.Spec) bool { return s.Name == topic })
		if i < 0 {
			t.Errorf("%s goes to %s, which is not in the plan", kind, topic)
		} else if !slices.Contains(plan.Specs()[i].Kinds, kind) {
			t.Errorf("%s goes to %s, which does not name it", kind, topic)
		}
	}
}

func TestLanesAreAClosedSet(t *testing.T) {
	for _, c := range []struct {
		name string
		e    schemas.Event
		want string // topic, empty where there is none
	}{
		{"a submission goes to its lane", &schemas.DocumentSubmitted{Class: "cpu", Priority: "high", FromPage: 1}, "documents.cpu.high"},
		{"a continuation goes to the splits", &schemas.DocumentSubmitted{Class: "cpu", Priority: "high", FromPage: 33}, "splits.high"},
		{"a later run goes to the splits", &schemas.DocumentSubmitted{Head: schemas.Head{Run: 1}, Class: "cpu", Priority: "low", FromPage: 1}, "splits.low"},
		{"an unknown class has no lane", &schemas.DocumentSubmitted{Class: "tpu", Priority: "high", FromPage: 1}, ""},
		{"an unknown priority has no lane", &schemas.PagePrepared{Class: "cpu", Priority: "urgent"}, ""},
	} {
		got, _, err := topology.Route(c.e)
		if err != nil {
			got = ""
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if n := len(topology.Prepare.Lanes("cpu")); n != 9 {
		t.Errorf("prepare reads %d lanes, want 9 whatever its class", n)
	}
	if n := len(topology.Layout.Lanes("gpu")); n != 3 {
		t.Errorf("layout reads %d lanes of its class, want 3", n)
	}
}

func TestPlansThatCannotKeepThePromisesAreRefused(t *testing.T) {
	for name, change := range map[string]func(*topology.Config){
		"no partitions":                        func(c *topology.Config) { c.State = 0 },
		"no replica":                           func(c *topology.Config) { c.Replication = 0 },
		"more in sync than replicas":           func(c *topology.Config) { c.Replication, c.MinInsync = 1, 2 },
		"facts that go before their work does": func(c *topology.Config) { c.Retention = 24 * time.Hour },
	} {
		c := topology.DefaultConfig()
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := topology.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestFactsAndJobsHaveEqualPartitions(t *testing.T) {
	plan := topology.DefaultConfig()
	if f, j := plan.Partitions(topology.Facts.Spec.Shape), plan.Partitions(topology.Jobs.Spec.Shape); f != j {
		t.Errorf("facts has %d partitions, jobs %d", f, j)
	}
}
