package gateway_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"docstream/gateway"
	"docstream/gateway/keys"
	"docstream/producers/deadletters"
	"docstream/schemas"
)

// The tests of this file go through the OpenAPI document, which names every route: a new one is held to them without being listed here.
// Their names follow the OWASP API Security Top 10 of 2023.

// operation is a route of the description that asks for a key.
type operation struct {
	method, path, scope string
	op                  *openapi3.Operation
}

// guarded are the operations that ask for a key, those that end something last.
func guarded(t *testing.T) (out []operation) {
	t.Helper()
	doc := description(t)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.Security == nil || len(*op.Security) == 0 {
				continue
			}
			for _, scopes := range (*op.Security)[0] {
				if len(scopes) != 1 {
					t.Fatalf("%s %s names no one scope", method, path)
				}
				out = append(out, operation{method, path, scopes[0], op})
			}
		}
	}
	order := []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete}
	slices.SortFunc(out, func(a, b operation) int {
		if d := slices.Index(order, a.method) - slices.Index(order, b.method); d != 0 {
			return d
		}
		return strings.Compare(a.path, b.path)
	})
	if len(out) < 30 {
		t.Fatalf("only %d operations ask for a key", len(out))
	}
	return out
}

var placeholder = regexp.MustCompile(`\{([a-z_]+)\}`)

// probe makes a request of an operation; ids may be nil. Nobody follows a stream with it: the place it names is none.
func (r *replica) probe(o operation, token string, ids map[string]string) answer {
	r.w.t.Helper()
	path := placeholder.ReplaceAllStringFunc(o.path, func(p string) string {
		if id, ok := ids[strings.Trim(p, "{}")]; ok {
			return id
		}
		return "1"
	})
	body := ""
	if o.method != http.MethodGet {
		body = "{}"
	}
	req, err := http.NewRequest(o.method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Last-Event-ID", "nowhere")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return r.do(req)
}

// TestOWASP1NoIdOpensToAnotherTenant: every address with an id answers its owner, and another tenant as if there were nothing.
func TestOWASP1NoIdOpensToAnotherTenant(t *testing.T) {
	w := newWorld(t)
	r := w.replica(func(c *gateway.Config) { c.MaxWait = time.Second })
	r.keepsApart(t, w.issue("acme", keys.Documents, keys.Admin, keys.Operator), w.admin("rival"))
}

// keepsApart makes one of everything that has an id for acme and asks every address for it, once with a credential of acme that may do
// everything and once with another tenant's.
func (r *replica) keepsApart(t *testing.T, owner, stranger string) {
	t.Helper()
	w := r.w
	r.gateway.TakeUploads(w.store)
	r.gateway.ServeDeadLetters(deadletters.Box{Conn: w.conn, Plan: w.plan, Codec: w.codec, Client: w.cl})
	job := schemas.NewJobID(time.Now())
	s := w.finished("acme", job, "markdown", "words")
	s.Finished = schemas.Bitmap(s.Finished).Set(1)
	now := time.Now().UTC()
	w.crop(s, "figures/000001-1.png")
	w.publish(s, &schemas.WebhookDue{Head: schemas.Head{Tenant: "acme", JobID: job, At: now}, DeliveryID: "msg_a", Type: "job.completed", URL: "https://example.org/",
		State: "failed", FirstAt: now, EndedAt: now})
	w.bury("acme", job, 3, "ENGINE_CRASHED")
	var k shownKey
	var e shownEndpoint
	var p shownReplay
	var l lettersBody
	for path, made := range map[string]struct {
		body string
		into any
	}{"keys": {`{"name":"x"}`, &k}, "webhooks": {`{"url":"https://example.org/hook"}`, &e}, "replays": {`{"statuses":["failed"]}`, &p}} {
		eventually(t, "one of "+path, func() bool { // a busy broker may take longer than this replica waits
			a := r.call(http.MethodPost, owner, "/api/v1/"+path, made.body)
			a.into(t, made.into)
			return a.StatusCode < http.StatusBadRequest
		})
	}
	r.get(owner, "/api/v1/dead-letters").into(t, &l)
	if len(l.DeadLetters) != 1 {
		t.Fatalf("%+v", l)
	}
	u := r.announce(owner, `{"size":5}`)
	var b shownBatch
	r.send(owner, "/api/v1/batches", "application/jsonl", `{"custom_id":"a","base64":"aGVsbG8="}`).into(t, &b)
	ids := map[string]string{"batch_id": b.BatchID, "upload_id": u.UploadID, "job_id": job, "task_id": job, "page": "1", "figure": "000001-1.png", "letter_id": l.DeadLetters[0].ID, "replay_id": p.ReplayID, "key_id": k.KeyID, "tenant": "acme",
		"endpoint_id": e.EndpointID, "delivery_id": "msg_a"}
	for _, o := range guarded(t) {
		names := placeholder.FindAllStringSubmatch(o.path, -1)
		if len(names) == 0 {
			continue
		}
		for _, n := range names {
			if ids[n[1]] == "" {
				t.Fatalf("%s %s: make one of %s for this test", o.method, o.path, n[1])
			}
		}
		want := http.StatusNotFound
		if o.scope == keys.Operator {
			want = http.StatusForbidden
		}
		if a := r.probe(o, stranger, ids); a.StatusCode != want {
			t.Errorf("%s %s answers another tenant %d %s", o.method, o.path, a.StatusCode, a.body)
		}
		if a := r.probe(o, owner, ids); a.StatusCode == http.StatusNotFound || a.StatusCode == http.StatusForbidden || a.StatusCode == http.StatusUnauthorized {
			t.Errorf("%s %s answers its owner %d %s", o.method, o.path, a.StatusCode, a.body)
		}
	}
}

// TestOWASP2NoAddressOpensWithoutAGoodKey: and those that ask for none are a closed list.
func TestOWASP2NoAddressOpensWithoutAGoodKey(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token, e, err := keys.New(house, "acme", "test", []string{keys.Documents, keys.Admin, keys.Operator}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	w.publish(e, keys.Revoke(e))
	eventually(t, "the key is revoked", func() bool { return r.get(token, "/api/v1/jobs").StatusCode == http.StatusUnauthorized })
	for _, o := range guarded(t) {
		for name, token := range map[string]string{"no key": "", "no form": "hello", "an unknown key": "dsk_0000000000000000_" + strings.Repeat("0", 52), "a revoked key": token} {
			if a := r.probe(o, token, nil); a.StatusCode != http.StatusUnauthorized || a.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s with %s answers %d", o.method, o.path, name, a.StatusCode)
			}
		}
	}
	doc := description(t)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.Security != nil && len(*op.Security) == 0 && !slices.Contains([]string{"/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/ui/", "/ui/{asset}"}, path) {
				t.Errorf("%s %s asks for no key", method, path)
			}
		}
	}
}

