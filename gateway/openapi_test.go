package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"docstream/gateway"
	"docstream/schemas"
)

// description loads the OpenAPI document once.
var description = sync.OnceValues(func() (*openapi3.T, routers.Router) {
	doc, err := openapi3.NewLoader().LoadFromData(gateway.OpenAPI)
	if err != nil {
		panic(err)
	}
	r, err := gorillamux.NewRouter(doc)
	if err != nil {
		panic(err)
	}
	for _, t := range []string{"text/markdown", "text/html", "text/csv", "application/openmetrics-text", "application/zip"} {
		openapi3filter.RegisterBodyDecoder(t, func(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
			b, err := io.ReadAll(body)
			return string(b), err
		})
	}
	return doc, r
})

// described holds an answer to the document. What the document does not know must be an answer to nothing it knows.
func described(t testing.TB, req *http.Request, a answer) {
	t.Helper()
	_, router := description()
	plain := req.Clone(context.Background())
	plain.URL.Scheme, plain.URL.Host, plain.Host = "", "", ""
	route, params, err := router.FindRoute(plain)
	if err != nil {
		if c := a.code(t); c != schemas.RouteNotFound && c != schemas.MethodNotAllowed && c != schemas.UnsupportedMediaType {
			t.Errorf("%s %s is not described, yet answered %d %s", req.Method, req.URL.Path, a.StatusCode, a.body)
		}
		return
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: plain, PathParams: params, Route: route},
		Status:                 a.StatusCode, Header: a.Header, Body: io.NopCloser(bytes.NewReader(a.body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	if err := openapi3filter.ValidateResponse(context.Background(), in); err != nil {
		t.Errorf("%s %s answered %d, which is not as described: %v\n%s", req.Method, req.URL.Path, a.StatusCode, err, a.body)
	}
}

func TestTheDescriptionIsValid(t *testing.T) {
	doc, _ := description()
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("it is OpenAPI %s", doc.OpenAPI)
	}
}

func TestTheDescriptionNamesEveryRouteAndNoOther(t *testing.T) {
	doc, _ := description()
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
	doc, _ := description()
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
