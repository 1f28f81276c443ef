// Package outbound makes requests to addresses that strangers name, such as a document's URL or a webhook's receiver.
//
// Nothing inside the network can be reached through it (P7, P8). Every address is checked where the connection is made, after the name was
// resolved and again by the socket itself, so that a name that resolves to something else the second time gains nothing; a redirect is a
// new request and is checked like one. Size and time of an answer are bounded.
package outbound

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Config is what an operator decides about requests to foreign addresses.
type Config struct {
	Hosts    []string `koanf:"hosts"`    // names that may be asked: example.org, or .example.org with all below it; empty: every public one
	Ports    []int    `koanf:"ports"`    // that may be asked
	Networks []string `koanf:"networks"` // such as 10.1.0.0/16: may be reached although they are not public; none: public addresses alone

	Redirects int           `koanf:"redirects"` // followed at most; 0: none
	MaxBytes  int64         `koanf:"max_bytes"` // of one answer
	Timeout   time.Duration `koanf:"timeout"`   // for a whole request, redirects and body included
	Connect   time.Duration `koanf:"connect"`   // for resolving, connecting and TLS
}

// DefaultConfig reaches the public web and nothing else.
func DefaultConfig() Config {
	return Config{Ports: []int{80, 443}, Redirects: 5, MaxBytes: 500 << 20, Timeout: 5 * time.Minute, Connect: 10 * time.Second}
}

// Validate refuses settings that cannot work.
func (c Config) Validate() error {
	switch {
	case len(c.Ports) == 0:
		return errors.New("outbound: ports is empty")
	case slices.ContainsFunc(c.Ports, func(p int) bool { return p < 1 || p > 65535 }):
		return errors.New("outbound: a port is 1 to 65535")
	case c.Redirects < 0 || c.Redirects > 20:
		return errors.New("outbound: redirects is 0 to 20")
	case c.MaxBytes < 1:
		return errors.New("outbound: max_bytes is below 1")
	case c.Timeout <= 0 || c.Connect <= 0:
		return errors.New("outbound: timeout and connect are above 0")
	}
	for _, h := range c.Hosts {
		if name := strings.TrimPrefix(h, "."); name == "" || name != strings.ToLower(name) || strings.ContainsAny(name, "/:@* ") {
			return fmt.Errorf("outbound: host %q is not a plain name in lower case", h)
		}
	}
	for _, n := range c.Networks {
		if _, err := netip.ParsePrefix(n); err != nil {
			return fmt.Errorf("outbound: network %q is not like 10.1.0.0/16", n)
		}
	}
	return nil
}
