package outbound

import (
	"net/netip"
	"strings"
)

// closed are blocks that look routable and are not the public internet: carrier NAT, protocol assignments, documentation, benchmarks,
// relays that lead elsewhere. What [netip.Addr] itself knows as private, loopback or link-local is not repeated.
var closed = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

// routed is where public IPv6 addresses lie. All others, such as those that carry an IPv4 address inside (64:ff9b::/96, ::/96), stay closed.
var routed = netip.MustParsePrefix("2000::/3")

func prefixes(text ...string) (out []netip.Prefix) {
	for _, t := range text {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

// public reports whether an address lies on the public internet.
func public(a netip.Addr) bool {
	if a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.Is6() && !routed.Contains(a) {
		return false
	}
	for _, p := range closed {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// numeric reports whether a host is a number in one of the old spellings (2130706433, 0x7f.1, 0177.0.0.1) that some resolvers take for an
// address and some for a name.
func numeric(host string) bool {
	last := strings.TrimSuffix(host, ".")
	last = last[strings.LastIndexByte(last, '.')+1:]
	if last == "" {
		return true
	}
	if rest, ok := strings.CutPrefix(strings.ToLower(last), "0x"); ok {
		return strings.Trim(rest, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}
