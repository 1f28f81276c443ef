package keys_test

import (
	"strings"
	"testing"
	"time"

	"docstream/gateway/keys"
	"docstream/internal/telemetry"
	"docstream/schemas"
)

var house = schemas.SigningKey{ID: "house", Secret: []byte("a house key of the tests, 32 byte")}

func TestAKeyOpensUntilItEnds(t *testing.T) {
	now := time.Now()
	token, k, err := keys.New(house, "acme", "ci", []string{keys.Documents}, now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	id, secret, ok := keys.Split(token)
	if !ok || id != k.KeyID || k.Tenant != "acme" || k.Name != "ci" || !keys.Allows(k.Scopes, keys.Documents) || keys.Allows(k.Scopes, keys.Admin) {
		t.Fatalf("%s: %+v", token, k)
	}
	other := house
	other.Secret = []byte("another house key of the tests!!")
	for name, c := range map[string]struct {
		got, want bool
	}{
		"in time":           {keys.Valid(house.Checker(), k, secret, now), true},
		"at the end":        {keys.Valid(house.Checker(), k, secret, k.ExpiresAt), false},
		"revoked":           {keys.Valid(house.Checker(), keys.Revoke(k), secret, now), false},
		"a wrong secret":    {keys.Valid(house.Checker(), k, secret[1:]+"0", now), false},
		"no secret":         {keys.Valid(house.Checker(), k, "", now), false},
		"another house key": {keys.Valid(other.Checker(), k, secret, now), false},
	} {
		if c.got != c.want {
			t.Errorf("%s: %t", name, c.got)
		}
	}
	if !k.RevokedAt.IsZero() || keys.Revoke(k).EventID == k.EventID {
		t.Error("revoking must make an event of its own and leave the old one alone")
	}
}

func TestTheSecretIsLongAndNowhereInTheEvent(t *testing.T) {
	token, k, err := keys.New(house, "acme", "ci", []string{keys.Admin}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	_, secret, _ := keys.Split(token)
	if bits := len(secret) * 5; bits < 192 {
		t.Errorf("%d random bits", bits)
	}
	if strings.Contains(string(k.Hash)+k.KeyID+k.Name+k.EventID, secret) {
		t.Error("P8: the event holds the secret")
	}
	if got := telemetry.Redact("key " + token); strings.Contains(got, secret) || !strings.Contains(got, k.KeyID) {
		t.Errorf("in a log it reads %q", got)
	}
	again, _, _ := keys.New(house, "acme", "ci", []string{keys.Admin}, time.Time{})
	if again == token {
		t.Error("two keys are the same")
	}
}

func TestWhatIsNoKeyIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		key          schemas.SigningKey
		tenant, name string
		scopes       []string
	}{
		"no house key":    {schemas.SigningKey{}, "acme", "ci", []string{keys.Documents}},
		"no tenant":       {house, "", "ci", []string{keys.Documents}},
		"a tenant's form": {house, "Acme/2", "ci", []string{keys.Documents}},
		"a long name":     {house, "acme", strings.Repeat("x", 201), []string{keys.Documents}},
		"no scope":        {house, "acme", "ci", nil},
		"unknown scope":   {house, "acme", "ci", []string{"everything"}},
	} {
		if token, _, err := keys.New(c.key, c.tenant, c.name, c.scopes, time.Time{}); err == nil {
			t.Errorf("%s: %s", name, token)
		}
	}
	for _, token := range []string{"", "dsk_", "dsk_x", "dsk_0123456789abcdef_", "sk_0123456789abcdef_x", "dsk_0123456789abcde/_x", "dsk_0123456789abcdef_" + strings.Repeat("x", 500)} {
		if _, _, ok := keys.Split(token); ok {
			t.Errorf("%q was taken for a key", token)
		}
	}
}
