package issuers_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"docstream/gateway/issuers"
)

// provider is an OpenID Connect issuer with keys of its own, over HTTP.
type provider struct {
	t   testing.TB
	url string

	mu      sync.Mutex
	keys    []jose.JSONWebKey // public, as they are served
	away    bool
	said    string // its name in the discovery, where it lies about it
	fetches atomic.Int32
}

func newProvider(t testing.TB) *provider {
	p := &provider{t: t}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	p.url, p.said = s.URL, s.URL
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.away:
		w.WriteHeader(http.StatusBadGateway)
	case r.URL.Path == "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": p.said, "jwks_uri": p.url + "/keys"})
	case r.URL.Path == "/keys":
		p.fetches.Add(1)
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: p.keys})
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// set changes what the issuer does.
func (p *provider) set(change func(*provider)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// pair is a key that signs under an id.
type pair struct {
	id        string
	algorithm jose.SignatureAlgorithm
	private   any
}

func (k pair) public() jose.JSONWebKey {
	return jose.JSONWebKey{KeyID: k.id, Algorithm: string(k.algorithm), Use: "sig", Key: k.private.(crypto.Signer).Public()}
}

var rsaKeys = sync.OnceValue(func() (out []*rsa.PrivateKey) {
	for _, bits := range []int{2048, 2048, 1024} {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		out = append(out, k)
	}
	return out
})

func elliptical(t testing.TB, id string) pair {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pair{id, jose.ES256, k}
}

// publish makes the issuer serve these keys and no other.
func (p *provider) publish(pairs ...pair) {
	p.set(func(p *provider) {
		p.keys = nil
		for _, k := range pairs {
			p.keys = append(p.keys, k.public())
		}
	})
}

// sign makes a token; typ and id may be empty.
func sign(t testing.TB, k pair, typ string, claims map[string]any) string {
	t.Helper()
	o := (&jose.SignerOptions{})
	if typ != "" {
		o = o.WithType(jose.ContentType(typ))
	}
	if k.id != "" {
		o = o.WithHeader("kid", k.id)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: k.algorithm, Key: k.private}, o)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// claims are good ones, with changes: a nil takes a claim away.
func (p *provider) claims(changes map[string]any) map[string]any {
	now := time.Now().Unix()
	c := map[string]any{"iss": p.url, "aud": "docstream", "sub": "alice", "iat": now - 5, "nbf": now - 5, "exp": now + 300, "tenant": "acme", "scope": "openid documents"}
	for k, v := range changes {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func (p *provider) config(change func(*issuers.Config)) issuers.Config {
	p.t.Helper()
	cfg := issuers.DefaultConfig()
	cfg.Issuers = []issuers.Issuer{{URL: p.url, Audience: "docstream", TenantClaim: "tenant", Tenants: []string{"acme", "globex", "team-*"}, ScopeClaim: "scope"}}
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		p.t.Fatal(err)
	}
	return cfg
}

func (p *provider) open(change func(*issuers.Config)) *issuers.Set {
	p.t.Helper()
	return issuers.New(p.config(change), slog.New(slog.DiscardHandler), nil)
}

// outcome is good, or the reason of the refusal.
func outcome(t testing.TB, s *issuers.Set, token string) (issuers.Principal, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	p, err := s.Verify(ctx, token)
	if err == nil {
		return p, "good"
	}
	var r *issuers.Refusal
	if !errors.As(err, &r) || r.Message == "" || (r.Reason == issuers.Away) != (r.After > 0) {
		t.Fatalf("%v", err)
	}
	if strings.Contains(err.Error()+r.Message, strings.Split(token, ".")[0]) {
		t.Errorf("P8: the error holds the token: %v", err)
	}
	return p, string(r.Reason)
}

// unsigned writes a token by hand.
func unsigned(head string, claims map[string]any, signature string) string {
	body, _ := json.Marshal(claims)
	return base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString(body) + "." + signature
}

func TestATokenLetsInOnlyAsItsIssuerSays(t *testing.T) {
	p, other := newProvider(t), newProvider(t)
	good, second, stranger := pair{"a", jose.RS256, rsaKeys()[0]}, elliptical(t, "b"), pair{"a", jose.RS256, rsaKeys()[1]}
	short := pair{"short", jose.RS256, rsaKeys()[2]}
	p.publish(good, second)
	p.set(func(p *provider) {
		weak, sealing := short.public(), elliptical(t, "sealing").public()
		sealing.Use = "enc"
		p.keys = append(p.keys, weak, sealing, jose.JSONWebKey{KeyID: "shared", Algorithm: "HS256", Key: []byte("a secret that everybody can read")})
	})
	other.publish(stranger)
	s := p.open(nil)
	now := time.Now().Unix()
	public, err := x509.MarshalPKIXPublicKey(rsaKeys()[0].Public())
	if err != nil {
		t.Fatal(err)
	}
	hmacOf := func(secret []byte, id string) string {
		return sign(t, pair{id, jose.HS256, secret}, "JWT", p.claims(nil))
	}
	whole := sign(t, good, "JWT", p.claims(nil))
	parts := strings.Split(whole, ".")
	ps := good
	ps.algorithm = jose.PS256
	embedded, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: rsaKeys()[1]}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		t.Fatal(err)
	}
	brought, err := jwt.Signed(embedded).Claims(p.claims(nil)).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ token, want string }{
		"good":                          {whole, "good"},
		"another key of the issuer":     {sign(t, second, "at+jwt", p.claims(nil)), "good"},
		"no type":                       {sign(t, good, "", p.claims(nil)), "good"},
		"one audience of several":       {sign(t, good, "JWT", p.claims(map[string]any{"aud": []string{"other", "docstream"}})), "good"},
		"expired within the skew":       {sign(t, good, "JWT", p.claims(map[string]any{"exp": now - 30})), "good"},
		"not yet, within the skew":      {sign(t, good, "JWT", p.claims(map[string]any{"nbf": now + 30})), "good"},
		"no nbf and no iat":             {sign(t, good, "JWT", p.claims(map[string]any{"nbf": nil, "iat": nil})), "good"},
		"expired":                       {sign(t, good, "JWT", p.claims(map[string]any{"exp": now - 90})), "invalid"},
		"without an end":                {sign(t, good, "JWT", p.claims(map[string]any{"exp": nil})), "invalid"},
		"not yet":                       {sign(t, good, "JWT", p.claims(map[string]any{"nbf": now + 90})), "invalid"},
		"issued in the future":          {sign(t, good, "JWT", p.claims(map[string]any{"iat": now + 90})), "invalid"},
		"another audience":              {sign(t, good, "JWT", p.claims(map[string]any{"aud": "billing"})), "invalid"},
		"no audience":                   {sign(t, good, "JWT", p.claims(map[string]any{"aud": nil})), "invalid"},
		"no subject":                    {sign(t, good, "JWT", p.claims(map[string]any{"sub": nil})), "invalid"},
		"an unknown issuer":             {sign(t, stranger, "JWT", other.claims(nil)), "invalid"},
		"no issuer":                     {sign(t, good, "JWT", p.claims(map[string]any{"iss": nil})), "invalid"},
		"the key id of another's key":   {sign(t, stranger, "JWT", p.claims(nil)), "invalid"},
		"an unknown key":                {sign(t, pair{"zz", jose.RS256, rsaKeys()[1]}, "JWT", p.claims(nil)), "invalid"},
		"no key id among several":       {sign(t, pair{"", jose.RS256, rsaKeys()[0]}, "JWT", p.claims(nil)), "invalid"},
		"a key the token brings":        {brought, "invalid"},
		"a key for sealing":             {sign(t, elliptical(t, "sealing"), "JWT", p.claims(nil)), "invalid"},
		"a key too short":               {sign(t, short, "JWT", p.claims(nil)), "invalid"},
		"another way of signing":        {sign(t, ps, "JWT", p.claims(nil)), "invalid"},
		"alg none":                      {unsigned(`{"alg":"none","kid":"a"}`, p.claims(nil), ""), "invalid"},
		"alg None with a signature":     {unsigned(`{"alg":"None","kid":"a"}`, p.claims(nil), parts[2]), "invalid"},
		"HMAC with the public key":      {hmacOf(public, "a"), "invalid"},
		"HMAC with a key that is there": {hmacOf([]byte("a secret that everybody can read"), "shared"), "invalid"},
		"claims changed":                {parts[0] + "." + strings.Split(sign(t, good, "JWT", p.claims(map[string]any{"tenant": "globex"})), ".")[1] + "." + parts[2], "invalid"},
		"no signature":                  {parts[0] + "." + parts[1] + ".", "invalid"},
		"a logout token":                {sign(t, good, "logout+jwt", p.claims(nil)), "invalid"},
		"a tenant it may not name":      {sign(t, good, "JWT", p.claims(map[string]any{"tenant": "rival"})), "forbidden"},
		"the beginning of a tenant":     {sign(t, good, "JWT", p.claims(map[string]any{"tenant": "acm"})), "forbidden"},
		"a tenant it may by a pattern":  {sign(t, good, "JWT", p.claims(map[string]any{"tenant": "team-7"})), "good"},
		"no tenant":                     {sign(t, good, "JWT", p.claims(map[string]any{"tenant": nil})), "forbidden"},
		"tenants in a list":             {sign(t, good, "JWT", p.claims(map[string]any{"tenant": []string{"acme"}})), "forbidden"},
		"what is no tenant":             {sign(t, good, "JWT", p.claims(map[string]any{"tenant": "team-/../x"})), "forbidden"},
		"no token":                      {"ey.ey.ey", "invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, got := outcome(t, s, c.token); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	if other.fetches.Load() != 0 {
		t.Error("an issuer that is not configured was asked")
	}
}

