package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"docstream/schemas"
)

func TestAJobOfOneReplicaIsNever404OnAnother(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica(nil), w.replica(nil)
	token := w.key("acme")
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			from, to := a, b
			if n%2 == 1 {
				from, to = b, a
			}
			for i := range 25 {
				job := from.submit(token, file(fmt.Sprint(n, i)))
				one, two := to.get(token, "/api/v1/jobs/"+job), from.get(token, "/api/v1/jobs/"+job)
				if one.StatusCode != http.StatusOK || string(one.body) != string(two.body) {
					t.Errorf("%s: %d %s\n%s", job, one.StatusCode, one.body, two.body)
				}
			}
		})
	}
	all.Wait()
	if one, two := a.get(token, "/api/v1/jobs?limit=100"), b.get(token, "/api/v1/jobs?limit=100"); string(one.body) != string(two.body) || !strings.Contains(string(one.body), "job_") {
		t.Error("the lists differ")
	}
}

func TestAnAnswerNeverGoesBackOnAnyReplica(t *testing.T) {
	w := newWorld(t)
	replicas := []*replica{w.replica(nil), w.replica(nil)}
	token := w.key("acme")
	job := replicas[0].submit(token, file("hello"))
	ctx, stop := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	writing.Go(func() {
		for v := int64(1); ctx.Err() == nil && v < 2000; v++ {
			w.publish(snapshot("acme", job, v, schemas.Processing))
		}
	})
	var last int64
	for i := range 150 {
		var j struct{ Version int64 }
		replicas[i%2].get(token, "/api/v1/jobs/"+job).into(t, &j)
		if j.Version < last {
			t.Fatalf("P4: version %d after %d", j.Version, last)
		}
		last = j.Version
	}
	stop()
	writing.Wait()
	if last < 2 {
		t.Errorf("it only saw version %d", last)
	}
}

func TestARequestKeepsItsNameAndTrace(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	body, kind := form(file("hello"))
	req, _ := http.NewRequest(http.MethodPost, r.url+"/api/v1/documents", body)
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("X-Request-Id", "order-4711")
	req.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	a := r.do(req)
	if a.StatusCode != http.StatusAccepted || a.Header.Get("X-Request-Id") != "order-4711" {
		t.Fatalf("%d %v", a.StatusCode, a.Header)
	}
	rec := w.read("documents.cpu.normal", 1)[0]
	headers := map[string]string{}
	for _, h := range rec.Headers {
		headers[h.Key] = string(h.Value)
	}
	if headers[schemas.HeaderRequestID] != "order-4711" || !strings.Contains(headers[schemas.HeaderTraceParent], "0af7651916cd43dd8448eb211c80319c") {
		t.Errorf("headers: %v", headers)
	}
	if !house.Verify(headers[schemas.HeaderSignature], rec.Topic, rec.Value) {
		t.Error("the submission is not signed")
	}
	req, _ = http.NewRequest(http.MethodGet, r.url+"/healthz", nil)
	req.Header["X-Request-Id"] = []string{"a b"}
	if got := r.do(req).Header.Get("X-Request-Id"); !strings.HasPrefix(got, "req_") {
		t.Errorf("a name that cannot be used was kept: %q", got)
	}
}

func TestNoSecretIsLoggedMeasuredOrWritten(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	secret := token[strings.LastIndexByte(token, '_')+1:]
	job := r.submit(token, file("the body of the document"))
	r.get(token, "/api/v1/jobs/"+job+"?api_key="+token)
	r.get(token, "/api/v1/jobs/"+token)
	r.get(token+"x", "/api/v1/jobs")
	r.get(token, "/"+token)
	r.get(token, "/api/v1/jobs?limit="+token)
	r.get("", "/api/v1/jobs", "Authorization", "Basic "+token, "Cookie", token, "X-Request-Id", token+"!")
	r.post(token, field{name: token, value: token})
	r.post(token, file("x"), field{name: "metadata", value: token})
	_ = time.Now()
	for where, text := range map[string]string{"the log": w.said(), "the metrics": string(r.get("", "/metrics").body)} {
		for what, canary := range map[string]string{"the secret": secret, "the house key": string(house.Secret), "the document": "body of the document"} {
			if strings.Contains(text, canary) {
				t.Errorf("P8: %s has %s", where, what)
			}
		}
	}
	if !strings.Contains(w.said(), `"job_id":"`+job+`"`) || !strings.Contains(w.said(), `"tenant":"acme"`) {
		t.Error("the log does not name job and tenant")
	}
	for _, topic := range []string{"documents.cpu.normal", "settings"} {
		for _, rec := range w.read(topic, 1) {
			if strings.Contains(string(rec.Value), secret) {
				t.Errorf("P8: %s has the secret", topic)
			}
		}
	}
}
