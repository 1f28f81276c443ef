// Package objects is the embedded S3 endpoint of one machine: Versity's S3 gateway over a directory.
//
// Promised: signatures are checked; a conditional PUT (If-None-Match: *) has one winner; an object appears whole or
// not at all, and what was acknowledged survives kill -9 and, as far as fsync of the file and of its directory goes, a
// power cut. Not there: lifecycle rules and notifications; whoever needs expiry sweeps.
package objects

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

// healthPath answers without a signature once the endpoint serves. It masks no bucket: an underscore is in no bucket name.
const healthPath = "/_health"

// The owner's keys come from the environment: a command line is for everybody on the machine to read.
const (
	AccessKeyVariable = "DOCSTREAM_PARTS_S3_ACCESS_KEY"
	SecretKeyVariable = "DOCSTREAM_PARTS_S3_SECRET_KEY"
)

// Config says where the endpoint listens and what it accepts.
type Config struct {
	Data      string
	Listen    string
	AccessKey string
	SecretKey string
	Bucket    string
}

// Validate names the first setting that cannot work.
func (c Config) Validate() error {
	switch {
	case c.AccessKey == "" || c.SecretKey == "":
		return errors.New(AccessKeyVariable + " and " + SecretKeyVariable + " are required in the environment")
	case len(c.Bucket) < 3 || len(c.Bucket) > 63:
		return fmt.Errorf("bucket name %q: between 3 and 63 characters", c.Bucket)
	}
	return nil
}

// Run serves until ctx ends and returns nil then. ready is called once, when signed requests are answered and the
// bucket exists.
func Run(ctx context.Context, cfg Config, log *slog.Logger, ready func(addr string)) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	addr, err := freeAddress(cfg.Listen)
	if err != nil {
		return err
	}
	root := filepath.Join(cfg.Data, "buckets")
	// A bucket is a directory; the root account owns one that has no access list.
	if err := os.MkdirAll(filepath.Join(root, cfg.Bucket), 0o700); err != nil {
		return fmt.Errorf("creating the bucket: %w", err)
	}
	backend, err := open(cfg.Data, root, log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- embedgw.RunVersityGW(ctx, backend, gateway(cfg, addr)) }()
	if err := waitHealthy(ctx, addr, done); err != nil {
		return err
	}
	ready(addr)
	if err := <-done; err != nil && ctx.Err() == nil {
		return fmt.Errorf("serving: %w", err)
	}
	return nil
}

// gateway sets every limit that the gateway's own command line defaults: as a library it takes zero for zero.
func gateway(cfg Config, addr string) *embedgw.Config {
	return &embedgw.Config{
		RootUserAccess:    cfg.AccessKey,
		RootUserSecret:    cfg.SecretKey,
		Region:            "us-east-1",
		Ports:             []string{addr},
		MaxConnections:    4096,
		MaxRequests:       1024,
		MultipartMaxParts: 10000,
		KeepAlive:         true,
		IAMService:        auth.NewIAMServiceSingle(auth.Account{Access: cfg.AccessKey, Secret: cfg.SecretKey, Role: auth.RoleAdmin}),
		Quiet:             true,
		HealthPath:        healthPath,
	}
}

// open builds the backend. Metadata is kept in extended attributes, in the same inode as the object; on a file system
// without them, in files of their own, where a kill between the two writes can leave an object without its metadata.
func open(data, root string, log *slog.Logger) (*durable, error) {
	opts := posix.PosixOpts{
		Concurrency:         512,
		CopyObjectThreshold: 5 << 30,
		IOBufferSize:        1 << 20,
	}
	opts.SetNewDirPerm(fs.FileMode(0o700))
	opts.SetNewFilePerm(fs.FileMode(0o600))
	var store meta.MetadataStorer = meta.XattrMeta{}
	if err := (meta.XattrMeta{}).Test(root); err != nil {
		log.Warn("no extended attributes on this file system: object metadata goes to files of its own", "cause", err.Error())
		opts.SideCarDir = filepath.Join(data, "metadata")
		if err := os.MkdirAll(opts.SideCarDir, 0o700); err != nil {
			return nil, fmt.Errorf("creating the metadata directory: %w", err)
		}
		sidecar, err := meta.NewSideCar(opts.SideCarDir)
		if err != nil {
			return nil, fmt.Errorf("opening the metadata directory: %w", err)
		}
		store = sidecar
	}
	backend, err := posix.New(root, store, opts)
	if err != nil {
		return nil, fmt.Errorf("opening the object directory: %w", err)
	}
	return &durable{Posix: backend, root: root, ordered: keepsOrder(root)}, nil
}

// freeAddress turns port 0 into a free port: the gateway cannot say which one it was given.
func freeAddress(listen string) (string, error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return "", fmt.Errorf("listening: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// waitHealthy returns when the endpoint answers, or with the error that it ended with.
func waitHealthy(ctx context.Context, addr string, done <-chan error) error {
	client := &http.Client{Timeout: time.Second}
	for range 1000 {
		resp, err := client.Get("http://" + addr + healthPath)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-done:
			return fmt.Errorf("starting: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return errors.New("the S3 endpoint did not answer within 10 seconds")
}
