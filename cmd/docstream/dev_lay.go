package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"docstream/gateway/keys"
	"docstream/schemas"
)

// lay lays the ground on the broker: topics, schemas, and the first API key. To do it twice is to do it once, and a broker or a registry that
// has just been started breaks off now and then: it is tried three times.
func (s *supervisor) lay(ctx context.Context) error {
	tries, last := 0, error(nil)
	err := untilDone(ctx, func() (bool, error) {
		tries++
		last = s.layOnce(ctx)
		return last == nil || tries == 3, nil
	})
	return errors.Join(last, err)
}

func (s *supervisor) layOnce(ctx context.Context) error {
	if _, err := applyTopics(ctx, s.config); err != nil {
		return fmt.Errorf("laying the topics: %w", err)
	}
	// Published once for each log and not at every start: a key that was revoked stays revoked.
	log := "embedded"
	if s.options.kafka != "" {
		log = s.options.kafka
	}
	log += " " + s.config.Topics.Prefix
	if s.secrets.KnownTo == log {
		return nil
	}
	if err := publish(ctx, s.config, s.secrets.APIKeyEvent); err != nil {
		return fmt.Errorf("publishing the first API key: %w", err)
	}
	s.secrets.KnownTo = log
	return s.folder.save("secrets", s.secrets)
}

// newSecrets makes what a folder needs once: the house key, the keys of its S3, and the first API key.
func newSecrets() (secrets, error) {
	s := secrets{HouseKey: random(32), S3AccessKey: "docstream" + strings.ToUpper(random(6)), S3SecretKey: random(24)}
	house := schemas.SigningKey{ID: houseKeyID, Secret: []byte(s.HouseKey)}
	var err error
	s.APIKey, s.APIKeyEvent, err = keys.New(house, "default", "made by docstream dev", []string{keys.Documents, keys.Admin}, time.Time{})
	return s, err
}
