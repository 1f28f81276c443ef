package testenv

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/klauspost/compress/zstd"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"docstream/schemas"
)

// Description is an OpenAPI document that answers are held to: status, headers, media type, and the body by its schema.
type Description struct {
	Document *openapi3.T
	router   routers.Router
	schemas  map[string]*jsonschema.Schema // of the components, by their reference
}

// described is the gateway's own document, read once.
var described = sync.OnceValues(func() (*Description, error) {
	// Bodies that are no JSON are held to be there, whatever is in them.
	for _, media := range []string{"text/markdown", "text/html", "text/csv", "application/openmetrics-text", "application/zip", "image/png", "image/jpeg", "image/svg+xml", "text/css", "text/javascript"} {
		openapi3filter.RegisterBodyDecoder(media, func(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
			b, err := io.ReadAll(body)
			return string(b), err
		})
	}
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for ; ; root = filepath.Dir(root) {
		b, err := os.ReadFile(filepath.Join(root, "gateway", "openapi.json"))
		if err == nil {
			return describe(b)
		}
		if root == filepath.Dir(root) {
			return nil, errors.New("no gateway/openapi.json above")
		}
	}
})

func describe(document []byte) (*Description, error) {
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, err
	}
	d := &Description{Document: doc, schemas: map[string]*jsonschema.Schema{}}
	if d.router, err = gorillamux.NewRouter(doc); err != nil {
		return nil, err
	}
	plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, err
	}
	const resource = "file:///openapi.json"
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(resource, plain); err != nil {
		return nil, err
	}
	for name := range doc.Components.Schemas {
		ref := "#/components/schemas/" + name
		if d.schemas[ref], err = compiler.Compile(resource + ref); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// Described is the description of the gateway's API.
func Described(t testing.TB) *Description {
	t.Helper()
	d, err := described()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// wire is under every client: what is sent is what is looked at, as it was packed.
var wire = func() *http.Transport {
	w := http.DefaultTransport.(*http.Transport).Clone()
	w.DisableCompression, w.MaxIdleConnsPerHost = true, 64
	return w
}()

// Transport is what a client of a test goes through: an answer that is not as described fails the test. is says which answers are the
// API's; nil: all. A body is read whole before the client sees it, but for a stream of events.
func (d *Description) Transport(t testing.TB, is func(*http.Request, *http.Response) bool) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		res, err := wire.RoundTrip(r)
		if err != nil || is != nil && !is(r, res) {
			return res, err
		}
		var body []byte
		if !streamed(res) {
			body, err = io.ReadAll(res.Body)
			res.Body.Close()
			res.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{err}))
			if err != nil {
				return res, nil // it broke off: what the client makes of that is the test's
			}
		}
		if err := d.Check(r, res, body); err != nil {
			t.Errorf("%s %s answered %d, which is not as described: %v\n%.2000s", r.Method, r.URL.Path, res.StatusCode, err, body)
		}
		return res, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// failing ends a body as it ended on the wire.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

func streamed(res *http.Response) bool {
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	return media == "text/event-stream"
}

// Check says what of an answer is not as described. What is not described at all must be answered as such.
func (d *Description) Check(r *http.Request, res *http.Response, body []byte) error {
	plain := r.Clone(context.Background())
	plain.URL.Scheme, plain.URL.Host, plain.Host, plain.Body = "", "", "", nil
	if r.Method == http.MethodHead { // GET without a body
		plain.Method = http.MethodGet
	}
	route, params, err := d.router.FindRoute(plain)
	if err != nil {
		return unknown(r, body)
	}
	described := route.Operation.Responses.Status(res.StatusCode)
	if described == nil {
		return errors.New("the status is not described")
	}
	if err := headers(described.Value, res.Header); err != nil {
		return err
	}
	bare := r.Method == http.MethodHead || streamed(res) || res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified
	if media := res.Header.Get("Content-Type"); media != "" && described.Value.Content.Get(media) == nil {
		return fmt.Errorf("the type %s is not described", media)
	} else if media == "" && len(described.Value.Content) > 0 && !bare {
		return errors.New("it has no type")
	}
	if body, err = unpacked(res.Header.Get("Content-Encoding"), body); err != nil {
		return err
	}
	bare = bare || res.StatusCode == http.StatusPartialContent
	if media := described.Value.Content.Get(res.Header.Get("Content-Type")); !bare && media != nil && d.schemas[media.Schema.Ref] != nil {
		if err := holds(d.schemas[media.Schema.Ref], body); err != nil {
			return err
		}
		bare = true
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: bare}
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: plain, PathParams: params, Route: route},
		Status:                 res.StatusCode, Header: res.Header, Body: io.NopCloser(bytes.NewReader(body)), Options: options,
	})
}

// holds compares a body with a component, compiled once: openapi3filter compiles a schema for each answer, which was a third of what the
// gateway's tests cost.
func holds(s *jsonschema.Schema, body []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

// unknown is what an answer may be where the document has no route.
func unknown(r *http.Request, body []byte) error {
	var e struct {
		Error struct{ Code schemas.Code }
	}
	_ = json.Unmarshal(body, &e) // without a code it is none of these
	if r.Method == http.MethodHead || slices.Contains([]schemas.Code{schemas.RouteNotFound, schemas.MethodNotAllowed, schemas.UnsupportedMediaType}, e.Error.Code) {
		return nil
	}
	return errors.New("the route is not described")
}

// everywhere are the headers that any answer may have: of HTTP itself, those that guard a browser, and what is left of a key's rate.
var everywhere = []string{"Connection", "Content-Length", "Content-Type", "Date", "Keep-Alive", "Server", "Transfer-Encoding", "Vary", "Cache-Control", "X-Accel-Buffering",
	"X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Resource-Policy", "Content-Security-Policy", "Strict-Transport-Security",
	"Ratelimit", "Ratelimit-Policy"}

// headers holds that every header of an answer is described. What the described ones look like is held with the body.
func headers(described *openapi3.Response, got http.Header) error {
	for name := range got {
		known := slices.Contains(everywhere, name)
		for d := range described.Headers {
			known = known || strings.EqualFold(d, name)
		}
		if !known {
			return fmt.Errorf("the header %s is not described", name)
		}
	}
	return nil
}

func unpacked(encoding string, body []byte) ([]byte, error) {
	switch encoding {
	case "gzip":
		r, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	case "zstd":
		r, err := zstd.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r)
	}
	return body, nil
}
