package stream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"github.com/twmb/franz-go/pkg/sr"

	"docstream/schemas"
)

// Connection says how to reach Kafka and the schema registry.
type Connection struct {
	Brokers  []string `koanf:"brokers"`
	Registry string   `koanf:"registry"` // URL

	TLS      bool   `koanf:"tls"`
	CAFile   string `koanf:"ca_file"`   // PEM; empty trusts the system's
	CertFile string `koanf:"cert_file"` // PEM, with KeyFile for mutual TLS
	KeyFile  string `koanf:"key_file"`

	SASL             string `koanf:"sasl"` // plain, scram-sha-256, scram-sha-512 or empty
	User             string `koanf:"user"`
	Password         string `koanf:"password" secret:"true"`
	RegistryUser     string `koanf:"registry_user"`
	RegistryPassword string `koanf:"registry_password" secret:"true"`
}

// DefaultConnection is a broker and a registry on this machine.
func DefaultConnection() Connection {
	return Connection{Brokers: []string{"127.0.0.1:9092"}, Registry: "http://127.0.0.1:8081"}
}

// Validate refuses settings that contradict each other.
func (c Connection) Validate() error {
	switch {
	case len(c.Brokers) == 0:
		return errors.New("kafka: brokers is empty")
	case c.Registry == "":
		return errors.New("kafka: registry is empty")
	case (c.CertFile == "") != (c.KeyFile == ""):
		return errors.New("kafka: cert_file and key_file go together")
	case !c.TLS && (c.CAFile != "" || c.CertFile != ""):
		return errors.New("kafka: ca_file and cert_file need tls: true")
	}
	_, err := c.mechanism()
	return err
}

// Client connects to the brokers. Every record it produces waits for all in-sync replicas.
func (c Connection) Client(extra ...kgo.Opt) (*kgo.Client, error) {
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	return kgo.NewClient(append(o, extra...)...)
}

func (c Connection) options() ([]kgo.Opt, error) {
	o := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID("docstream"),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(8 << 20),
		kgo.RetryTimeout(20 * time.Second),
		kgo.MetadataMinAge(250 * time.Millisecond),
	}
	if c.TLS {
		t, err := c.tls()
		if err != nil {
			return nil, err
		}
		o = append(o, kgo.DialTLSConfig(t))
	}
	m, err := c.mechanism()
	if err != nil {
		return nil, err
	}
	if m != nil {
		o = append(o, kgo.SASL(m))
	}
	return o, nil
}

func (c Connection) tls() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("kafka: reading ca_file: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("kafka: ca_file holds no certificate")
		}
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("kafka: reading cert_file: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

func (c Connection) mechanism() (sasl.Mechanism, error) {
	auth := scram.Auth{User: c.User, Pass: c.Password}
	switch c.SASL {
	case "":
		return nil, nil
	case "plain":
		return plain.Auth{User: c.User, Pass: c.Password}.AsMechanism(), nil
	case "scram-sha-256":
		return auth.AsSha256Mechanism(), nil
	case "scram-sha-512":
		return auth.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("kafka: sasl %q is not plain, scram-sha-256 or scram-sha-512", c.SASL)
}

// Codec returns a codec on the registry; nothing is called yet.
func (c Connection) Codec() (*schemas.Codec, error) {
	cl, err := c.RegistryClient()
	if err != nil {
		return nil, err
	}
	return schemas.NewCodec(cl), nil
}

// RegistryClient returns a client of the schema registry; nothing is called yet.
func (c Connection) RegistryClient() (*sr.Client, error) {
	o := []sr.ClientOpt{sr.URLs(c.Registry)}
	if c.RegistryUser != "" {
		o = append(o, sr.BasicAuth(c.RegistryUser, c.RegistryPassword))
	}
	cl, err := sr.NewClient(o...)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return cl, nil
}
