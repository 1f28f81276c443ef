package schemas

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"strings"
	"sync"
)

// SigningKey proves who wrote a record into a documents lane.
type SigningKey struct {
	ID     string
	Secret []byte
}

// Sign returns the docstream-signature of a record: the key's id, a colon, and the base64 of HMAC-SHA-256 over the full topic name, a
// zero byte and the value.
func (k SigningKey) Sign(topic string, value []byte) string {
	return k.ID + ":" + base64.StdEncoding.EncodeToString(k.mac(topic, value))
}

// Verify reports whether signature is this key's over the record.
func (k SigningKey) Verify(signature, topic string, value []byte) bool {
	return k.verify(signature, func() []byte { return k.mac(topic, value) })
}

func (k SigningKey) verify(signature string, mac func() []byte) bool {
	id, text, ok := strings.Cut(signature, ":")
	if !ok || id != k.ID {
		return false
	}
	said, err := base64.StdEncoding.DecodeString(text)
	return err == nil && hmac.Equal(said, mac())
}

// Checker is a key that verifies many records and secrets: what a hash makes of the key, which is half of the work, it makes once. Safe for
// concurrent use.
type Checker struct {
	key    SigningKey
	hashes sync.Pool
}

// taken is a hash that has taken in the key, and room for what goes into it and what comes out.
type taken struct {
	mac     hash.Hash
	in, out []byte
}

// Checker returns one of the key.
func (k SigningKey) Checker() *Checker {
	return &Checker{key: k, hashes: sync.Pool{New: func() any { return &taken{mac: hmac.New(sha256.New, k.Secret)} }}}
}

// Verify is [SigningKey.Verify].
func (c *Checker) Verify(signature, topic string, value []byte) bool {
	return c.key.verify(signature, func() []byte {
		t := c.hashes.Get().(*taken)
		defer c.hashes.Put(t)
		t.mac.Reset()
		return sum(t.mac, topic, value)
	})
}

// Same reports whether a fingerprint is the secret's; it takes as long where it is not.
func (c *Checker) Same(fingerprint []byte, secret string) bool {
	t := c.hashes.Get().(*taken)
	defer c.hashes.Put(t)
	t.mac.Reset()
	t.in = append(append(t.in[:0], fingerprints+"\x00"...), secret...)
	t.mac.Write(t.in)
	clear(t.in) // no secret stays
	t.out = t.mac.Sum(t.out[:0])
	return hmac.Equal(fingerprint, t.out)
}

// Fingerprint is the keyed hash under which an API key's secret is stored.
func (k SigningKey) Fingerprint(secret string) []byte { return k.mac(fingerprints, []byte(secret)) }

// fingerprints is what no topic is named.
const fingerprints = "api-key"

func (k SigningKey) mac(domain string, value []byte) []byte {
	return sum(hmac.New(sha256.New, k.Secret), domain, value)
}

func sum(h hash.Hash, domain string, value []byte) []byte {
	h.Write(append([]byte(domain), 0))
	h.Write(value)
	return h.Sum(nil)
}
