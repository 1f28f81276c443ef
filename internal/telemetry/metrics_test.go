package telemetry_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"docstream/internal/telemetry"
)

var quoted = regexp.MustCompile(`"(docstream_[a-z0-9_]+)"`)

// namesInTree returns every quoted docstream_ name of the files that use Prometheus, with the file that has it; tests and the list itself
// left out.
func namesInTree(t *testing.T) map[string]string {
	t.Helper()
	root := filepath.Join("..", "..")
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() {
			if name := d.Name(); rel != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || rel == filepath.Join("internal", "telemetry", "metrics.go") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(b), `"github.com/prometheus/client_golang/prometheus"`) {
			return err
		}
		for _, m := range quoted.FindAllStringSubmatch(string(b), -1) {
			out[m[1]] = rel
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEveryMetricOfTheTreeIsListedAndEveryListedOneExists(t *testing.T) {
	found, listed := namesInTree(t), map[string]bool{}
	for _, m := range telemetry.Metrics {
		if listed[m.Name] {
			t.Errorf("%s is listed twice", m.Name)
		}
		listed[m.Name] = true
		if _, ok := found[m.Name]; !ok {
			t.Errorf("%s is listed, but no file has it", m.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if !listed[name] {
			t.Errorf("%s of %s is not in telemetry.Metrics", name, found[name])
		}
	}
}

func TestListedMetricsSayWhatTheyAre(t *testing.T) {
	for _, m := range telemetry.Metrics {
		switch {
		case !slices.Contains([]string{"counter", "gauge", "histogram"}, m.Kind):
			t.Errorf("%s: kind %q", m.Name, m.Kind)
		case (m.Kind == "counter") != strings.HasSuffix(m.Name, "_total"):
			t.Errorf("%s: a counter ends in _total, and nothing else does", m.Name)
		case !strings.HasSuffix(m.Meaning, "."):
			t.Errorf("%s: its meaning is no sentence: %q", m.Name, m.Meaning)
		}
	}
}
