package prometheus_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// root is the folder of the repository.
const root = "../.."

// metric is a name the house exports: a line of internal/telemetry/metrics.go, which a test there holds to the tree.
type metric struct {
	kind   string
	labels []string
}

var (
	line  = regexp.MustCompile(`\{"(docstream_[a-z0-9_]+)", "(counter|gauge|histogram)", (nil|\[\]string\{([^}]*)\}),`)
	named = regexp.MustCompile(`"([a-z_]+)"`)
)

func metrics(t *testing.T) map[string]metric {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "internal", "telemetry", "metrics.go"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]metric{}
	for _, m := range line.FindAllStringSubmatch(string(b), -1) {
		var ls []string
		for _, l := range named.FindAllStringSubmatch(m[4], -1) {
			ls = append(ls, l[1])
		}
		out[m[1]] = metric{m[2], ls}
	}
	if n := strings.Count(string(b), `{"docstream_`); n != len(out) || n < 20 {
		t.Fatalf("%d of %d metrics were understood", len(out), n)
	}
	return out
}

// scraped are the labels that scraping adds to every series, and the one metric it makes.
var scraped = []string{"job", "instance", "role"}

// wrong says what is wrong with a query: it does not parse, or names a metric or label nobody exports.
func wrong(query string, known map[string]metric) error {
	expr, err := parse(query)
	if err != nil {
		return err
	}
	var errs []error
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		s, ok := n.(*parser.VectorSelector)
		if !ok || s.Name == "up" {
			return nil
		}
		name, le := s.Name, false
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, cut := strings.CutSuffix(name, suffix); cut && known[base].kind == "histogram" {
				name, le = base, suffix == "_bucket"
			}
		}
		m, ok := known[name]
		if !ok || (m.kind == "histogram" && name == s.Name) {
			errs = append(errs, fmt.Errorf("there is no metric %q", s.Name))
			return nil
		}
		for _, l := range s.LabelMatchers {
			if l.Name != labels.MetricName && !slices.Contains(m.labels, l.Name) && !slices.Contains(scraped, l.Name) && !(le && l.Name == "le") {
				errs = append(errs, fmt.Errorf("%s has no label %q", s.Name, l.Name))
			}
		}
		return nil
	})
	return errors.Join(errs...)
}

// dashboardVariables are what Grafana puts into a query before it is asked.
var dashboardVariables = strings.NewReplacer("$__rate_interval", "5m", "$__interval", "1m", "$__range", "1h")

// targets returns every query of a dashboard, by its panel.
func targets(t *testing.T, file string) map[string][]string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	type panel struct {
		ID          int
		Type        string
		Title       string
		Description string
		Panels      []panel
		Targets     []struct{ Expr string }
	}
	var d struct {
		UID, Title string
		Panels     []panel
	}
	if err := json.Unmarshal(b, &d); err != nil || d.UID == "" || d.Title == "" {
		t.Fatalf("%s: %v", file, err)
	}
	out := map[string][]string{}
	ids := map[int]bool{}
	var walk func([]panel)
	walk = func(ps []panel) {
		for _, p := range ps {
			if ids[p.ID] {
				t.Errorf("%s: two panels have the id %d", file, p.ID)
			}
			ids[p.ID] = true
			if p.Type == "row" {
				out[p.Title] = nil
			} else if p.Description == "" || len(p.Targets) == 0 {
				t.Errorf("%s: the panel %q says nothing or asks nothing", file, p.Title)
			}
			for _, q := range p.Targets {
				out[p.Title] = append(out[p.Title], q.Expr)
			}
			walk(p.Panels)
		}
	}
	walk(d.Panels)
	return out
}

func files(t *testing.T, pattern ...string) []string {
	t.Helper()
	out, err := filepath.Glob(filepath.Join(append([]string{root}, pattern...)...))
	if err != nil || len(out) == 0 {
		t.Fatalf("no %s: %v", filepath.Join(pattern...), err)
	}
	return out
}

func TestEveryQueryOfTheDashboardsParsesAndNamesWhatExists(t *testing.T) {
	known := metrics(t)
	for _, file := range files(t, "ops", "grafana", "dashboards", "*.json") {
		for title, queries := range targets(t, file) {
			for _, q := range queries {
				if err := wrong(dashboardVariables.Replace(q), known); err != nil {
					t.Errorf("%s, %q: %s: %v", file, title, q, err)
				}
			}
		}
	}
}

// first are the families of metrics whose every member the first dashboard shows.
var first = []string{"docstream_http_", "docstream_lane_", "docstream_stage_", "docstream_transaction", "docstream_dead_", "docstream_retries_", "docstream_fold_",
	"docstream_engine_", "docstream_sink_", "docstream_objects_"}

func TestTheFirstDashboardShowsTheWholeHouse(t *testing.T) {
	shown := targets(t, filepath.Join(root, "ops", "grafana", "dashboards", "docstream.json"))
	var all strings.Builder
	for _, queries := range shown {
		all.WriteString(strings.Join(queries, "\n") + "\n")
	}
	for _, row := range []string{"API", "Lanes and lag", "Stages", "Dead letters", "Engine", "Sinks and object store"} {
		if _, ok := shown[row]; !ok {
			t.Errorf("there is no row %q", row)
		}
	}
	for name := range metrics(t) {
		if slices.ContainsFunc(first, func(f string) bool { return strings.HasPrefix(name, f) }) && !strings.Contains(all.String(), name) {
			t.Errorf("%s is on no panel", name)
		}
	}
}

