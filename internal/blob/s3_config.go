package blob

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Config says where the bucket is and how to reach it.
type Config struct {
	Endpoint  string `koanf:"endpoint"`        // URL of the server; empty: AWS
	Public    string `koanf:"public_endpoint"` // URL that clients reach the server at, for links; empty: endpoint
	Region    string `koanf:"region"`
	Bucket    string `koanf:"bucket"`
	AccessKey string `koanf:"access_key"` // empty: the SDK's own chain (environment, profile, role of the machine)
	SecretKey string `koanf:"secret_key" secret:"true"`
	PathStyle bool   `koanf:"path_style"` // bucket in the path instead of the host name; true for most servers but AWS

	PartBytes   int64         `koanf:"part_bytes"`  // of a streamed upload, which holds two of them in memory
	Connections int           `koanf:"connections"` // at most, kept open for reuse
	Attempts    int           `koanf:"attempts"`    // of one request
	Stall       time.Duration `koanf:"stall"`       // a connection on which no byte moves for so long is given up
}

// minPart and maxParts are S3's own limits.
const (
	minPart  = 5 << 20
	maxParts = 10_000
)

// DefaultConfig is a server on this machine.
func DefaultConfig() Config {
	return Config{Endpoint: "http://127.0.0.1:7070", Region: "us-east-1", Bucket: "docstream", PathStyle: true,
		PartBytes: minPart, Connections: 64, Attempts: 4, Stall: 30 * time.Second}
}

// Validate refuses settings that cannot work.
func (c Config) Validate() error {
	switch {
	case c.Bucket == "":
		return errors.New("s3: bucket is empty")
	case c.Region == "":
		return errors.New("s3: region is empty")
	case (c.AccessKey == "") != (c.SecretKey == ""):
		return errors.New("s3: access_key and secret_key go together")
	case c.PartBytes < minPart:
		return fmt.Errorf("s3: part_bytes %d is below the protocol's 5 MiB", c.PartBytes)
	case c.Connections < 1 || c.Attempts < 1:
		return errors.New("s3: connections and attempts are at least 1")
	case c.Stall < time.Second:
		return errors.New("s3: stall is at least 1s")
	}
	for name, address := range map[string]string{"endpoint": c.Endpoint, "public_endpoint": c.Public} {
		if u, err := url.Parse(address); address != "" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https")) {
			return fmt.Errorf("s3: %s is not an http:// or https:// address", name)
		}
	}
	return nil
}

func connect(c Config) (*s3.Client, error) {
	o := []func(*config.LoadOptions) error{
		config.WithRegion(c.Region),
		config.WithHTTPClient(client(c)),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = c.Attempts, 5*time.Second })
		}),
		// Checksum trailers are AWS's own: other servers refuse or ignore them. Bodies are covered by the signature.
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
	}
	if c.AccessKey != "" {
		o = append(o, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey, "")))
	}
	loaded, err := config.LoadDefaultConfig(context.Background(), o...)
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	return s3.NewFromConfig(loaded, func(o *s3.Options) {
		o.UsePathStyle = c.PathStyle
		o.BaseEndpoint = optional(c.Endpoint)
	}), nil
}

// client bounds each attempt by progress instead of by a total: a large object may take its time, a silent server may not.
func client(c Config) *awshttp.BuildableClient {
	d := net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := d.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &movingConn{conn, c.Stall}, nil
		}
		t.ForceAttemptHTTP2 = false // one stalled stream must not hold up the others
		t.MaxConnsPerHost = c.Connections
		t.MaxIdleConns = c.Connections
		t.MaxIdleConnsPerHost = c.Connections
		t.IdleConnTimeout = c.Stall
	})
}

// movingConn fails a read or write that makes no progress for stall. Writing also extends the deadline of the read that waits for the
// answer meanwhile.
type movingConn struct {
	net.Conn
	stall time.Duration
}

func (c *movingConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *movingConn) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.stall)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
