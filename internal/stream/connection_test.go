package stream_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"docstream/internal/stream"
)

// certificate makes a self-signed certificate for loopback and writes its authority to a file.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func TestConnectionsOverTLSWithAUserAndAPassword(t *testing.T) {
	cert, ca := certificate(t)
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}), kfake.EnableSASL(),
		kfake.Superuser("PLAIN", "ann", "plain"), kfake.Superuser("SCRAM-SHA-256", "bob", "s256"), kfake.Superuser("SCRAM-SHA-512", "eve", "s512"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	for _, c := range []struct {
		name, sasl, user, password, ca string
		tls, ok                        bool
	}{
		{"plain", "plain", "ann", "plain", ca, true, true},
		{"scram-sha-256", "scram-sha-256", "bob", "s256", ca, true, true},
		{"scram-sha-512", "scram-sha-512", "eve", "s512", ca, true, true},
		{"a wrong password", "scram-sha-512", "eve", "no", ca, true, false},
		{"no user", "", "", "", ca, true, false},
		{"an authority nobody trusts", "plain", "ann", "plain", "", true, false},
		{"no TLS", "plain", "ann", "plain", "", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := stream.Connection{Brokers: broker.ListenAddrs(), Registry: "http://127.0.0.1:1", TLS: c.tls, CAFile: c.ca, SASL: c.sasl, User: c.user, Password: c.password}
			if err := conn.Validate(); err != nil {
				t.Fatal(err)
			}
			cl, err := conn.Client()
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			if err := cl.Ping(ctx); (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestConnectionsThatContradictThemselvesAreRefused(t *testing.T) {
	for name, change := range map[string]func(*stream.Connection){
		"no broker":                   func(c *stream.Connection) { c.Brokers = nil },
		"no registry":                 func(c *stream.Connection) { c.Registry = "" },
		"a certificate without a key": func(c *stream.Connection) { c.TLS, c.CertFile = true, "x" },
		"an authority without TLS":    func(c *stream.Connection) { c.CAFile = "x" },
		"a mechanism nobody knows":    func(c *stream.Connection) { c.SASL = "magic" },
	} {
		c := stream.DefaultConnection()
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
