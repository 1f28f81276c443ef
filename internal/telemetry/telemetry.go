// Package telemetry is how the house is watched: JSON logs that carry the job they are about and no secret, metrics, traces.
//
// It knows no other room. Metric names are decided once, in [Metrics].
package telemetry

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"runtime/debug"
)

// Config is what an operator decides about logs, metrics and traces.
type Config struct {
	Level          string  `koanf:"level"`           // debug, info, warn or error
	Metrics        string  `koanf:"metrics"`         // address that serves /metrics, /healthz and /readyz; empty: none
	TracesEndpoint string  `koanf:"traces_endpoint"` // OTLP over HTTP, a URL; empty: OTEL_EXPORTER_OTLP_ENDPOINT, else no export
	TracesRatio    float64 `koanf:"traces_ratio"`    // share of new traces exported, 0 to 1
}

// DefaultConfig logs from info up, serves metrics on a free port of this machine, exports no traces.
func DefaultConfig() Config { return Config{Level: "info", Metrics: "127.0.0.1:0", TracesRatio: 1} }

// Validate refuses settings that cannot work.
func (c Config) Validate() error {
	if _, err := level(c.Level); err != nil {
		return err
	}
	if c.Metrics != "" {
		if _, _, err := net.SplitHostPort(c.Metrics); err != nil {
			return fmt.Errorf("telemetry: metrics %q is not host:port", c.Metrics)
		}
	}
	if c.TracesRatio < 0 || c.TracesRatio > 1 {
		return fmt.Errorf("telemetry: traces_ratio %g is not between 0 and 1", c.TracesRatio)
	}
	if c.TracesEndpoint != "" {
		if u, err := url.Parse(c.TracesEndpoint); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return errors.New("telemetry: traces_endpoint is not an http:// or https:// address")
		}
	}
	return nil
}

func level(text string) (slog.Level, error) {
	var l slog.Level
	if text == "" {
		return l, nil
	}
	if err := l.UnmarshalText([]byte(text)); err != nil {
		return l, fmt.Errorf("telemetry: level %q is not debug, info, warn or error", text)
	}
	return l, nil
}

// Build names the running build: the module's version and the revision it was made from, "unknown" where the build did not say.
func Build() (version, revision string) {
	version, revision = "unknown", "unknown"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version, revision
	}
	if info.Main.Version != "" {
		version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return version, revision
}