// rule is one alert.
type rule struct {
	Alert, Expr string
	Labels      map[string]string
	Annotations map[string]string
}

func rules(t *testing.T) (out []rule) {
	t.Helper()
	for _, file := range files(t, "ops", "prometheus", "rules", "*.yml") {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var f struct{ Groups []struct{ Rules []rule } }
		if err := yaml.Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
		severity := strings.TrimSuffix(filepath.Base(file), ".yml")
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				if r.Labels["severity"] != severity {
					t.Errorf("%s stands in %s and is %q", r.Alert, file, r.Labels["severity"])
				}
				out = append(out, r)
			}
		}
	}
	return out
}

func TestEveryRuleParsesAndNamesWhatExists(t *testing.T) {
	known := metrics(t)
	for _, r := range rules(t) {
		if err := wrong(r.Expr, known); err != nil {
			t.Errorf("%s: %v", r.Alert, err)
		}
	}
}

func TestEveryAlertHasARunbookThatCanBeFound(t *testing.T) {
	index, err := os.ReadFile(filepath.Join(root, "ops", "runbooks", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules(t) {
		page := r.Annotations["runbook_url"]
		text, err := os.ReadFile(filepath.Join(root, page))
		switch {
		case r.Annotations["summary"] == "" || r.Annotations["description"] == "":
			t.Errorf("%s does not say what it is about", r.Alert)
		case page == "" || err != nil:
			t.Errorf("%s has no runbook: %v", r.Alert, err)
		case !strings.Contains(string(text), r.Alert):
			t.Errorf("%s does not name the alert %s", page, r.Alert)
		case !strings.Contains(string(index), "]("+filepath.Base(page)+")"):
			t.Errorf("%s is not in the index of the runbooks", page)
		}
	}
}

// TestEveryRunbookSaysWhatARunbookSays: the index promises four things of each.
func TestEveryRunbookSaysWhatARunbookSays(t *testing.T) {
	index, _ := os.ReadFile(filepath.Join(root, "ops", "runbooks", "README.md")) // missing: every page says so
	for _, file := range files(t, "ops", "runbooks", "*.md") {
		name := filepath.Base(file)
		if name == "README.md" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"**Shows as**", "**Means**", "**Do**", "**Over when**"} {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s lacks %s", name, part)
			}
		}
		if !strings.Contains(string(index), "]("+name+")") {
			t.Errorf("%s is not in the index", name)
		}
	}
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("missing in CI: promtool (Debian package prometheus)")
		}
		t.Skip("missing: promtool (Debian package prometheus)")
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPromtoolTakesTheRules(t *testing.T) {
	promtool(t, append([]string{"check", "rules"}, files(t, "ops", "prometheus", "rules", "*.yml")...)...)
}

func TestAlertsFireWhenTheyShouldAndOnlyThen(t *testing.T) {
	promtool(t, append([]string{"test", "rules"}, files(t, "ops", "prometheus", "tests", "*.yml")...)...)
}

// TestEveryAlertIsTested: one time at which it is silent, one at which it fires.
func TestEveryAlertIsTested(t *testing.T) {
	silent, fires := map[string]bool{}, map[string]bool{}
	for _, file := range files(t, "ops", "prometheus", "tests", "*.yml") {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var f struct {
			Tests []struct {
				Name  string
				Exprs []struct {
					Expr    string
					Samples []any `yaml:"exp_samples"`
				} `yaml:"promql_expr_test"`
			}
		}
		if err := yaml.Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
		for _, c := range f.Tests {
			for _, e := range c.Exprs {
				if e.Expr != fmt.Sprintf(`ALERTS{alertname=%q, alertstate="firing"}`, c.Name) {
					t.Errorf("%s asks %s", c.Name, e.Expr)
				}
				silent[c.Name] = silent[c.Name] || len(e.Samples) == 0
				fires[c.Name] = fires[c.Name] || len(e.Samples) > 0
			}
		}
	}
	for _, r := range rules(t) {
		if !silent[r.Alert] || !fires[r.Alert] {
			t.Errorf("%s: tested to be silent: %v, to fire: %v", r.Alert, silent[r.Alert], fires[r.Alert])
		}
	}
}

func TestWrongQueriesAreFound(t *testing.T) {
	known := metrics(t)
	for query, says := range map[string]string{
		`sum(rate(docstream_http_requests_total[5m])`:         "parse",
		`docstream_nobody_total`:                              `no metric "docstream_nobody_total"`,
		`docstream_http_request_seconds`:                      "no metric",
		`docstream_uploads_active_bucket`:                     "no metric",
		`rate(docstream_http_requests_total{code="500"}[5m])`: `no label "code"`,
		`docstream_view_ready{le="1"}`:                        `no label "le"`,
		`process_open_fds`:                                    "no metric",
		`sum(docstream_view_ready) or docstream_lane_lag`:     `no metric "docstream_lane_lag"`,
	} {
		if err := wrong(query, known); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", query, err)
		}
	}
	for _, query := range []string{`up == 0`, `docstream_view_ready{instance="a"}`, `docstream_http_request_seconds_bucket{le="1"}`, `docstream_http_request_seconds_count`} {
		if err := wrong(query, known); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func parse(query string) (parser.Expr, error) {
	return parser.NewParser(parser.Options{}).ParseExpr(query)
}
