package proof

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"slices"
	"strings"
	"time"

	"docstream/internal/seal"
	"docstream/schemas"
)

// A producer key reads dpk_<id>_<secret>: the id stands in every signature, the secret's characters are the key of the HMAC. It is shown
// once; what is stored of the secret is sealed, because it must be read back to verify with.
const (
	prefix      = "dpk_"
	idBytes     = 10 // 80 bits: no two keys meet
	secretBytes = 32 // 256 bits
)

var (
	letters  = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)
	idLength = letters.EncodedLen(idBytes)
)

// keyForm reports whether an id can be a producer key's; nobody is asked about any other.
func keyForm(id string) bool {
	return len(id) == idLength && strings.Trim(id, "0123456789abcdefghjkmnpqrstvwxyz") == ""
}

// NewKey returns a fresh producer key of a tenant: the token, to be shown once, and the event that makes it known.
func NewKey(house schemas.SigningKey, tenant, name string) (token string, event *schemas.ProducerKeyChanged, err error) {
	switch {
	case len(house.Secret) == 0:
		return "", nil, errors.New("keys: the house key is missing")
	case !schemas.ValidTenant(tenant):
		return "", nil, errors.New("keys: a tenant is 1 to 40 of a-z, 0-9 and -")
	case len(name) > 200:
		return "", nil, errors.New("keys: the name is longer than 200 bytes")
	}
	id, secret := random(idBytes), random(secretBytes)
	now := time.Now().UTC()
	event = &schemas.ProducerKeyChanged{
		Head:  schemas.Head{EventID: schemas.EventIDFor(id, 0, "keys", 0, "ProducerKeyChanged", 0), Tenant: tenant, At: now},
		KeyID: id, Name: name, CreatedAt: now,
	}
	if event.Sealed, err = seal.Seal(house, owner(event), []byte(secret)); err != nil {
		return "", nil, err
	}
	return prefix + id + "_" + secret, event, nil
}

// Retire returns the event that ends a key's use: it goes on to verify what lies before the ends that the documents lanes have now.
func Retire(k *schemas.ProducerKeyChanged, ends []schemas.LaneEnd) *schemas.ProducerKeyChanged {
	r := changed(k)
	r.RetiredAt, r.RetiredEnds = r.At, slices.Clone(ends)
	return r
}

// Revoke returns the event after which a key verifies nothing, whenever it was appended.
func Revoke(k *schemas.ProducerKeyChanged) *schemas.ProducerKeyChanged {
	r := changed(k)
	r.RevokedAt = r.At
	return r
}

func changed(k *schemas.ProducerKeyChanged) *schemas.ProducerKeyChanged {
	r := *k
	r.At = time.Now().UTC()
	r.EventID = schemas.EventIDFor(r.KeyID, 0, "keys", 0, r.Kind(), r.At.UnixMicro())
	return &r
}

// Split takes a token apart into the key it signs with; false where it does not have the form of one.
func Split(token string) (schemas.SigningKey, bool) {
	rest, ok := strings.CutPrefix(token, prefix)
	id, secret, parted := strings.Cut(rest, "_")
	return schemas.SigningKey{ID: id, Secret: []byte(secret)}, ok && parted && keyForm(id) && secret != ""
}

// open returns the secret of a key.
func open(house schemas.SigningKey, k *schemas.ProducerKeyChanged) ([]byte, error) {
	if !keyForm(k.KeyID) || !schemas.ValidTenant(k.Tenant) {
		return nil, errors.New("it is no sealed key")
	}
	secret, err := seal.Open(house, owner(k), k.Sealed)
	if err == nil && len(secret) == 0 {
		return nil, errors.New("it is no sealed key")
	}
	return secret, err
}

// owner is what a sealed secret belongs to: moved under another tenant or id it does not open (P8).
func owner(k *schemas.ProducerKeyChanged) string { return "producer/" + k.Tenant + "/" + k.KeyID }

func random(n int) string {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		panic(err) // the system has no randomness: nothing can be safe from here on
	}
	return letters.EncodeToString(b)
}
