package deliver

import (
	"errors"
	"time"

	"docstream/internal/outbound"
)

// Config bounds the sending of webhooks.
type Config struct {
	PublicURL   string `koanf:"-"`            // put before the addresses in messages: the gateway's own
	PerEndpoint int    `koanf:"per_endpoint"` // attempts at once to one receiver
	Concurrent  int    `koanf:"concurrent"`   // attempts at once to all
	Pending     int    `koanf:"pending"`      // messages one receiver may have waiting; a newer one is given up at once and can be sent again

	Timeout     time.Duration   `koanf:"timeout"`      // of one attempt
	AnswerBytes int64           `koanf:"answer_bytes"` // read of an answer
	ResultBytes int64           `koanf:"result_bytes"` // up to so many a result travels in the message
	Schedule    []time.Duration `koanf:"-"`            // waits between attempts, each with jitter; empty: those of Standard Webhooks

	Outbound outbound.Config `koanf:"outbound"` // whom webhooks may reach; redirects are never followed
}

// schedule is that of Standard Webhooks: ten attempts over three days.
var schedule = []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour}

// DefaultConfig reaches public addresses alone.
func DefaultConfig() Config {
	out := outbound.DefaultConfig()
	out.Redirects, out.Hosts, out.Networks = 0, []string{}, []string{} // as a file says that there are none
	return Config{
		PerEndpoint: 4, Concurrent: 256, Pending: 10_000, Timeout: 15 * time.Second, AnswerBytes: 16 << 10, ResultBytes: 16 << 10,
		Outbound: out,
	}
}

// Validate refuses settings that cannot work.
func (c Config) Validate() error {
	switch {
	case c.PerEndpoint < 1 || c.Concurrent < c.PerEndpoint:
		return errors.New("deliver: per_endpoint is below 1 or above concurrent")
	case c.Pending < 1:
		return errors.New("deliver: pending is below 1")
	case c.Timeout <= 0 || c.AnswerBytes < 1 || c.ResultBytes < 0:
		return errors.New("deliver: timeout, answer_bytes or result_bytes cannot work")
	}
	return c.Outbound.Validate()
}
