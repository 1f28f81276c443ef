package proof_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"docstream/internal/fault"
	"docstream/internal/proof"
	"docstream/internal/topology"
	"docstream/schemas"
)

var (
	house = schemas.SigningKey{ID: "house", Secret: []byte("a house key of the tests, 32 byte")}
	plan  = topology.DefaultConfig()
	lane  = plan.Name("documents.cpu.normal")
)

// producer makes a key of a tenant that the verifier knows.
func producer(t testing.TB, v *proof.Verifier, tenant string) (schemas.SigningKey, *schemas.ProducerKeyChanged) {
	t.Helper()
	token, e, err := proof.NewKey(house, tenant, "test")
	if err != nil {
		t.Fatal(err)
	}
	k, ok := proof.Split(token)
	if !ok || k.ID != e.KeyID {
		t.Fatalf("%s does not read as a key", token)
	}
	v.Take(tenant+"/producer/"+k.ID, e)
	return k, e
}

func verifier(change func(*proof.Config)) *proof.Verifier {
	cfg := proof.DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	return proof.New(cfg, house, plan, slog.New(slog.DiscardHandler))
}

func record(signature string) proof.Record {
	return proof.Record{Topic: lane, Offset: 5, At: time.Now(), Signature: signature, Value: []byte("value")}
}

func code(err error) schemas.Code {
	if err == nil {
		return ""
	}
	return fault.Of(err).Code
}

