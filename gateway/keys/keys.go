// Package keys makes and checks API keys: dsk_<id>_<secret>. The id is public and names the key in logs and usage; of the secret only a
// keyed hash is ever stored (P8).
package keys

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"slices"
	"strings"
	"time"

	"docstream/schemas"
)

// The scopes a key can have.
const (
	Documents = "documents" // submit and follow documents
	Admin     = "admin"     // administer the tenant's own keys, webhooks and replays
	Operator  = "operator"  // administer every tenant, and give plans
)

const (
	prefix      = "dsk_"
	idBytes     = 10 // 80 bits: no two keys meet
	secretBytes = 32 // 256 bits
)

var (
	letters  = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)
	idLength = letters.EncodedLen(idBytes)
	maxToken = 200
)

// New returns a fresh key of a tenant: the token, to be shown once, and the event that makes it known. A zero expires means never. The
// error says what is wrong with the tenant, the name or a scope.
func New(house schemas.SigningKey, tenant, name string, scopes []string, expires time.Time) (token string, event *schemas.APIKeyChanged, err error) {
	switch {
	case len(house.Secret) == 0:
		return "", nil, errors.New("keys: the house key is missing")
	case !schemas.ValidTenant(tenant):
		return "", nil, errors.New("keys: a tenant is 1 to 40 of a-z, 0-9 and -")
	case len(name) > 200:
		return "", nil, errors.New("keys: the name is longer than 200 bytes")
	case len(scopes) == 0:
		return "", nil, errors.New("keys: a key needs a scope")
	case slices.ContainsFunc(scopes, func(s string) bool { return s != Documents && s != Admin && s != Operator }):
		return "", nil, errors.New("keys: the scopes are documents, admin and operator")
	}
	id, secret := random(idBytes), random(secretBytes)
	now := time.Now().UTC()
	event = &schemas.APIKeyChanged{
		Head:  schemas.Head{EventID: schemas.EventIDFor(id, 0, "keys", 0, "APIKeyChanged", 0), Tenant: tenant, At: now},
		KeyID: id, Name: name, Hash: house.Fingerprint(secret), Scopes: slices.Clone(scopes), CreatedAt: now, ExpiresAt: expires,
	}
	return prefix + id + "_" + secret, event, nil
}

// Revoke returns the event that ends a key now.
func Revoke(k *schemas.APIKeyChanged) *schemas.APIKeyChanged {
	r := *k
	r.At = time.Now().UTC()
	r.RevokedAt = r.At
	r.EventID = schemas.EventIDFor(r.KeyID, 0, "keys", 0, r.Kind(), r.At.UnixMicro())
	return &r
}

// Rotate returns a fresh key that may do what another may, for as long, and the event that ends the other after the overlap: until then both
// are good, so that no request of a client that changes over is refused.
func Rotate(house schemas.SigningKey, k *schemas.APIKeyChanged, overlap time.Duration) (token string, fresh, old *schemas.APIKeyChanged, err error) {
	token, fresh, err = New(house, k.Tenant, k.Name, k.Scopes, k.ExpiresAt)
	if err != nil {
		return "", nil, nil, err
	}
	o := *k
	o.At = fresh.At
	if end := o.At.Add(overlap); o.ExpiresAt.IsZero() || end.Before(o.ExpiresAt) {
		o.ExpiresAt = end
	}
	o.EventID = schemas.EventIDFor(o.KeyID, 0, "keys", 0, o.Kind(), o.At.UnixMicro())
	return token, fresh, &o, nil
}

// Split takes a token apart; false where it does not have the form of one.
func Split(token string) (id, secret string, ok bool) {
	rest, ok := strings.CutPrefix(token, prefix)
	if !ok || len(token) > maxToken {
		return "", "", false
	}
	id, secret, ok = strings.Cut(rest, "_")
	return id, secret, ok && len(id) == idLength && secret != "" && strings.Trim(id, "0123456789abcdefghjkmnpqrstvwxyz") == ""
}

// Valid reports whether the secret is the key's and the key may be used at the time. It takes as long for a wrong secret as for a right
// one.
func Valid(house *schemas.Checker, k *schemas.APIKeyChanged, secret string, now time.Time) bool {
	same := house.Same(k.Hash, secret)
	return same && k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// Allows reports whether scopes that were given hold the one that is asked for. Who may administer every tenant may administer his own.
func Allows(given []string, scope string) bool {
	return slices.Contains(given, scope) || scope == Admin && slices.Contains(given, Operator)
}

func random(n int) string {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		panic(err) // the system has no randomness: nothing can be safe from here on
	}
	return letters.EncodeToString(b)
}
