package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"docstream/gateway"
	"docstream/gateway/issuers"
	"docstream/internal/topology"
	"docstream/schemas"
)

// login is an OpenID Connect issuer over HTTP, with a key of its own.
type login struct {
	t    *testing.T
	url  string
	key  *ecdsa.PrivateKey
	away atomic.Bool
}

func newLogin(t *testing.T) *login {
	t.Helper()
	l := &login{t: t}
	var err error
	if l.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case l.away.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/.well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": l.url, "jwks_uri": l.url + "/keys"})
		default:
			_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{KeyID: "a", Algorithm: "ES256", Use: "sig", Key: l.key.Public()}}})
		}
	}))
	t.Cleanup(s.Close)
	l.url = s.URL
	return l
}

// token signs one in for a tenant.
func (l *login) token(tenant, kid, scope string, ends time.Duration) string {
	l.t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: l.key}, (&jose.SignerOptions{}).WithHeader("kid", kid).WithType("at+jwt"))
	if err != nil {
		l.t.Fatal(err)
	}
	now := time.Now()
	text, err := jwt.Signed(s).Claims(map[string]any{"iss": l.url, "aud": "docstream", "sub": "alice@example.org", "iat": now.Unix() - 5, "exp": now.Add(ends).Unix(),
		"tenant": tenant, "scope": scope}).Serialize()
	if err != nil {
		l.t.Fatal(err)
	}
	return text
}

// config makes a gateway take the issuer's tokens.
func (l *login) config(c *gateway.Config) {
	c.Tokens.Issuers = []issuers.Issuer{{URL: l.url, Audience: "docstream", TenantClaim: "tenant", Tenants: []string{"acme", "rival"}, Plan: "standard",
		Scopes: []string{"documents=documents", "admin=admin", "operator=operator"}}}
}

func TestATokenIsAsGoodAsAKeyAndNoIdOpensToAnotherTenant(t *testing.T) {
	w, l := newWorld(t), newLogin(t)
	without := w.replica(nil)
	r := w.replica(func(c *gateway.Config) {
		l.config(c)
		c.MaxWait = 2 * time.Second
		for i := range c.Plans {
			c.Plans[i].RequestsPerSecond = 0 // every id route is asked twice, as fast as they answer
		}
	})
	owner := l.token("acme", "a", "documents admin operator", time.Hour)
	r.keepsApart(t, owner, l.token("rival", "a", "documents admin", time.Hour))
	for _, o := range guarded(t) {
		for name, token := range map[string]string{"an expired token": l.token("acme", "a", "documents admin operator", -time.Hour),
			"a token of another issuer": newLogin(t).token("acme", "a", "documents admin operator", time.Hour)} {
			if a := r.probe(o, token, nil); a.StatusCode != http.StatusUnauthorized || a.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s with %s answers %d", o.method, o.path, name, a.StatusCode)
			}
		}
		if a := r.probe(o, l.token("acme", "a", "profile", time.Hour), nil); a.StatusCode != http.StatusForbidden {
			t.Errorf("%s %s opens to a token without scopes: %d", o.method, o.path, a.StatusCode)
		}
	}
	if a := r.get(l.token("globex", "a", "documents", time.Hour), "/api/v1/jobs"); a.code(t) != schemas.Forbidden {
		t.Errorf("a tenant the issuer may not name: %d %s", a.StatusCode, a.body)
	}
	if a := without.get(owner, "/api/v1/jobs"); a.code(t) != schemas.Unauthenticated {
		t.Errorf("where no issuer is configured: %d %s", a.StatusCode, a.body)
	}
}

func TestATokenSubmitsUnderThePlanOfItsIssuerAndIsNamedNowhere(t *testing.T) {
	w, l := newWorld(t), newLogin(t)
	r := w.replica(l.config)
	token := l.token("acme", "a", "documents admin", time.Hour)
	r.submit(token, file("hello"))
	var u struct {
		Jobs int `json:"jobs_under_way"`
	}
	a := r.get(token, "/api/v1/usage")
	if a.into(t, &u); u.Jobs != 1 || !strings.Contains(string(a.body), `"standard"`) {
		t.Errorf("%s", a.body)
	}
	if a := r.call(http.MethodPost, token, "/api/v1/keys", `{"name":"made by a person"}`); a.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	var log struct{ Entries []struct{ By string } }
	audit := r.get(token, "/api/v1/audit")
	if audit.into(t, &log); len(log.Entries) != 1 || !strings.HasPrefix(log.Entries[0].By, "oidc_") {
		t.Errorf("%s", audit.body)
	}
	bad := r.get(token+"x", "/api/v1/jobs?token="+token)
	query := r.get("", "/api/v1/jobs/"+token, "Cookie", token)
	said := w.said() + string(a.body) + string(audit.body) + string(bad.body) + string(query.body) + string(r.get("", "/metrics").body)
	for _, topic := range []string{topology.Settings.Spec.Name, topology.Audit.Spec.Name, "documents.cpu.normal"} {
		for _, rec := range w.read(topic, 1) {
			said += string(rec.Value) + string(rec.Key)
			for _, h := range rec.Headers {
				said += string(h.Value)
			}
		}
	}
	for i, part := range strings.Split(token, ".") {
		if strings.Contains(said, part) {
			t.Errorf("P8: part %d of the token is said or written", i)
		}
	}
	if strings.Contains(said, "alice@") {
		t.Error("the subject is said or written")
	}
}

func TestAnIssuerThatIsAwayIsNoReasonToSayNo(t *testing.T) {
	w, l := newWorld(t), newLogin(t)
	r := w.replica(func(c *gateway.Config) {
		l.config(c)
		c.Tokens.Pause, c.Tokens.Refresh = time.Nanosecond, time.Nanosecond
	})
	known, unknown := l.token("acme", "a", "documents", time.Hour), l.token("acme", "b", "documents", time.Hour)
	if a := r.get(known, "/api/v1/jobs"); a.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if a := r.get(unknown, "/api/v1/jobs"); a.code(t) != schemas.Unauthenticated {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	l.away.Store(true)
	if a := r.get(known, "/api/v1/jobs"); a.StatusCode != http.StatusOK {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := r.get(unknown, "/api/v1/jobs"); a.code(t) != schemas.ServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := r.get(w.key("acme"), "/api/v1/jobs"); a.StatusCode != http.StatusOK {
		t.Errorf("a key meanwhile: %d %s", a.StatusCode, a.body)
	}
}
