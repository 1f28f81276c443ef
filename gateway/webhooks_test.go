package gateway_test

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"docstream/gateway/keys"
	"docstream/internal/seal"
	"docstream/schemas"
)

type shownEndpoint struct {
	EndpointID string `json:"endpoint_id"`
	Secret     string `json:"secret"`
	State      string `json:"state"`
	Events     []string
}

// settings returns the newest endpoint of the settings.
func (w *world) lastEndpoint(n int) *schemas.EndpointChanged {
	w.t.Helper()
	var last *schemas.EndpointChanged
	for _, r := range w.read("settings", n) {
		e, err := w.codec.Decode(w.t.Context(), r.Value)
		if err != nil {
			w.t.Fatal(err)
		}
		if p, ok := e.(*schemas.EndpointChanged); ok {
			last = p
		}
	}
	return last
}

func TestAnEndpointIsMadeRotatedAndRemovedAndItsSecretIsSealed(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica(nil), w.replica(nil)
	admin := w.admin("acme")
	var e, rotated shownEndpoint
	made := a.call(http.MethodPost, admin, "/api/v1/webhooks", `{"url":"https://example.org/hook?token=x","events":["job.failed"]}`)
	if made.into(t, &e); made.StatusCode != http.StatusCreated || !strings.HasPrefix(e.Secret, "whsec_") || e.State != "active" {
		t.Fatalf("%d %s", made.StatusCode, made.body)
	}
	stored := w.lastEndpoint(2)
	plain, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(e.Secret, "whsec_"))
	if opened, err := seal.Open(house, "endpoint/acme/"+e.EndpointID, stored.Secret); err != nil || !bytes.Equal(opened, plain) || bytes.Contains(stored.Secret, plain) {
		t.Errorf("%v", err)
	}
	b.call(http.MethodPost, admin, "/api/v1/webhooks/"+e.EndpointID+"/rotate", "").into(t, &rotated)
	if next := w.lastEndpoint(3); rotated.Secret == e.Secret || rotated.Secret == "" || !bytes.Equal(next.PreviousSecret, stored.Secret) || time.Until(next.PreviousUntil) < 23*time.Hour {
		t.Errorf("%+v", rotated)
	}
	if list := b.get(admin, "/api/v1/webhooks"); !strings.Contains(string(list.body), e.EndpointID) || strings.Contains(string(list.body), "whsec_") {
		t.Errorf("%s", list.body)
	}
	disabled := *w.lastEndpoint(3)
	disabled.DisabledAt, disabled.DisabledReason = time.Now(), "it answered 410"
	w.publish(&disabled)
	eventually(t, "it is shown as disabled", func() bool { return strings.Contains(string(a.get(admin, "/api/v1/webhooks").body), `"disabled"`) })
	if got := a.call(http.MethodPost, admin, "/api/v1/webhooks/"+e.EndpointID+"/enable", ""); got.StatusCode != http.StatusOK || !strings.Contains(string(got.body), `"active"`) {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	if got := a.call(http.MethodDelete, admin, "/api/v1/webhooks/"+e.EndpointID, ""); got.StatusCode != http.StatusNoContent {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	if list := b.get(admin, "/api/v1/webhooks"); strings.Contains(string(list.body), e.EndpointID) {
		t.Errorf("%s", list.body)
	}
}

func TestWebhooksAreRefusedWhereTheyMayNot(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	admin, other, plain := w.admin("acme"), w.admin("globex"), w.key("acme")
	var e shownEndpoint
	r.call(http.MethodPost, admin, "/api/v1/webhooks", `{"url":"https://example.org/hook"}`).into(t, &e)
	for name, c := range map[string]struct {
		method, token, path, body string
		want                      schemas.Code
	}{
		"loopback":                  {"POST", admin, "/api/v1/webhooks", `{"url":"http://127.0.0.1/x"}`, schemas.AddressForbidden},
		"metadata":                  {"POST", admin, "/api/v1/webhooks", `{"url":"http://169.254.169.254/x"}`, schemas.AddressForbidden},
		"a decimal address":         {"POST", admin, "/api/v1/webhooks", `{"url":"http://2130706433/x"}`, schemas.AddressForbidden},
		"a mapped address":          {"POST", admin, "/api/v1/webhooks", `{"url":"http://[::ffff:10.0.0.1]/x"}`, schemas.AddressForbidden},
		"another scheme":            {"POST", admin, "/api/v1/webhooks", `{"url":"file:///etc/passwd"}`, schemas.AddressForbidden},
		"credentials":               {"POST", admin, "/api/v1/webhooks", `{"url":"https://a:b@example.org/"}`, schemas.AddressForbidden},
		"an unknown event":          {"POST", admin, "/api/v1/webhooks", `{"url":"https://example.org/","events":["page.read"]}`, schemas.InvalidOption},
		"without the scope":         {"POST", plain, "/api/v1/webhooks", `{"url":"https://example.org/"}`, schemas.Forbidden},
		"another tenant's, rotated": {"POST", other, "/api/v1/webhooks/" + e.EndpointID + "/rotate", "", schemas.EndpointNotFound},
		"another tenant's, removed": {"DELETE", other, "/api/v1/webhooks/" + e.EndpointID, "", schemas.EndpointNotFound},
		"an unknown delivery":       {"POST", admin, "/api/v1/webhook-deliveries/msg_x/resend", "", schemas.DeliveryNotFound},
		"a state that is none":      {"GET", admin, "/api/v1/webhook-deliveries?state=lost", "", schemas.InvalidOption},
		"resend since for ever":     {"POST", admin, "/api/v1/webhook-deliveries/resend", `{"since":"2020-01-01T00:00:00Z"}`, schemas.InvalidOption},
	} {
		t.Run(name, func(t *testing.T) {
			if got := r.call(c.method, c.token, c.path, c.body); got.code(t) != c.want {
				t.Errorf("%d %s", got.StatusCode, got.body)
			}
		})
	}
}

func TestDeliveriesAreListedAndSentAgain(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	admin, other := w.admin("acme"), w.admin("globex")
	now := time.Now().UTC()
	for i, state := range []string{"delivered", "failed", "failed"} {
		at := now.Add(time.Duration(i-10) * time.Minute)
		w.publish(&schemas.WebhookDue{Head: schemas.Head{Tenant: "acme", JobID: schemas.JobIDFor("x", state), At: at}, DeliveryID: "msg_" + string(rune('a'+i)), Type: "job.completed",
			URL: "https://example.org/secret-path", State: state, Attempts: 10, LastStatus: 500, LastError: "the receiver answered 500", FirstAt: at, EndedAt: at})
	}
	var l struct {
		Deliveries []struct {
			DeliveryID string `json:"delivery_id"`
			State      string
			Attempts   int
		}
	}
	a := r.get(admin, "/api/v1/webhook-deliveries?state=failed")
	if a.into(t, &l); len(l.Deliveries) != 2 || l.Deliveries[0].DeliveryID != "msg_c" || strings.Contains(string(a.body), "secret-path") {
		t.Fatalf("%s", a.body)
	}
	if a := r.get(other, "/api/v1/webhook-deliveries"); string(a.body) != `{"deliveries":[]}` {
		t.Errorf("another tenant sees %s", a.body)
	}
	if a := r.call(http.MethodPost, other, "/api/v1/webhook-deliveries/msg_a/resend", ""); a.code(t) != schemas.DeliveryNotFound {
		t.Errorf("another tenant sends again: %s", a.body)
	}
	if a := r.call(http.MethodPost, admin, "/api/v1/webhook-deliveries/msg_a/resend", ""); a.StatusCode != http.StatusAccepted {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if r.get(admin, "/api/v1/webhook-deliveries?state=due").into(t, &l); len(l.Deliveries) != 1 || l.Deliveries[0].DeliveryID != "msg_a" || l.Deliveries[0].Attempts != 0 {
		t.Errorf("%+v", l)
	}
	a = r.call(http.MethodPost, admin, "/api/v1/webhook-deliveries/resend", `{"since":"`+now.Add(-time.Hour).Format(time.RFC3339)+`"}`)
	if a.into(t, &l); a.StatusCode != http.StatusAccepted || len(l.Deliveries) != 2 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestAJobSaysWhomToTellAndTheTenantsSecretSigns(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.issue("acme", keys.Documents, keys.Admin)
	job := r.submit(token, file("hello"), field{name: "webhook_url", value: "https://example.org/hook"})
	if e := w.submitted("documents.cpu.normal", job); e.WebhookURL != "https://example.org/hook" {
		t.Errorf("%+v", e)
	}
	var s struct{ Secret string }
	r.get(token, "/api/v1/webhook-secret").into(t, &s)
	want, _ := seal.Derive(house, "webhook/acme")
	if s.Secret != "whsec_"+base64.StdEncoding.EncodeToString(want) {
		t.Errorf("%q", s.Secret)
	}
}
