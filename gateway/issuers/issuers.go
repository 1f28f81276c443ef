// Package issuers lets in who was signed in elsewhere: it verifies the bearer tokens (JWT) of OpenID Connect issuers and says for which
// tenant, with which scopes and until when each is good.
//
// An issuer's keys are found by discovery, kept, and fetched again in time, when a token names one that is not known, and never more often
// than the configuration says, whoever asks. While an issuer does not answer, the keys that are known go on serving; a token that would
// need others is answered "try again" and not "no". Only signatures by public keys count, so that no token can choose how it is checked.
// No token, nor a part of one, reaches a log, a metric or an error (P8).
package issuers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/prometheus/client_golang/prometheus"

	"docstream/schemas"
)

// Principal is who a token lets in.
type Principal struct {
	Tenant string
	// ID stands for issuer and subject in logs, usage and audit, as the id of a key does: oidc_ and the first 20 hexadecimal digits of the
	// SHA-256 of both, the issuer first, with a line feed between.
	ID      string
	Scopes  []string
	Expires time.Time // with the skew that clocks are allowed
}

// Reason says what a refused token is refused for.
type Reason string

// The reasons.
const (
	Invalid   Reason = "invalid"   // it proves nothing: 401
	Forbidden Reason = "forbidden" // it is genuine, and names no tenant its issuer may speak for: 403
	Away      Reason = "away"      // its issuer has to be asked and does not answer now: 503
)

// Refusal is the only error of Verify. Message is written for clients.
type Refusal struct {
	Reason  Reason
	Message string
	After   time.Duration // when to come again; of Away
	cause   error
}

func (r *Refusal) Error() string {
	if r.cause != nil {
		return "issuers: " + string(r.Reason) + ": " + r.cause.Error()
	}
	return "issuers: " + string(r.Reason)
}

// Unwrap returns the cause, which is for the log alone.
func (r *Refusal) Unwrap() error { return r.cause }

func invalid(message string) *Refusal { return &Refusal{Reason: Invalid, Message: message} }

// algorithms are those whose keys can be public. There is no none and no HMAC: a public key must never pass for a shared secret.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}

// maxToken bounds the tokens that are read, in bytes.
const maxToken = 16 << 10

// Set is the issuers of a configuration.
type Set struct {
	skew    time.Duration
	issuers map[string]*issuer // by their URL
	tokens  *prometheus.CounterVec
}

type issuer struct {
	Issuer
	keys *keyset
}

// New returns the issuers of a valid configuration; it asks none of them before a token does. reg may be nil.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) *Set {
	s := &Set{skew: cfg.Skew, issuers: map[string]*issuer{}, tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "docstream_tokens_total", Help: "Bearer tokens of OpenID Connect issuers by outcome: good, or why they were refused."}, []string{"outcome"})}
	fetches := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "docstream_issuer_fetches_total", Help: "Fetches of the keys of OpenID Connect issuers by outcome: ok or failed."}, []string{"outcome"})
	if reg != nil {
		reg.MustRegister(s.tokens, fetches)
	}
	for _, i := range cfg.Issuers {
		s.issuers[i.URL] = &issuer{i, newKeyset(i.URL, cfg, log, fetches)}
	}
	return s
}

// Resembles reports whether a credential has the form of a token, and not that of an API key.
func Resembles(credential string) bool {
	return strings.HasPrefix(credential, "ey") && strings.Count(credential, ".") == 2 && len(credential) <= maxToken
}

// Verify says whom a token lets in. The error is a [Refusal]. It waits for the issuer, where it must be asked, no longer than ctx.
func (s *Set) Verify(ctx context.Context, token string) (Principal, error) {
	p, err := s.verify(ctx, token, time.Now())
	outcome := "good"
	if err != nil {
		outcome = string(err.Reason)
	}
	s.tokens.WithLabelValues(outcome).Inc()
	if err != nil {
		return Principal{}, err
	}
	return p, nil
}

func (s *Set) verify(ctx context.Context, token string, now time.Time) (Principal, *Refusal) {
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil || len(parsed.Headers) != 1 || !ours(parsed.Headers[0]) {
		return Principal{}, invalid("The token is not one this service reads.")
	}
	var said jwt.Claims // by nobody yet: only to know whose key to take
	if err := parsed.UnsafeClaimsWithoutVerification(&said); err != nil {
		return Principal{}, invalid("The token is not one this service reads.")
	}
	from, ok := s.issuers[said.Issuer]
	if !ok {
		return Principal{}, invalid("The token is of an issuer this service does not know.")
	}
	head := parsed.Headers[0]
	key, refusal := from.keys.find(ctx, head.KeyID, said.IssuedAt.Time())
	if refusal != nil {
		return Principal{}, refusal
	}
	if key.Algorithm != "" && key.Algorithm != head.Algorithm {
		return Principal{}, invalid("The token is signed in another way than its key is for.")
	}
	var c jwt.Claims
	all := map[string]any{}
	if err := parsed.Claims(key.Key, &c, &all); err != nil {
		return Principal{}, invalid("The token is not signed by its issuer.")
	}
	if refusal := s.holds(c, from.Audience, now); refusal != nil {
		return Principal{}, refusal
	}
	return from.principal(c, all, s.skew)
}

// ours reports whether a token says to be what an API takes; one of another type, such as a logout token, is never a key to it.
func ours(h jose.Header) bool {
	typ, named := h.ExtraHeaders[jose.HeaderType]
	if !named {
		return true
	}
	text, _ := typ.(string)
	return slices.Contains([]string{"jwt", "at+jwt", "application/at+jwt"}, strings.ToLower(text))
}

// holds says why the claims of a genuine token do not hold here and now.
func (s *Set) holds(c jwt.Claims, audience string, now time.Time) *Refusal {
	if c.Expiry == nil {
		return invalid("The token has no end.")
	}
	if c.Subject == "" {
		return invalid("The token has no subject.")
	}
	err := c.ValidateWithLeeway(jwt.Expected{AnyAudience: jwt.Audience{audience}, Time: now}, s.skew)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrExpired):
		return invalid("The token has expired.")
	case errors.Is(err, jwt.ErrNotValidYet), errors.Is(err, jwt.ErrIssuedInTheFuture):
		return invalid("The token is not valid yet.")
	case errors.Is(err, jwt.ErrInvalidAudience):
		return invalid("The token is for another audience.")
	}
	return invalid("The token does not hold.")
}

// principal reads from the claims who is let in.
func (i *issuer) principal(c jwt.Claims, all map[string]any, skew time.Duration) (Principal, *Refusal) {
	tenant := i.tenant(all)
	if !schemas.ValidTenant(tenant) || !i.speaksFor(tenant) {
		return Principal{}, &Refusal{Reason: Forbidden, Message: "The token names no tenant its issuer may speak for."}
	}
	sum := sha256.Sum256([]byte(i.URL + "\n" + c.Subject))
	return Principal{Tenant: tenant, ID: "oidc_" + hex.EncodeToString(sum[:10]), Scopes: i.scopes(all), Expires: c.Expiry.Time().Add(skew)}, nil
}
