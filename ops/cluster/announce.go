package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
)

// service is DIR/dev.json, as docstream dev writes it for its folder: so every command that takes --data DIR works on the cluster too. It
// holds keys: only its owner may read it.
type service struct {
	API          string         `json:"api"` // through nginx
	APIReference string         `json:"api_reference"`
	Gateways     []string       `json:"gateways"` // each by itself
	Kafka        string         `json:"kafka"`
	Registry     string         `json:"registry"`
	TopicsPrefix string         `json:"topics_prefix"`
	S3           string         `json:"s3"`
	S3Bucket     string         `json:"s3_bucket"`
	S3AccessKey  string         `json:"s3_access_key"`
	S3SecretKey  string         `json:"s3_secret_key"`
	ClickHouse   string         `json:"clickhouse"`
	Metrics      string         `json:"metrics"` // of every role, as Prometheus has them
	APIKey       string         `json:"api_key"`
	PIDs         map[string]int `json:"pids"`
	Data         string         `json:"data"`
}

const (
	serviceName   = "dev.json"
	secretsName   = "secrets"
	lockName      = "lock"
	defaultPrefix = "docstream." // of the topics, where the compose file sets none
)

// claim holds the folder while the cluster runs, as docstream dev does.
func claim(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is in use by another cluster", dir), f.Close())
	}
	return f, nil
}

// open makes the first API key and says where everything is.
func (c *cluster) open(ctx context.Context) error {
	key, err := c.once(ctx, c.instances["topics"][0], "keys", "create", "--name", "cluster", "--scopes", "documents,admin")
	if err != nil {
		return fmt.Errorf("creating an API key: %w", err)
	}
	at := func(service, port string) string { return "http://" + c.book.address(c.instances[service][0], port) }
	env := c.book.environment(c.instances["gateway"][0])
	d := service{API: at("nginx", "8080"), Kafka: env["DOCSTREAM_KAFKA_BROKERS"], Registry: env["DOCSTREAM_KAFKA_REGISTRY"],
		TopicsPrefix: cmp.Or(env["DOCSTREAM_TOPICS_PREFIX"], defaultPrefix), S3: env["DOCSTREAM_OBJECTS_ENDPOINT"], S3Bucket: env["DOCSTREAM_OBJECTS_BUCKET"],
		S3AccessKey: env["DOCSTREAM_OBJECTS_ACCESS_KEY"], S3SecretKey: env["DOCSTREAM_OBJECTS_SECRET_KEY"], ClickHouse: at("clickhouse", "8123"), APIKey: key, Data: c.dir}
	d.APIReference = d.API + "/openapi.json"
	d.Metrics = at("prometheus", "9090") + "/federate?match%5B%5D=" + url.QueryEscape(`{__name__=~"docstream_.*"}`)
	for _, g := range c.instances["gateway"] {
		d.Gateways = append(d.Gateways, "http://"+c.book.address(g, "8080"))
	}
	if err := save(filepath.Join(c.dir, secretsName), map[string]string{"house_key": env["DOCSTREAM_HOUSE_KEY_SECRET"]}); err != nil {
		return err
	}
	c.mu.Lock()
	c.file, c.serving = d, true
	c.mu.Unlock()
	return c.write()
}

// announce writes the file again whenever a process was started anew.
func (c *cluster) announce() {
	if err := c.write(); err != nil {
		c.log.Error(serviceName+" cannot be written", "error", err)
	}
}

func (c *cluster) write() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.serving {
		return nil
	}
	c.file.PIDs = map[string]int{"cluster": os.Getpid()}
	for _, keepers := range c.keepers {
		for _, k := range keepers {
			c.file.PIDs[k.Name()] = k.PID()
		}
	}
	return save(filepath.Join(c.dir, serviceName), c.file)
}

// save writes a file whole, for its owner only.
func save(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(path+".new", append(b, '\n'), 0o600), os.Rename(path+".new", path))
}
