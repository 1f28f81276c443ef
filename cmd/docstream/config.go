package main

import (
	"errors"
	"fmt"

	"docstream/connectors/s3"
	"docstream/gateway"
	"docstream/gateway/view"
	"docstream/internal/blob"
	"docstream/internal/engine"
	"docstream/internal/proof"
	"docstream/internal/retention"
	"docstream/internal/stream"
	"docstream/internal/telemetry"
	"docstream/internal/topology"
	"docstream/ops"
	"docstream/processors/compose"
	"docstream/processors/deliver"
	"docstream/processors/fetch"
	"docstream/processors/layout"
	"docstream/processors/ocr"
	"docstream/processors/prepare"
	"docstream/processors/track"
	"docstream/schemas"
	"docstream/sinks/clickhouse"
	archive "docstream/sinks/s3"
)

// Config is the whole configuration: a section for each package that has one. Every key has a default, and each package validates its
// own section.
type Config struct {
	HouseKey   HouseKey          `koanf:"house_key"`
	Kafka      stream.Connection `koanf:"kafka"`
	Topics     topology.Config   `koanf:"topics"`
	Principals ops.Principals    `koanf:"principals"`
	Objects    blob.Config       `koanf:"objects"`
	Gateway    gateway.Config    `koanf:"gateway"`
	View       view.Config       `koanf:"view"`
	Stream     stream.Config     `koanf:"stream"`
	Engine     engine.Config     `koanf:"engine"`
	Models     engine.ModelSet   `koanf:"models"`
	Proof      proof.Config      `koanf:"proof"`
	Prepare    prepare.Config    `koanf:"prepare"`
	Fetch      fetch.Config      `koanf:"fetch"`
	Layout     layout.Config     `koanf:"layout"`
	OCR        ocr.Config        `koanf:"ocr"`
	Compose    compose.Config    `koanf:"compose"`
	Track      track.Config      `koanf:"track"`
	ClickHouse clickhouse.Config `koanf:"clickhouse"`
	Archive    archive.Config    `koanf:"archive"`
	Retention  retention.Config  `koanf:"retention"`
	Deliver    deliver.Config    `koanf:"deliver"`
	Connectors Connectors        `koanf:"connectors"`
	Telemetry  telemetry.Config  `koanf:"telemetry"`
}

// HouseKey signs submissions and keys the hashes of API keys. All roles of one service share it.
type HouseKey struct {
	ID     string `koanf:"id"`
	Secret string `koanf:"secret" secret:"true"` // at least 32 characters
}

// houseKeyID names the first house key of an installation.
const houseKeyID = "house"

// minHouseSecret is the length below which a secret can be guessed.
const minHouseSecret = 32

func defaults() Config {
	return Config{
		HouseKey:   HouseKey{ID: houseKeyID},
		Kafka:      stream.DefaultConnection(),
		Topics:     topology.DefaultConfig(),
		Principals: ops.DefaultPrincipals(),
		Objects:    blob.DefaultConfig(),
		Gateway:    gateway.DefaultConfig(),
		View:       view.DefaultConfig(),
		Stream:     stream.DefaultConfig(),
		Engine:     engine.DefaultConfig(),
		Models:     engine.DefaultModelSet(),
		Proof:      proof.DefaultConfig(),
		Prepare:    prepare.DefaultConfig(),
		Fetch:      fetch.DefaultConfig(),
		Layout:     layout.DefaultConfig(),
		OCR:        ocr.DefaultConfig(),
		Compose:    compose.DefaultConfig(),
		Track:      track.DefaultConfig(),
		ClickHouse: clickhouse.DefaultConfig(),
		Archive:    archive.DefaultConfig(),
		Retention:  retention.DefaultConfig(),
		Deliver:    deliver.DefaultConfig(),
		Connectors: Connectors{S3: s3.DefaultConfig()},
		Telemetry:  telemetry.DefaultConfig(),
	}
}

// derived are keys that follow from others and cannot be set: what the model set says is said once.
var derived = map[string]bool{"layout.device": true, "ocr.device": true, "ocr.reading": true, "prepare.last_attempt": true, "fetch.last_attempt": true}

func (c *Config) derive() {
	c.Layout.Device, c.OCR.Device, c.OCR.Reading = c.Models.Device, c.Models.Device, c.Models.Reading().String()
	if c.Models.Device != "cpu" {
		c.Engine.MemoryBurst = 0 // the drivers of accelerators ask for address space far beyond what they use
	}
	c.Fetch.LastAttempt = len(c.Topics.Delays)
	c.Gateway.Fetch = c.Fetch.Outbound
	c.Prepare.LastAttempt = len(c.Topics.Delays)
	c.Prepare.Versions, c.Prepare.Composing = []string{layout.Version, ocr.Version, c.OCR.Reading}, compose.Version
	c.Connectors.S3.GPUTypes = c.Gateway.GPUTypes
	c.Gateway.Webhooks, c.Deliver.PublicURL = c.Deliver.Outbound, c.Gateway.PublicURL
}

// Validate asks every section.
func (c Config) Validate() error {
	return errors.Join(c.HouseKey.Validate(), c.Kafka.Validate(), c.Topics.Validate(), c.Principals.Validate(), c.Objects.Validate(), c.Gateway.Validate(), c.View.Validate(), c.Stream.Validate(),
		c.Engine.Validate(), c.Models.Validate(), c.Proof.Validate(), c.Prepare.Validate(), c.Fetch.Validate(), c.Layout.Validate(), c.OCR.Validate(), c.Compose.Validate(), c.Track.Validate(), c.ClickHouse.Validate(), c.Archive.Validate(), c.Retention.Validate(), c.Deliver.Validate(), c.Connectors.S3.Validate(),
		c.Telemetry.Validate(), c.agree())
}

// agree holds the sections to each other.
func (c Config) agree() error {
	for _, b := range c.Prepare.Buckets {
		if b.Bucket == c.Objects.Bucket {
			return fmt.Errorf("prepare.buckets: %s is the platform's own bucket; each tenant's sources have their place there", b.Bucket)
		}
	}
	for i, r := range c.Connectors.S3.Rules {
		if !c.Prepare.Registered(r.Tenant, r.Bucket, r.Prefix) {
			return fmt.Errorf("connectors.s3.rules[%d]: tenant %s has no bucket %s with %q in prepare.buckets: every job would be refused", i, r.Tenant, r.Bucket, r.Prefix)
		}
	}
	return nil
}

// Validate refuses a key that is short; a missing one is refused by the roles that need it.
func (k HouseKey) Validate() error {
	if k.Secret != "" && (k.ID == "" || len(k.Secret) < minHouseSecret) {
		return fmt.Errorf("house_key: it needs an id and a secret of at least %d characters", minHouseSecret)
	}
	return nil
}

// signing is the key as the stream uses it.
func (k HouseKey) signing() (schemas.SigningKey, error) {
	if k.Secret == "" {
		return schemas.SigningKey{}, exit{exitUsage, "house_key.secret is not set: give every role the same one (DOCSTREAM_HOUSE_KEY_SECRET)"}
	}
	return schemas.SigningKey{ID: k.ID, Secret: []byte(k.Secret)}, nil
}
