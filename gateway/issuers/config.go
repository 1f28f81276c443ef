package issuers

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"docstream/schemas"
)

// Config is whose tokens are taken besides API keys; no issuers: nobody's.
type Config struct {
	Issuers []Issuer      `koanf:"issuers"`
	Skew    time.Duration `koanf:"skew"`    // by which the clocks of issuers and gateways may differ
	Refresh time.Duration `koanf:"refresh"` // after which the keys of an issuer are fetched again: a key it took back is refused from then on
	Pause   time.Duration `koanf:"pause"`   // between two fetches from one issuer, whoever asks
	Keep    time.Duration `koanf:"keep"`    // for which known keys serve while their issuer does not answer
}

// Issuer is one whose tokens are taken.
type Issuer struct {
	URL         string   `koanf:"url"`          // as the tokens' iss says it; below it lies .well-known/openid-configuration
	Audience    string   `koanf:"audience"`     // one of a token's aud: this service
	TenantClaim string   `koanf:"tenant_claim"` // its name, or its JSON pointer; empty: the one of tenants
	Tenants     []string `koanf:"tenants"`      // that the issuer may name: acme, or acme-* for all that begin so
	ScopeClaim  string   `koanf:"scope_claim"`  // its name, or its JSON pointer; empty: scope
	Scopes      []string `koanf:"scopes"`       // VALUE=SCOPE; none: the values are documents and admin
	Plan        string   `koanf:"plan"`         // of the tenants that were given none; empty: the default plan
}

// DefaultConfig takes nobody's tokens.
func DefaultConfig() Config {
	return Config{Issuers: []Issuer{}, Skew: time.Minute, Refresh: 10 * time.Minute, Pause: 10 * time.Second, Keep: 24 * time.Hour}
}

// Validate refuses settings that cannot work, or that would let strangers in.
func (c Config) Validate() error {
	switch {
	case c.Skew < 0 || c.Skew > 10*time.Minute:
		return errors.New("tokens: skew is not between 0 and 10m")
	case c.Pause <= 0 || c.Refresh < c.Pause || c.Keep < c.Refresh:
		return errors.New("tokens: they must rise: 0, pause, refresh, keep")
	}
	seen := map[string]bool{}
	for _, i := range c.Issuers {
		if err := i.validate(); err != nil {
			return fmt.Errorf("tokens: issuer %q: %w", i.URL, err)
		}
		if seen[i.URL] {
			return fmt.Errorf("tokens: issuer %q is there twice", i.URL)
		}
		seen[i.URL] = true
	}
	return nil
}

func (i Issuer) validate() error {
	if _, err := address(i.URL); err != nil {
		return err
	}
	switch {
	case i.Audience == "":
		return errors.New("without an audience any service's tokens would be taken")
	case len(i.Tenants) == 0:
		return errors.New("it may speak for no tenant")
	case i.TenantClaim == "" && (len(i.Tenants) != 1 || strings.HasSuffix(i.Tenants[0], "*")):
		return errors.New("without a tenant_claim it has one tenant")
	}
	for _, t := range i.Tenants {
		if start, open := strings.CutSuffix(t, "*"); !schemas.ValidTenant(t) && !(open && (start == "" || schemas.ValidTenant(start))) {
			return fmt.Errorf("%q is neither a tenant nor the beginning of one with *", t)
		}
	}
	for _, s := range i.Scopes {
		if _, _, ok := mapped(s); !ok {
			return fmt.Errorf("%q is not VALUE=SCOPE with one of documents, admin, operator", s)
		}
	}
	return nil
}

// Plan is the plan of a tenant that was given none: that of the first issuer that may name it and has one. Empty: none has.
func (c Config) Plan(tenant string) string {
	for _, i := range c.Issuers {
		if i.Plan != "" && i.speaksFor(tenant) {
			return i.Plan
		}
	}
	return ""
}

// address reads a URL whose answer can be believed: over TLS, or from this machine.
func address(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("it is not the address of an issuer")
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "https" && !(u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())) {
		return nil, errors.New("it is not https://")
	}
	return u, nil
}
