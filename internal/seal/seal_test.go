package seal_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"docstream/internal/seal"
	"docstream/schemas"
)

var house = schemas.SigningKey{ID: "house", Secret: []byte("a house key of the tests, 32 byte")}

func TestASealedSecretOpensOnlyForItsOwnerUnderItsKey(t *testing.T) {
	secret := []byte("whsec of acme")
	sealed, err := seal.Seal(house, "endpoint/acme/1", secret)
	if err != nil || bytes.Contains(sealed, secret) {
		t.Fatal(err)
	}
	if got, err := seal.Open(house, "endpoint/acme/1", sealed); err != nil || !bytes.Equal(got, secret) {
		t.Errorf("%q %v", got, err)
	}
	changed := slices.Clone(sealed)
	changed[len(changed)-1] ^= 1
	for name, try := range map[string]struct {
		key    schemas.SigningKey
		owner  string
		sealed []byte
	}{
		"another owner":   {house, "endpoint/globex/1", sealed},
		"another key":     {schemas.SigningKey{ID: "house", Secret: []byte("another house key of the tests!!")}, "endpoint/acme/1", sealed},
		"changed":         {house, "endpoint/acme/1", changed},
		"cut off":         {house, "endpoint/acme/1", sealed[:5]},
		"nothing":         {house, "endpoint/acme/1", nil},
		"another version": {house, "endpoint/acme/1", append([]byte{9}, sealed[1:]...)},
	} {
		if got, err := seal.Open(try.key, try.owner, try.sealed); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
}

func TestTheSameSecretIsNeverSealedAlike(t *testing.T) {
	a, _ := seal.Seal(house, "x", []byte("secret"))
	b, _ := seal.Seal(house, "x", []byte("secret"))
	if bytes.Equal(a, b) {
		t.Error("two seals are equal")
	}
}

func TestWithoutAHouseKeyNothingIsSealed(t *testing.T) {
	a, _ := seal.Derive(house, "webhook/acme")
	b, _ := seal.Derive(house, "webhook/globex")
	if len(a) != 32 || bytes.Equal(a, b) {
		t.Error("what is derived for two purposes is alike")
	}
	if _, err := seal.Derive(schemas.SigningKey{}, "x"); err == nil {
		t.Error("derived from no key")
	}
	if _, err := seal.Seal(schemas.SigningKey{}, "x", []byte("secret")); err == nil {
		t.Error("sealed under no key")
	}
}
