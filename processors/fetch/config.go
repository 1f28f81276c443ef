package fetch

import (
	"errors"
	"time"

	"docstream/internal/outbound"
)

// Config bounds what is fetched.
type Config struct {
	Concurrent  int             `koanf:"concurrent"`   // addresses asked at once by one worker
	LastAttempt int             `koanf:"last_attempt"` // attempt, from 0, at which an address that does not answer is given up
	Outbound    outbound.Config `koanf:"outbound"`     // which addresses may be asked, and for how long and how many bytes
}

// DefaultConfig reaches public addresses alone.
func DefaultConfig() Config {
	out := outbound.DefaultConfig()
	out.Timeout, out.Hosts, out.Networks = time.Minute, []string{}, []string{} // as a file says that there are none
	return Config{Concurrent: 12, LastAttempt: 3, Outbound: out}
}

// Validate refuses settings that cannot work.
func (c Config) Validate() error {
	if c.Concurrent < 3 {
		return errors.New("fetch: concurrent is below 3: each lane needs one")
	}
	return c.Outbound.Validate()
}
