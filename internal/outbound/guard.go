package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// ErrForbidden says that an address may not be asked: it is not public, not on the list, or not http.
var ErrForbidden = errors.New("outbound: the address may not be asked")

// Lookup resolves a name.
type Lookup func(ctx context.Context, host string) ([]netip.Addr, error)

// Guard decides what may be asked, and asks it. Safe for concurrent use.
type Guard struct {
	cfg    Config
	lookup Lookup
	open   []netip.Prefix
	client *http.Client
}

// New returns a guard; it makes no call. lookup may be nil: then the system resolves.
func New(cfg Config, lookup Lookup) (*Guard, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if lookup == nil {
		lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	g := &Guard{cfg: cfg, lookup: lookup, open: prefixes(cfg.Networks...)}
	g.client = g.Client(cfg.Redirects)
	return g, nil
}

// Client returns a client that asks only what the guard allows and follows at most so many redirects; at 0 a redirect is the answer. It
// sends no cookies, uses no proxy and unpacks nothing. The caller bounds time by the request's context and size by reading.
func (g *Guard) Client(redirects int) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: g.dial, TLSHandshakeTimeout: g.cfg.Connect, ForceAttemptHTTP2: true, DisableCompression: true,
			MaxResponseHeaderBytes: 64 << 10, MaxIdleConnsPerHost: 2, MaxIdleConns: 64, IdleConnTimeout: g.cfg.Connect,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if redirects == 0 {
				return http.ErrUseLastResponse
			}
			if len(via) > redirects {
				return fmt.Errorf("%w: more than %d redirects", ErrForbidden, redirects)
			}
			if r.URL.Scheme == "http" && via[0].URL.Scheme == "https" {
				return fmt.Errorf("%w: a redirect leaves https", ErrForbidden)
			}
			r.Header.Del("Referer")
			return g.Check(r.URL)
		},
	}
}

// Parse reads an address and checks it as [Guard.Check] does.
func (g *Guard) Parse(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxURL {
		return nil, fmt.Errorf("%w: it is no URL", ErrForbidden)
	}
	return u, g.Check(u)
}

// maxURL bounds an address, in bytes.
const maxURL = 4 << 10

// Check refuses what can be refused without resolving a name, for an early answer. What it lets pass the dialer may still refuse.
func (g *Guard) Check(u *url.URL) error {
	host := strings.ToLower(u.Hostname())
	port := u.Port()
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%w: it is not http:// or https://", ErrForbidden)
	case u.User != nil:
		return fmt.Errorf("%w: it carries credentials", ErrForbidden)
	case host == "" || u.Opaque != "":
		return fmt.Errorf("%w: it names no host", ErrForbidden)
	case port == "" && strings.HasSuffix(u.Host, ":"):
		return fmt.Errorf("%w: it names no port", ErrForbidden)
	case port == "":
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return g.mayAsk(host, port)
}

// mayAsk checks host and port as they stand in an address.
func (g *Guard) mayAsk(host, port string) error {
	if n, err := strconv.Atoi(port); err != nil || !slices.Contains(g.cfg.Ports, n) {
		return fmt.Errorf("%w: the port is not on the list", ErrForbidden)
	}
	if !g.listed(host) {
		return fmt.Errorf("%w: the host is not on the list", ErrForbidden)
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return g.mayReach(a)
	}
	if numeric(host) {
		return fmt.Errorf("%w: the host is a number, not a name", ErrForbidden)
	}
	return nil
}

// listed reports whether the allow-list has the host; an empty list has all.
func (g *Guard) listed(host string) bool {
	host = strings.TrimSuffix(host, ".")
	return len(g.cfg.Hosts) == 0 || slices.ContainsFunc(g.cfg.Hosts, func(h string) bool {
		return h == host || strings.HasPrefix(h, ".") && (strings.HasSuffix(host, h) || host == h[1:])
	})
}

// mayReach checks an address of the network.
func (g *Guard) mayReach(a netip.Addr) error {
	if public(a) || a.Zone() == "" && slices.ContainsFunc(g.open, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) }) {
		return nil
	}
	return fmt.Errorf("%w: it is not on the public internet", ErrForbidden)
}

// dial resolves a name once and connects to what it resolved to. A name of which one address is forbidden is forbidden: whoever mixes them
// hopes for the other.
func (g *Guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Connect)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if err := g.mayAsk(strings.ToLower(host), port); err != nil {
		return nil, err
	}
	addrs := []netip.Addr{}
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = append(addrs, a)
	} else if addrs, err = g.lookup(ctx, host); err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if err := g.mayReach(a); err != nil {
			return nil, err
		}
	}
	d := net.Dialer{ControlContext: g.control}
	failed := fmt.Errorf("outbound: %s has no address", host)
	for _, a := range addrs {
		conn, err := d.DialContext(ctx, network, net.JoinHostPort(a.String(), port))
		if err == nil {
			return conn, nil
		}
		failed = err
	}
	return nil, failed
}

// control is the last word, at the socket: whatever came before, nothing else is connected to.
func (g *Guard) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil || !strings.HasPrefix(network, "tcp") {
		return fmt.Errorf("%w: %s is no address", ErrForbidden, network)
	}
	return g.mayReach(a.Addr())
}