// TestOWASP3NobodySetsAPropertyThatIsNotHis: every body in JSON with a property that is not described is refused.
func TestOWASP3NobodySetsAPropertyThatIsNotHis(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token, held := w.issue("acme", keys.Documents, keys.Admin, keys.Operator), 0
	for _, o := range guarded(t) {
		if o.op.RequestBody == nil || o.op.RequestBody.Value.Content["application/json"] == nil || strings.Contains(o.path, "{") && !strings.Contains(o.path, "{tenant}") {
			continue
		}
		held++
		path := strings.Replace(o.path, "{tenant}", "acme", 1)
		if a := r.call(o.method, token, path, `{"tenant_is":"rival"}`); a.StatusCode != http.StatusBadRequest {
			t.Errorf("%s %s takes a property nobody described: %d %s", o.method, path, a.StatusCode, a.body)
		}
	}
	if held < 5 {
		t.Errorf("only %d were held to it", held)
	}
}

// TestOWASP4EveryAddressKeepsToTheRate: every operation counts against the plan's rate, and says so in the description.
func TestOWASP4EveryAddressKeepsToTheRate(t *testing.T) {
	w := newWorld(t)
	r := w.replica(small(func(p *gateway.Plan) { p.RequestsPerSecond = 1 }))
	token := w.issue("acme", keys.Documents, keys.Admin, keys.Operator)
	for _, o := range guarded(t) {
		for _, status := range []string{"401", "403", "429"} {
			if o.op.Responses.Value(status) == nil {
				t.Errorf("%s %s does not describe its %s", o.method, o.path, status)
			}
		}
		limited := false
		for range 50 {
			if a := r.probe(o, token, nil); a.StatusCode == http.StatusTooManyRequests {
				if limited = true; a.Header.Get("Retry-After") == "" {
					t.Errorf("%s %s does not say when to come again", o.method, o.path)
				}
				break
			}
		}
		if !limited {
			t.Errorf("%s %s has no limit", o.method, o.path)
		}
	}
}

// TestOWASP5EveryAddressAsksForItsScope: with every scope but the one that is described, nothing opens.
func TestOWASP5EveryAddressAsksForItsScope(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	without := map[string]string{keys.Documents: w.issue("acme", keys.Admin, keys.Operator), keys.Admin: w.issue("acme", keys.Documents),
		keys.Operator: w.issue("acme", keys.Documents, keys.Admin)}
	for _, o := range guarded(t) {
		if without[o.scope] == "" {
			t.Errorf("%s %s asks for the scope %q", o.method, o.path, o.scope)
			continue
		}
		if a := r.probe(o, without[o.scope], nil); a.StatusCode != http.StatusForbidden {
			t.Errorf("%s %s opens without %s: %d", o.method, o.path, o.scope, a.StatusCode)
		}
	}
}

