package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
)

// clusterFile is DIR/cluster.json, by which the end-to-end suite and the commands find the cluster. It holds a key: only its owner may read it.
type clusterFile struct {
	API        string         `json:"api"`      // through nginx
	Gateways   []string       `json:"gateways"` // each by itself
	Kafka      string         `json:"kafka"`
	Registry   string         `json:"registry"`
	S3         string         `json:"s3"`
	ClickHouse string         `json:"clickhouse"`
	Metrics    string         `json:"metrics"` // of every role, as Prometheus has them
	APIKey     string         `json:"api_key"`
	PIDs       map[string]int `json:"pids"`

	Environment map[string]string `json:"environment"` // of the roles: what else is needed to reach the parts as they do
}

// open makes the first API key and says where everything is.
func (c *cluster) open(ctx context.Context) error {
	key, err := c.once(ctx, c.instances["topics"][0], "keys", "create", "--name", "cluster", "--scopes", "documents,admin")
	if err != nil {
		return fmt.Errorf("creating an API key: %w", err)
	}
	at := func(service, port string) string { return "http://" + c.book.address(c.instances[service][0], port) }
	env := c.book.environment(c.instances["gateway"][0])
	f := clusterFile{API: at("nginx", "8080"), Kafka: env["DOCSTREAM_KAFKA_BROKERS"], Registry: env["DOCSTREAM_KAFKA_REGISTRY"], S3: at("s3", "7070"),
		ClickHouse: at("clickhouse", "8123"), APIKey: key, Environment: env}
	f.Metrics = at("prometheus", "9090") + "/federate?match%5B%5D=" + url.QueryEscape(`{__name__=~"docstream_.*"}`)
	for _, g := range c.instances["gateway"] {
		f.Gateways = append(f.Gateways, "http://"+c.book.address(g, "8080"))
	}
	c.mu.Lock()
	c.file, c.serving = f, true
	c.mu.Unlock()
	return c.write()
}

// announce writes the file again whenever a process was started anew.
func (c *cluster) announce() {
	if err := c.write(); err != nil {
		c.log.Error(clusterName+" cannot be written", "error", err)
	}
}

const clusterName = "cluster.json"

func (c *cluster) path() string { return filepath.Join(c.dir, clusterName) }

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
	b, err := json.MarshalIndent(c.file, "", "  ")
	if err != nil {
		return err
	}
	tmp := c.path() + ".new"
	return errors.Join(os.WriteFile(tmp, append(b, '\n'), 0o600), os.Rename(tmp, c.path()))
}
