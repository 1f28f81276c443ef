package schemas

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
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
	id, text, ok := strings.Cut(signature, ":")
	if !ok || id != k.ID {
		return false
	}
	mac, err := base64.StdEncoding.DecodeString(text)
	return err == nil && hmac.Equal(mac, k.mac(topic, value))
}

// Fingerprint is the keyed hash under which an API key's secret is stored.
func (k SigningKey) Fingerprint(secret string) []byte { return k.mac("api-key", []byte(secret)) }

func (k SigningKey) mac(domain string, value []byte) []byte {
	h := hmac.New(sha256.New, k.Secret)
	h.Write([]byte(domain))
	h.Write([]byte{0})
	h.Write(value)
	return h.Sum(nil)
}
