// Package seal keeps secrets that must be read back: in the settings they lie encrypted under the house key, each bound to what it belongs
// to, so that a sealed secret moved to another tenant or another setting does not open (P8).
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"

	"docstream/schemas"
)

// ErrSealed says that a secret cannot be opened: it was sealed under another house key or for something else, or was changed.
var ErrSealed = errors.New("seal: the secret cannot be opened")

// version begins every sealed secret; another way of sealing gets another one.
const version = 1

// Seal encrypts a secret under the house key. The owner names what the secret belongs to, such as "endpoint/acme/whe_1"; it is needed to
// open it again.
func Seal(house schemas.SigningKey, owner string, secret []byte) ([]byte, error) {
	a, err := box(house)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 1+a.NonceSize(), 1+a.NonceSize()+len(secret)+a.Overhead())
	out[0] = version
	nonce := out[1:]
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return a.Seal(out, nonce, secret, []byte(owner)), nil
}

// Open returns what Seal was given; else ErrSealed.
func Open(house schemas.SigningKey, owner string, sealed []byte) ([]byte, error) {
	a, err := box(house)
	if err != nil {
		return nil, err
	}
	if len(sealed) < 1+a.NonceSize() || sealed[0] != version {
		return nil, ErrSealed
	}
	nonce, rest := sealed[1:1+a.NonceSize()], sealed[1+a.NonceSize():]
	secret, err := a.Open(nil, nonce, rest, []byte(owner))
	if err != nil {
		return nil, ErrSealed
	}
	return secret, nil
}

// Derive returns a secret of 32 bytes that follows from the house key and what it is for: it need not be kept anywhere.
func Derive(house schemas.SigningKey, purpose string) ([]byte, error) {
	if len(house.Secret) == 0 {
		return nil, errors.New("seal: the house key is missing")
	}
	return hkdf.Key(sha256.New, house.Secret, nil, "docstream derive v1 "+purpose, 32)
}

// box is AES-256-GCM under a key derived from the house's: what signs is never what encrypts.
func box(house schemas.SigningKey) (cipher.AEAD, error) {
	if len(house.Secret) == 0 {
		return nil, errors.New("seal: the house key is missing")
	}
	key, err := hkdf.Key(sha256.New, house.Secret, nil, "docstream seal v1", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