func TestClaimsBecomeTenantScopesAndAnIdThatNamesNobody(t *testing.T) {
	p := newProvider(t)
	k := elliptical(t, "a")
	p.publish(k)
	for name, c := range map[string]struct {
		change func(*issuers.Issuer)
		claims map[string]any
		tenant string
		scopes string
	}{
		"text":             {nil, nil, "acme", "documents"},
		"a list":           {nil, map[string]any{"scope": []any{"admin", 5, "documents", "admin"}}, "acme", "admin documents"},
		"operator unasked": {nil, map[string]any{"scope": "operator documents"}, "acme", "documents"},
		"none":             {nil, map[string]any{"scope": nil}, "acme", ""},
		"mapped": {func(i *issuers.Issuer) { i.Scopes = []string{"docs:write=documents", "a=b=admin", "root=operator"} },
			map[string]any{"scope": "root docs:write documents a=b"}, "acme", "operator documents admin"},
		"deep": {func(i *issuers.Issuer) {
			i.ScopeClaim, i.TenantClaim = "/realm_access/roles", "/https:~1~1acme.example~1org/0id"
		}, map[string]any{"realm_access": map[string]any{"roles": []string{"documents"}}, "https://acme.example/org": map[string]any{"0id": "globex"}}, "globex", "documents"},
		"one tenant": {func(i *issuers.Issuer) { i.TenantClaim, i.Tenants = "", []string{"initech"} }, nil, "initech", "documents"},
	} {
		t.Run(name, func(t *testing.T) {
			s := p.open(func(cfg *issuers.Config) {
				if c.change != nil {
					c.change(&cfg.Issuers[0])
				}
			})
			got, why := outcome(t, s, sign(t, k, "JWT", p.claims(c.claims)))
			if why != "good" || got.Tenant != c.tenant || strings.Join(got.Scopes, " ") != c.scopes {
				t.Errorf("%s: %+v", why, got)
			}
			if !strings.HasPrefix(got.ID, "oidc_") || len(got.ID) != 25 || strings.Contains(got.ID, "alice") {
				t.Errorf("the id is %q", got.ID)
			}
		})
	}
	s := p.open(nil)
	alice, _ := outcome(t, s, sign(t, k, "JWT", p.claims(nil)))
	again, _ := outcome(t, s, sign(t, k, "JWT", p.claims(map[string]any{"exp": time.Now().Unix() + 900})))
	bob, _ := outcome(t, s, sign(t, k, "JWT", p.claims(map[string]any{"sub": "bob"})))
	if alice.ID != again.ID || alice.ID == bob.ID || !alice.Expires.Before(again.Expires) {
		t.Errorf("%+v %+v %+v", alice, again, bob)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not in time: %s", what)
}

func TestKeysAreRotatedWithoutANo(t *testing.T) {
	p := newProvider(t)
	first, next := elliptical(t, "first"), elliptical(t, "next")
	p.publish(first)
	s := p.open(func(c *issuers.Config) { c.Pause, c.Refresh, c.Keep = time.Nanosecond, time.Hour, time.Hour })
	if _, got := outcome(t, s, sign(t, first, "JWT", p.claims(nil))); got != "good" {
		t.Fatal(got)
	}
	p.publish(first, next)
	for _, k := range []pair{next, first} {
		if _, got := outcome(t, s, sign(t, k, "JWT", p.claims(nil))); got != "good" {
			t.Errorf("%s: %s", k.id, got)
		}
	}
	p.publish(next)
	quick := p.open(func(c *issuers.Config) { c.Pause, c.Refresh = time.Nanosecond, time.Nanosecond })
	p.publish(first, next)
	if _, got := outcome(t, quick, sign(t, first, "JWT", p.claims(nil))); got != "good" {
		t.Fatal(got)
	}
	p.publish(next)
	eventually(t, "a key that was taken back is refused", func() bool {
		_, got := outcome(t, quick, sign(t, first, "JWT", p.claims(nil)))
		return got == "invalid"
	})
}

func TestStrangeKeyIdsDoNotMakeRequests(t *testing.T) {
	p := newProvider(t)
	k := elliptical(t, "a")
	p.publish(k)
	s := p.open(func(c *issuers.Config) { c.Pause, c.Refresh = time.Hour, time.Hour })
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, got := outcome(t, s, sign(t, elliptical(t, "strange"), "JWT", p.claims(nil))); got != "invalid" {
				t.Errorf("got %s", got)
			}
		})
	}
	all.Wait()
	if _, got := outcome(t, s, sign(t, k, "JWT", p.claims(nil))); got != "good" || p.fetches.Load() != 1 {
		t.Errorf("%s after %d fetches", got, p.fetches.Load())
	}
	// A token younger than the keys that are known may be signed with a key younger than they are.
	young := sign(t, elliptical(t, "younger"), "JWT", p.claims(map[string]any{"iat": time.Now().Unix() + 20}))
	if _, got := outcome(t, s, young); got != "away" || p.fetches.Load() != 1 {
		t.Errorf("%s after %d fetches", got, p.fetches.Load())
	}
}

