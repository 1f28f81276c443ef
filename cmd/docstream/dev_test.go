package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"docstream/gateway/keys"
	"docstream/schemas"
)

func TestOneDevHoldsAFolder(t *testing.T) {
	dir := t.TempDir()
	f, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !held(filepath.Join(dir, "lock")) {
		t.Error("the lock is not held")
	}
	if _, err := openFolder(dir); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("in use by another docstream dev (pid %d)", os.Getpid())) {
		t.Errorf("a second one: %v", err)
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	again, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.close(); err != nil {
		t.Fatal(err)
	}
}

func TestServiceFileIsPrivateAndGoesWithItsOwner(t *testing.T) {
	dir := t.TempDir()
	f, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.announce(service{API: "http://x", APIKey: "k"}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "dev.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	p := &program{data: dir}
	if s, err := p.service(); err != nil || s.API != "http://x" {
		t.Errorf("found %+v, %v", s, err)
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.service(); err == nil {
		t.Error("a service was found that has stopped")
	}
}

func TestSecretsAreMadeOnce(t *testing.T) {
	f, err := openFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	first, err := f.secrets()
	if err != nil {
		t.Fatal(err)
	}
	second, err := f.secrets()
	if err != nil || second.HouseKey != first.HouseKey || second.APIKey != first.APIKey || second.S3SecretKey != first.S3SecretKey {
		t.Errorf("they changed: %v", err)
	}
	id, secret, ok := keys.Split(second.APIKey)
	house := schemas.SigningKey{ID: houseKeyID, Secret: []byte(second.HouseKey)}
	if !ok || second.APIKeyEvent.KeyID != id || !keys.Valid(house.Checker(), second.APIKeyEvent, secret, second.APIKeyEvent.CreatedAt) {
		t.Error("the event is not the key's")
	}
	if info, err := os.Stat(f.path("secrets")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v", err)
	}
}

func TestPortsAreRememberedWhileFree(t *testing.T) {
	f, err := openFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	first, err := f.ports([]string{"a", "b"}, nil)
	if err != nil || first["a"] == 0 || first["a"] == first["b"] {
		t.Fatalf("%v %v", first, err)
	}
	second, err := f.ports([]string{"a", "b", "c"}, nil)
	if err != nil || second["a"] != first["a"] || second["b"] != first["b"] || second["c"] == 0 {
		t.Fatalf("%v, then %v, %v", first, second, err)
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first["a"]))
	if err != nil {
		t.Skip("somebody else took the port")
	}
	defer l.Close()
	third, err := f.ports([]string{"a", "b"}, nil)
	if err != nil || third["a"] == first["a"] || third["b"] != first["b"] {
		t.Errorf("with a taken: %v, %v", third, err)
	}
}

func TestWhatDevCannotStartWithout(t *testing.T) {
	parts := filepath.Join(t.TempDir(), "docstream-parts")
	if err := os.WriteFile(parts, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	empty := "DOCSTREAM_MODELS_DIR=" + t.TempDir()
	if code, _, errs := run(t, nil, "dev", "--data", t.TempDir(), "--parts-bin", "/nowhere/docstream-parts"); code != exitFailed || !strings.Contains(errs, "/nowhere/docstream-parts is missing: run make build") {
		t.Errorf("no parts: exit %d, %q", code, errs)
	}
	if code, _, errs := run(t, []string{empty}, "dev", "--data", t.TempDir(), "--parts-bin", parts); code != exitFailed || !strings.Contains(errs, "run make parts") {
		t.Errorf("no models: exit %d, %q", code, errs)
	}
}

func TestATakenPortIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := openFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	s := &supervisor{folder: f, options: devOptions{listen: l.Addr().String()}}
	if err := s.choosePorts(); err == nil || !strings.Contains(err.Error(), l.Addr().String()+" is taken") {
		t.Errorf("got %v", err)
	}
	s.options.listen = "127.0.0.1:0"
	if err := s.choosePorts(); err != nil || s.serving.API != "http://"+s.local("api") {
		t.Errorf("got %v, %s", err, s.serving.API)
	}
	s.options.listen = "nonsense"
	if err := s.choosePorts(); err == nil {
		t.Error("nonsense was listened on")
	}
}

func TestRolesGetTheirConfigurationByEnvironmentOnly(t *testing.T) {
	f, err := openFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	cfg, err := load(layers{})
	if err != nil {
		t.Fatal(err)
	}
	s := &supervisor{program: &program{}, folder: f, options: devOptions{workers: 3, listen: "127.0.0.1:0"}, config: cfg}
	if s.secrets, err = f.secrets(); err != nil {
		t.Fatal(err)
	}
	if err := s.choosePorts(); err != nil {
		t.Fatal(err)
	}
	s.configure()
	got, err := load(layers{env: environment(s.config)})
	if err != nil {
		t.Fatal(err)
	}
	if got.HouseKey.Secret != s.secrets.HouseKey || got.Objects.SecretKey != s.secrets.S3SecretKey || "http://"+got.Gateway.Listen != s.serving.API || got.Kafka.Brokers[0] != s.local("kafka") {
		t.Errorf("handed on %+v", got)
	}
	for _, r := range s.roles() {
		if line := strings.Join(append(r.args, r.config...), " "); strings.Contains(line, s.secrets.HouseKey) || strings.Contains(line, s.secrets.S3SecretKey) {
			t.Errorf("a secret is on the command line of %s", r.name)
		}
	}
}

func TestMetricsOfAllRolesAtOneAddress(t *testing.T) {
	role := func(text string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }))
		t.Cleanup(s.Close)
		return s.URL
	}
	all := gather(context.Background(), map[string]string{
		"ocr":     role("# TYPE docstream_x_total counter\ndocstream_x_total{lane=\"a\"} 3\n"),
		"prepare": role("# TYPE docstream_x_total counter\ndocstream_x_total{lane=\"a\"} 4\n# TYPE docstream_info gauge\ndocstream_info{role=\"processor\"} 1\n"),
		"gone":    "http://127.0.0.1:1",
	})
	var out bytes.Buffer
	if err := writeMetrics(&out, all); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`docstream_x_total{lane="a",role="ocr"} 3`, `docstream_x_total{lane="a",role="prepare"} 4`, `docstream_info{role="prepare"} 1`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is missing in\n%s", want, out.String())
		}
	}
}
