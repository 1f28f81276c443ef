package gateway_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"docstream/gateway/keys"
	"docstream/internal/topology"
	"docstream/schemas"
)

// TestNoSecretIsFoundWhereItDoesNotBelong: every secret that passes through a gateway is looked for in everything it says and writes.
func TestNoSecretIsFoundWhereItDoesNotBelong(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	const canary = "canary0in0the0coal0mine"
	admin := w.issue("acme", keys.Documents, keys.Admin)
	var k, next shownKey
	var e shownEndpoint
	var s struct{ Secret string }
	r.call(http.MethodPost, admin, "/api/v1/keys", `{"name":"importer"}`).into(t, &k)
	r.call(http.MethodPost, admin, "/api/v1/keys/"+k.KeyID+"/rotate", `{}`).into(t, &next)
	r.call(http.MethodPost, admin, "/api/v1/webhooks", `{"url":"https://example.org/hook"}`).into(t, &e)
	r.get(admin, "/api/v1/webhook-secret").into(t, &s)
	var said [][]byte
	say := func(a answer) { said = append(said, a.body) }
	job := r.submit(next.Key, file("a document with "+canary))
	say(r.get(next.Key, "/api/v1/jobs/"+job+"?token="+canary))
	say(r.get(next.Key+"x", "/api/v1/jobs?key="+next.Key))
	say(r.get("dsk_"+canary, "/api/v1/jobs"))
	say(r.get("", "/"+canary, "Cookie", "session="+canary, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("a:"+canary))))
	say(r.call(http.MethodPost, admin, "/api/v1/webhooks", `{"url":"http://user:`+canary+`@example.org/"}`))
	say(r.call(http.MethodPost, admin, "/api/v1/keys", `{"secret":"`+canary+`"}`))
	say(r.post(next.Key, file("x"), field{name: "webhook_url", value: "http://10.0.0.1/" + canary}))
	say(r.get(admin, "/api/v1/keys"))
	say(r.get(admin, "/api/v1/audit"))
	say(r.get(admin, "/api/v1/webhooks"))
	say(r.get("", "/metrics"))
	secrets := map[string]string{"the house key": string(house.Secret), "what a client wrote": canary, "the endpoint's secret": strings.TrimPrefix(e.Secret, "whsec_"),
		"the tenant's webhook secret": strings.TrimPrefix(s.Secret, "whsec_")}
	for name, token := range map[string]string{"the admin's key": admin, "the first key": k.Key, "the second key": next.Key} {
		_, secret, ok := keys.Split(token)
		if !ok {
			t.Fatal(token)
		}
		secrets[name] = secret
	}
	plain, _ := base64.StdEncoding.DecodeString(secrets["the endpoint's secret"])
	secrets["the endpoint's secret as it is"] = string(plain)
	places := map[string][]byte{"the log": []byte(w.said()), "answers": bytes.Join(said, nil)}
	for topic, n := range map[string]int{topology.Settings.Spec.Name: 5, topology.Audit.Spec.Name: 4, "documents.cpu.normal": 1} {
		for _, rec := range w.read(topic, n) {
			places[topic] = append(append(places[topic], rec.Value...), rec.Key...)
			for _, h := range rec.Headers {
				places[topic] = append(places[topic], h.Value...)
			}
		}
	}
	for place, text := range places {
		for name, secret := range secrets {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s is in %s", name, place)
			}
		}
	}
}

func TestAnErrorIsAProblemOnlyWhereThatIsAskedFor(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	for accept, want := range map[string]string{"": "application/json", "*/*": "application/json", "application/json": "application/json", "application/problem+json;q=0": "application/json",
		"application/problem+json": "application/problem+json", "text/html, application/problem+json;q=0.5": "application/problem+json"} {
		a := r.get("", "/api/v1/jobs", "Accept", accept)
		if got := a.Header.Get("Content-Type"); got != want || a.code(t) != schemas.Unauthenticated {
			t.Errorf("%q: %s %s", accept, got, a.body)
		}
		var p struct {
			Type, Title, Detail, Instance string
			Status                        int
		}
		if err := json.Unmarshal(a.body, &p); err != nil || want != "application/json" && (p.Type != "about:blank" || p.Status != 401 || p.Title != "Unauthorized" || p.Detail == "" || p.Instance == "") {
			t.Errorf("%v %s", err, a.body)
		}
	}
}

func TestEveryAnswerIsGuardedAndNoOtherOriginReadsIt(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	for _, path := range []string{"/", "/healthz", "/openapi.json", "/metrics", "/api/v1/jobs", "/nowhere"} {
		a := r.get("", path, "Origin", "https://evil.example", "Access-Control-Request-Method", "GET")
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Cross-Origin-Resource-Policy": "same-origin", "Access-Control-Allow-Origin": ""} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if !strings.Contains(a.Header.Get("Content-Security-Policy"), "default-src 'none'") || !strings.HasPrefix(a.Header.Get("X-Request-Id"), "req_") {
			t.Errorf("%s: %v", path, a.Header)
		}
	}
}