func TestAnIssuerThatIsAwayTurnsNobodyAway(t *testing.T) {
	p := newProvider(t)
	k := elliptical(t, "a")
	p.publish(k)
	p.set(func(p *provider) { p.away = true })
	s := p.open(func(c *issuers.Config) { c.Pause, c.Refresh = time.Nanosecond, time.Nanosecond })
	token := sign(t, k, "JWT", p.claims(nil))
	never := p.open(func(c *issuers.Config) { c.Pause, c.Refresh = time.Hour, time.Hour })
	for range 3 {
		if _, got := outcome(t, never, token); got != "away" {
			t.Errorf("nothing is known: %s", got)
		}
	}
	p.set(func(p *provider) { p.away = false })
	if _, got := outcome(t, s, token); got != "good" {
		t.Fatal(got)
	}
	p.set(func(p *provider) { p.away = true })
	for range 3 {
		if _, got := outcome(t, s, token); got != "good" {
			t.Errorf("a known key, and the issuer away: %s", got)
		}
	}
	slow := p.open(func(c *issuers.Config) { c.Pause, c.Refresh, c.Keep = time.Hour, time.Hour, time.Hour })
	if _, got := outcome(t, slow, sign(t, elliptical(t, "new"), "JWT", p.claims(nil))); got != "away" {
		t.Errorf("an unknown key, and the issuer away: %s", got)
	}
	short := p.open(func(c *issuers.Config) {
		c.Pause, c.Refresh, c.Keep = time.Nanosecond, time.Nanosecond, time.Nanosecond
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var r *issuers.Refusal
	if _, err := short.Verify(ctx, token); !errors.As(err, &r) || r.Reason != issuers.Away {
		t.Errorf("past the time keys are kept: %v", err)
	}
}

func TestWhatAnIssuerAnswersIsNotBelievedBlindly(t *testing.T) {
	p := newProvider(t)
	k := elliptical(t, "a")
	token := func() string { return sign(t, k, "JWT", p.claims(nil)) }
	for name, lie := range map[string]func(*provider){
		"another name": func(p *provider) { p.said = "https://evil.example" },
		"no keys":      func(p *provider) { p.keys = nil },
	} {
		p.publish(k)
		p.set(func(p *provider) { p.said = p.url })
		p.set(lie)
		s := p.open(func(c *issuers.Config) { c.Pause, c.Refresh = time.Hour, time.Hour })
		if _, got := outcome(t, s, token()); got != "away" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestConfigurationsThatLetStrangersInAreRefused(t *testing.T) {
	for name, change := range map[string]func(*issuers.Config){
		"plain http":       func(c *issuers.Config) { c.Issuers[0].URL = "http://login.example.org" },
		"no address":       func(c *issuers.Config) { c.Issuers[0].URL = "login" },
		"a query":          func(c *issuers.Config) { c.Issuers[0].URL += "?x=1" },
		"no audience":      func(c *issuers.Config) { c.Issuers[0].Audience = "" },
		"no tenants":       func(c *issuers.Config) { c.Issuers[0].Tenants = nil },
		"no tenant":        func(c *issuers.Config) { c.Issuers[0].Tenants = []string{"A B"} },
		"two and no claim": func(c *issuers.Config) { c.Issuers[0].TenantClaim = "" },
		"no such scope":    func(c *issuers.Config) { c.Issuers[0].Scopes = []string{"x=root"} },
		"twice":            func(c *issuers.Config) { c.Issuers = append(c.Issuers, c.Issuers[0]) },
		"a wide skew":      func(c *issuers.Config) { c.Skew = time.Hour },
		"no pause":         func(c *issuers.Config) { c.Pause = 0 },
		"kept too short":   func(c *issuers.Config) { c.Keep = time.Second },
	} {
		cfg := issuers.DefaultConfig()
		cfg.Issuers = []issuers.Issuer{{URL: "https://login.example.org/realm", Audience: "docstream", TenantClaim: "tenant", Tenants: []string{"acme", "globex"}}}
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		if change(&cfg); cfg.Validate() == nil {
			t.Errorf("%s: %+v", name, cfg)
		}
	}
}
