package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"docstream/internal/stream"
	"docstream/schemas"
)

// openSettings is the reader of the settings, for a command.
func openSettings(cfg Config, take func(string, schemas.Event)) (*stream.Settings, error) {
	codec, err := cfg.Kafka.Codec()
	if err != nil {
		return nil, err
	}
	return stream.OpenSettings(cfg.Kafka, cfg.Topics, codec, slog.New(slog.DiscardHandler), take)
}

// readSettings takes what was written since the last read, to the end that the settings have now.
func readSettings(ctx context.Context, s *stream.Settings) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Second, errors.New("the brokers do not answer"))
	defer cancel()
	err := s.Read(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return exit{exitUnreachable, err.Error()}
	}
	return nil
}
