package gateway_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"docstream/gateway"
	"docstream/internal/testenv"
	"docstream/schemas"
)

// description is the OpenAPI document.
func description(t testing.TB) *openapi3.T { return testenv.Described(t).Document }

func TestTheDescriptionIsValid(t *testing.T) {
	doc := description(t)
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("it is OpenAPI %s", doc.OpenAPI)
	}
}

func TestTheDescriptionNamesEveryRouteAndNoOther(t *testing.T) {
	doc := description(t)
	var described []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	var routed []string
	param := regexp.MustCompile(`:([a-z_]+)`)
	for _, r := range gateway.Routes() {
		routed = append(routed, r[0]+" "+param.ReplaceAllString(r[1], "{$1}"))
	}
	slices.Sort(described)
	slices.Sort(routed)
	if !slices.Equal(described, routed) {
		t.Errorf("described:\n%s\nrouted:\n%s", strings.Join(described, "\n"), strings.Join(routed, "\n"))
	}
}

func TestTheDescriptionAsksForAKeyWhereTheRouterDoes(t *testing.T) {
	doc := description(t)
	w := newWorld(t)
	r := w.replica(nil)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			req, _ := http.NewRequest(method, r.url+strings.ReplaceAll(path, "{job_id}", schemas.JobIDFor("test")), nil)
			open := op.Security != nil && len(*op.Security) == 0
			if a := r.do(req); (a.StatusCode == http.StatusUnauthorized) == open {
				t.Errorf("%s %s without a key answered %d", method, path, a.StatusCode)
			}
		}
	}
}

func TestTheDescriptionHasTheClosedTables(t *testing.T) {
	var doc struct {
		Components struct {
			Schemas struct {
				Code struct{ Enum []schemas.Code }
				Job  struct {
					Properties struct{ Status struct{ Enum []string } }
				}
			}
		}
	}
	if err := json.Unmarshal(gateway.OpenAPI, &doc); err != nil {
		t.Fatal(err)
	}
	named := doc.Components.Schemas.Code.Enum
	for code := range schemas.Codes {
		if !slices.Contains(named, code) {
			t.Errorf("%s is missing", code)
		}
	}
	if len(named) != len(schemas.Codes) {
		t.Errorf("it has %d codes, the table %d", len(named), len(schemas.Codes))
	}
	if got := doc.Components.Schemas.Job.Properties.Status.Enum; !slices.Equal(got, schemas.Statuses) {
		t.Errorf("statuses: %v", got)
	}
}