func TestOnlyWhatProvesItsWriterIsBelieved(t *testing.T) {
	trusting := func(c *proof.Config) { c.Trusted = []string{"documents.cpu.normal"} }
	for _, c := range []struct {
		name   string
		change func(*proof.Config)
		sign   func(v *proof.Verifier) string
		want   schemas.Code
	}{
		{"the house", nil, func(*proof.Verifier) string { return house.Sign(lane, []byte("value")) }, ""},
		{"a producer", nil, func(v *proof.Verifier) string { k, _ := producer(t, v, "acme"); return k.Sign(lane, []byte("value")) }, ""},
		{"nothing", nil, func(*proof.Verifier) string { return "" }, schemas.SignatureInvalid},
		{"no signature", nil, func(*proof.Verifier) string { return "house" }, schemas.SignatureInvalid},
		{"another value", nil, func(v *proof.Verifier) string { k, _ := producer(t, v, "acme"); return k.Sign(lane, []byte("other")) }, schemas.SignatureInvalid},
		{"another lane", nil, func(v *proof.Verifier) string {
			k, _ := producer(t, v, "acme")
			return k.Sign("docstream.documents.gpu.normal", []byte("value"))
		}, schemas.SignatureInvalid},
		{"a key nobody knows", nil, func(*proof.Verifier) string {
			k, _ := producer(t, verifier(nil), "acme")
			return k.Sign(lane, []byte("value"))
		}, schemas.SignatureInvalid},
		{"a secret of one's own", nil, func(v *proof.Verifier) string {
			k, _ := producer(t, v, "acme")
			k.Secret = []byte("mine")
			return k.Sign(lane, []byte("value"))
		}, schemas.SignatureInvalid},
		{"a revoked key", nil, func(v *proof.Verifier) string {
			k, e := producer(t, v, "acme")
			v.Take("", proof.Revoke(e))
			return k.Sign(lane, []byte("value"))
		}, schemas.SignatureInvalid},
		{"a deleted key", nil, func(v *proof.Verifier) string {
			k, _ := producer(t, v, "acme")
			v.Take("acme/producer/"+k.ID, nil)
			return k.Sign(lane, []byte("value"))
		}, schemas.SignatureInvalid},
		{"a retired key, appended before", nil, func(v *proof.Verifier) string {
			k, e := producer(t, v, "acme")
			v.Take("", proof.Retire(e, []schemas.LaneEnd{{Topic: lane, Offset: 6}}))
			return k.Sign(lane, []byte("value"))
		}, ""},
		{"a retired key, appended after", nil, func(v *proof.Verifier) string {
			k, e := producer(t, v, "acme")
			v.Take("", proof.Retire(e, []schemas.LaneEnd{{Topic: lane, Offset: 5}}))
			return k.Sign(lane, []byte("value"))
		}, schemas.SignatureInvalid},
		{"a key moved under another tenant", nil, func(v *proof.Verifier) string {
			k, e := producer(t, v, "acme")
			moved := *e
			moved.Tenant = "rival"
			v.Take("", &moved)
			return k.Sign(lane, []byte("value"))
		}, schemas.SignatureInvalid},
		{"nothing, in a trusted lane", trusting, func(*proof.Verifier) string { return "" }, ""},
		{"a bad signature, in a trusted lane", trusting, func(*proof.Verifier) string { return "house:AAAA" }, schemas.SignatureInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := verifier(c.change)
			if _, err := v.Prove(t.Context(), record(c.sign(v))); code(err) != c.want {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestAKeyThatIsFasterThanItsSettingIsWaitedFor(t *testing.T) {
	v, looks := verifier(nil), 0
	token, e, _ := proof.NewKey(house, "acme", "")
	k, _ := proof.Split(token)
	v.Fresh(func(context.Context) error {
		if looks++; looks == 1 {
			return errors.New("the brokers are away")
		}
		v.Take("", e)
		return nil
	})
	if _, err := v.Prove(t.Context(), record(k.Sign(lane, []byte("value")))); err != nil || looks != 2 {
		t.Errorf("%v after %d looks", err, looks)
	}
	r := record("0123456789abcdef:AAAA")
	r.Seen = time.Now().Add(-time.Hour)
	for range 3 {
		if _, err := v.Prove(t.Context(), r); code(err) != schemas.SignatureInvalid {
			t.Error(err)
		}
	}
	if looks != 2 {
		t.Errorf("a key that is not there was looked for %d times, though the settings were known to lack it", looks-2)
	}
}

func submission() *schemas.DocumentSubmitted {
	now := time.Now()
	return &schemas.DocumentSubmitted{Head: schemas.Head{Tenant: "acme", JobID: schemas.NewJobID(now), At: now, SubmittedAt: now}, FromPage: 1, Class: "cpu", Priority: "normal",
		Source: schemas.Source{Key: "sources/acme/x", Size: 10, Filename: "x.txt"}, Options: schemas.Options{OCR: "auto"}}
}

func TestAWriterMaySayOnlyWhatADoorWouldTake(t *testing.T) {
	v := verifier(nil)
	k, _ := producer(t, v, "acme")
	who, err := v.Prove(t.Context(), record(k.Sign(lane, []byte("value"))))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*schemas.DocumentSubmitted)
		want   schemas.Code
		told   bool // whether the producer is told
	}{
		{"its own tenant", func(*schemas.DocumentSubmitted) {}, "", true},
		{"another tenant", func(s *schemas.DocumentSubmitted) { s.Tenant = "rival" }, schemas.TenantForged, false},
		{"another priority", func(s *schemas.DocumentSubmitted) { s.Priority = "high" }, schemas.SubmissionInvalid, true},
		{"another class", func(s *schemas.DocumentSubmitted) { s.Class = "gpu" }, schemas.SubmissionInvalid, true},
		{"a later run", func(s *schemas.DocumentSubmitted) { s.Run = 1 }, schemas.SubmissionInvalid, true},
		{"a continuation", func(s *schemas.DocumentSubmitted) { s.FromPage = 33 }, schemas.SubmissionInvalid, true},
		{"no job id", func(s *schemas.DocumentSubmitted) { s.JobID = "mine" }, schemas.SubmissionInvalid, true},
		{"no time", func(s *schemas.DocumentSubmitted) { s.SubmittedAt = time.Time{} }, schemas.SubmissionInvalid, true},
		{"tomorrow", func(s *schemas.DocumentSubmitted) { s.SubmittedAt = time.Now().Add(24 * time.Hour) }, schemas.SubmissionInvalid, true},
		{"no size", func(s *schemas.DocumentSubmitted) { s.Source.Size = 0 }, schemas.SubmissionInvalid, true},
		{"too large", func(s *schemas.DocumentSubmitted) { s.Source.Size = 1 << 40 }, schemas.FileTooLarge, true},
		{"a long name", func(s *schemas.DocumentSubmitted) { s.Source.Filename = strings.Repeat("x", 2000) }, schemas.SubmissionInvalid, true},
		{"a request id", func(s *schemas.DocumentSubmitted) { s.RequestID = "a b" }, schemas.SubmissionInvalid, true},
		{"an unknown format", func(s *schemas.DocumentSubmitted) { s.Options.OutputFormats = []string{"docx"} }, schemas.InvalidOption, true},
		{"an unknown mode", func(s *schemas.DocumentSubmitted) { s.Options.OCR = "maybe" }, schemas.InvalidOption, true},
		{"no pages", func(s *schemas.DocumentSubmitted) { s.Options.Pages = "x-y" }, schemas.InvalidOption, true},
		{"much metadata", func(s *schemas.DocumentSubmitted) { s.Metadata = map[string]string{"a": strings.Repeat("x", 9000)} }, schemas.InvalidOption, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := submission()
			c.change(s)
			said, f := who.Admit(s)
			var got schemas.Code
			if f != nil {
				got = f.Code
			}
			if got != c.want {
				t.Errorf("%v, want %q", f, c.want)
			}
			stub := who.Stub(record(""), s.JobID, said)
			if (stub != nil) != c.told || stub != nil && (stub.Tenant != "acme" || !schemas.ValidJobID(stub.JobID)) {
				t.Errorf("what its producer can follow is %+v", stub)
			}
		})
	}
	if _, f := who.Admit(&schemas.PagePrepared{}); f == nil || f.Code != schemas.RecordUndecodable {
		t.Errorf("another kind of event: %v", f)
	}
}

func TestTheSecretOfAProducerKeyIsSealed(t *testing.T) {
	token, e, err := proof.NewKey(house, "acme", "ci")
	if err != nil {
		t.Fatal(err)
	}
	k, _ := proof.Split(token)
	if strings.Contains(string(e.Sealed)+e.KeyID+e.Name+e.EventID, string(k.Secret)) {
		t.Error("P8: the event holds the secret")
	}
	other := house
	other.Secret = []byte("another house key of the tests!!")
	v := proof.New(proof.DefaultConfig(), other, plan, slog.New(slog.DiscardHandler))
	v.Take("", e)
	if _, err := v.Prove(t.Context(), record(k.Sign(lane, []byte("value")))); code(err) != schemas.SignatureInvalid {
		t.Errorf("under another house key: %v", err)
	}
	for name, c := range map[string]struct {
		house        schemas.SigningKey
		tenant, name string
	}{"no house key": {schemas.SigningKey{}, "acme", ""}, "no tenant": {house, "", ""}, "a tenant's form": {house, "A/b", ""}, "a long name": {house, "acme", strings.Repeat("x", 201)}} {
		if token, _, err := proof.NewKey(c.house, c.tenant, c.name); err == nil {
			t.Errorf("%s: %s", name, token)
		}
	}
	for _, token := range []string{"", "dpk_", "dpk_0123456789abcdef_", "dsk_0123456789abcdef_x", "dpk_0123456789abcde/_x"} {
		if _, ok := proof.Split(token); ok {
			t.Errorf("%q was taken for a key", token)
		}
	}
}

func TestOnlyLanesThatExistCanBeTrusted(t *testing.T) {
	for name, c := range map[string]struct {
		cfg proof.Config
		ok  bool
	}{
		"as it is": {proof.DefaultConfig(), true}, "a lane": {proof.Config{Trusted: []string{"documents.gpu.low"}, MaxBytes: 1}, true},
		"no lane": {proof.Config{Trusted: []string{"splits.low"}, MaxBytes: 1}, false}, "no bytes": {proof.Config{}, false},
	} {
		if err := c.cfg.Validate(); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkProve(b *testing.B) {
	v := verifier(nil)
	k, _ := producer(b, v, "acme")
	r := record("")
	r.Value = make([]byte, 700) // a submission
	r.Signature = k.Sign(r.Topic, r.Value)
	for b.Loop() {
		if _, err := v.Prove(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}