// TestOWASP6EveryDoorCountsTheJobsUnderWay: whoever takes a document keeps to the plan's jobs at once.
func TestOWASP6EveryDoorCountsTheJobsUnderWay(t *testing.T) {
	w := newWorld(t)
	r := w.replica(small(func(p *gateway.Plan) { p.ConcurrentJobs = 1 }))
	token, held := w.key("acme"), 0
	r.submit(token, file("hello"))
	for _, o := range guarded(t) {
		if o.op.RequestBody == nil {
			continue
		}
		c := o.op.RequestBody.Value.Content
		if c["multipart/form-data"] == nil && c["*/*"] == nil {
			continue
		}
		held++
		if a := r.probe(o, token, nil); a.StatusCode != http.StatusTooManyRequests || !strings.Contains(string(a.body), string(schemas.TooManyJobs)) {
			t.Errorf("%s %s lets one more in: %d %s", o.method, o.path, a.StatusCode, a.body)
		}
	}
	if held < 5 {
		t.Errorf("only %d take documents", held)
	}
}

// TestOWASP7NoAddressInsideIsAsked: what names an address refuses those inside the network at once. What a name resolves to is checked where
// the connection is made: see internal/outbound.
func TestOWASP7NoAddressInsideIsAsked(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.admin("acme")
	for name, send := range map[string]func(address string) answer{
		"webhook_url of a document": func(a string) answer {
			return r.post(token, file("x"), field{name: "webhook_url", value: a})
		},
		"url of an endpoint": func(a string) answer { return r.call(http.MethodPost, token, "/api/v1/webhooks", `{"url":"`+a+`"}`) },
	} {
		for _, address := range []string{"http://127.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "http://192.168.0.1/", "http://172.16.0.1/",
			"http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[fe80::1]/", "http://[fc00::1]/", "http://[64:ff9b::a00:1]/",
			"http://0.0.0.0/", "http://100.64.0.1/", "http://example.org:22/", "file:///etc/passwd", "gopher://example.org/", "http://user:pass@example.org/"} {
			if a := send(address); a.code(t) != schemas.AddressForbidden {
				t.Errorf("%s takes %s: %d %s", name, address, a.StatusCode, a.body)
			}
		}
	}
}

// TestOWASP8EveryAnswerIsGuarded: every address, open or not, sends the headers that protect a browser and lets no other origin in.
func TestOWASP8EveryAnswerIsGuarded(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	doc := description(t)
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			req, _ := http.NewRequest(method, r.url+placeholder.ReplaceAllString(path, "1"), nil)
			req.Header.Set("Origin", "https://evil.example")
			a := r.do(req)
			for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
				"Access-Control-Allow-Origin": "", "Server": ""} {
				if got := a.Header.Get(name); got != want {
					t.Errorf("%s %s: %s is %q", method, path, name, got)
				}
			}
		}
		req, _ := http.NewRequest(http.MethodTrace, r.url+placeholder.ReplaceAllString(path, "1"), nil)
		if a := r.do(req); a.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("TRACE %s answers %d", path, a.StatusCode)
		}
	}
}

// TestOWASP9NothingIsServedThatIsNotDescribed: routes and description are the same, see TestTheDescriptionNamesEveryRouteAndNoOther; what
// programs like this one often leave open is not there, and every operation says what it is.
func TestOWASP9NothingIsServedThatIsNotDescribed(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	for _, path := range []string{"/debug/pprof/", "/debug/vars", "/swagger", "/swagger/index.html", "/docs", "/admin", "/.env", "/.git/config", "/actuator", "/api/v0/jobs", "/api/jobs", "/graphql",
		"/api/v1/../../etc/passwd", "/api/v1//jobs", "/metrics/"} {
		if a := r.get("", path); a.code(t) != schemas.RouteNotFound {
			t.Errorf("%s answers %d", path, a.StatusCode)
		}
	}
	for _, o := range guarded(t) {
		if o.op.OperationID == "" || o.op.Summary == "" || len(o.op.Tags) == 0 {
			t.Errorf("%s %s does not say what it is", o.method, o.path)
		}
	}
}

// TestOWASP10WhatTheStoreSaysIsHeldToWhatWasComposed: an object of another size than its job says is not passed on.
func TestOWASP10WhatTheStoreSaysIsHeldToWhatWasComposed(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token, job := w.key("acme"), schemas.NewJobID(time.Now())
	s := w.finished("acme", job, "markdown", "words")
	s.Outputs[0].Size++
	w.publish(s)
	for _, path := range []string{"/api/v1/jobs/" + job + "/result", "/v1/result/" + job} {
		if a := r.get(token, path); a.StatusCode != http.StatusInternalServerError || strings.Contains(string(a.body), "words") || strings.Contains(string(a.body), s.Outputs[0].Key) {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
	}
}
