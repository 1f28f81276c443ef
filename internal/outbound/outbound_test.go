package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"docstream/internal/outbound"
)

// guard returns one that may reach this machine's servers by the port of s.
func guard(t *testing.T, s *httptest.Server, lookup outbound.Lookup, change func(*outbound.Config)) *outbound.Guard {
	t.Helper()
	cfg := outbound.DefaultConfig()
	cfg.Connect = 2 * time.Second
	if s != nil {
		cfg.Ports = append(cfg.Ports, port(s))
		cfg.Networks = []string{"127.0.0.1/32"}
	}
	if change != nil {
		change(&cfg)
	}
	g, err := outbound.New(cfg, lookup)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func port(s *httptest.Server) int {
	u, _ := url.Parse(s.URL)
	n, _ := strconv.Atoi(u.Port())
	return n
}

func TestAddressesInsideTheNetworkAreForbidden(t *testing.T) {
	g := guard(t, nil, func(context.Context, string) ([]netip.Addr, error) {
		t.Error("a name was resolved")
		return nil, nil
	}, nil)
	for _, address := range []string{
		"http://127.0.0.1/", "http://127.1.2.3/", "http://0.0.0.0/", "http://10.0.0.1/", "http://172.16.0.1/", "http://192.168.1.1/", "http://169.254.169.254/latest/meta-data/",
		"http://100.64.0.1/", "http://198.18.0.1/", "http://192.0.2.1/", "http://224.0.0.1/", "http://255.255.255.255/", "http://240.0.0.1/", "http://192.0.0.192/",
		"http://[::1]/", "http://[::]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[fe80::1]/",
		"http://[fe80::1%25eth0]/", "http://[fd00::1]/", "http://[fd00:ec2::254]/", "http://[ff02::1]/", "http://[2002:7f00:1::]/", "http://[2001:db8::1]/", "http://[2001::1]/",
		"http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://017700000001/", "http://0177.0.0.1/", "http://127.1/", "http://1.2.3.4.5/", "http://127.0.0.1./",
		"ftp://example.org/", "file:///etc/passwd", "gopher://example.org/", "//example.org/", "example.org", "http:example.org", "http://", "http://user:secret@example.org/",
		"http://example.org:22/", "http://example.org:/", "http://example.org:99999/", "http://exa mple.org/", "http://./", strings.Repeat("http://example.org/", 400),
	} {
		if _, err := g.Get(t.Context(), address); !errors.Is(err, outbound.ErrForbidden) {
			t.Errorf("%.80s: %v", address, err)
		}
	}
	for _, address := range []string{"https://example.org/a.pdf?x=1#y", "http://EXAMPLE.org", "https://8.8.8.8/", "https://[2606:4700::1111]:443/", "http://3com.example/"} {
		if _, err := g.Parse(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestANameThatResolvesInsideIsForbidden(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was asked") }))
	defer s.Close()
	for name, addrs := range map[string][]string{
		"loopback": {"127.0.0.1"}, "mapped": {"::ffff:127.0.0.1"}, "metadata": {"169.254.169.254"}, "one of two": {"8.8.8.8", "10.0.0.1"}, "other loopback": {"127.0.0.2"},
	} {
		g := guard(t, s, func(context.Context, string) (out []netip.Addr, _ error) {
			for _, a := range addrs {
				out = append(out, netip.MustParseAddr(a))
			}
			return out, nil
		}, func(c *outbound.Config) { c.Networks = nil })
		if _, err := g.Get(t.Context(), fmt.Sprintf("http://inside.example:%d/", port(s))); !errors.Is(err, outbound.ErrForbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRebindingGainsNothing: a name that was good when it was checked and leads inside when it is dialled is refused there.
func TestRebindingGainsNothing(t *testing.T) {
	asked := atomic.Int32{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Connection", "close")
		http.Redirect(w, r, "/again", http.StatusFound)
	}))
	defer s.Close()
	lookups := atomic.Int32{}
	g := guard(t, s, func(context.Context, string) ([]netip.Addr, error) {
		if lookups.Add(1) == 1 {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil // the one address that this test opens
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.2")}, nil
	}, nil)
	address := fmt.Sprintf("http://rebinding.example:%d/", port(s))
	if _, err := g.Parse(address); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Get(t.Context(), address); !errors.Is(err, outbound.ErrForbidden) || asked.Load() != 1 || lookups.Load() != 2 {
		t.Errorf("%v after %d requests and %d look-ups", err, asked.Load(), lookups.Load())
	}
}

func TestARedirectIsCheckedLikeARequest(t *testing.T) {
	var to string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Referer") != "" {
			t.Error("the address before is said on")
		}
		if r.URL.Path == "/end" {
			_, _ = io.WriteString(w, "here")
			return
		}
		http.Redirect(w, r, to, http.StatusFound)
	}))
	defer s.Close()
	g := guard(t, s, nil, func(c *outbound.Config) { c.Redirects = 3 })
	for _, to = range []string{"http://169.254.169.254/", "http://10.0.0.1/", "file:///etc/passwd", "http://2130706433/", "http://[::1]/", "http://127.0.0.1:22/", "/loop"} {
		if _, err := g.Get(t.Context(), s.URL+"/begin"); !errors.Is(err, outbound.ErrForbidden) {
			t.Errorf("%s: %v", to, err)
		}
	}
	to = "/end"
	a, err := g.Get(t.Context(), s.URL+"/begin")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if b, err := io.ReadAll(a.Body); string(b) != "here" || err != nil || a.URL.Path != "/end" || a.Filename != "end" {
		t.Errorf("%q %v %+v", b, err, a)
	}
	if res, err := g.Client(0).Get(s.URL + "/begin"); err != nil || res.StatusCode != http.StatusFound {
		t.Errorf("without redirects one is the answer: %v", err)
	} else {
		res.Body.Close()
	}
}

func TestOnlyHostsOfTheListAreAsked(t *testing.T) {
	g := guard(t, nil, nil, func(c *outbound.Config) { c.Hosts = []string{"files.example", ".docs.example"} })
	for address, ok := range map[string]bool{
		"https://files.example/a": true, "https://FILES.example./a": true, "https://docs.example/a": true, "https://a.b.docs.example/a": true,
		"https://a.files.example/a": false, "https://evildocs.example/a": false, "https://files.example.evil.example/": false, "https://8.8.8.8/": false,
	} {
		if _, err := g.Parse(address); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAnAnswerIsBoundedInSizeAndTime(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/declared":
			w.Header().Set("Content-Length", "1000000")
		case "/endless":
			for range 64 {
				_, _ = w.Write(make([]byte, 1<<10))
				w.(http.Flusher).Flush()
			}
		case "/exact":
			_, _ = w.Write(make([]byte, 4<<10))
		case "/packed":
			w.Header().Set("Content-Encoding", "gzip")
		case "/missing":
			w.WriteHeader(http.StatusNotFound)
		case "/busy":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/silent":
			<-release
		case "/stalls":
			_, _ = w.Write([]byte("x"))
			w.(http.Flusher).Flush()
			<-release
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("x"))
		case "/heads":
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
		}
	}))
	defer s.Close()
	defer close(release)
	g := guard(t, s, nil, func(c *outbound.Config) { c.MaxBytes, c.Timeout = 4<<10, 500*time.Millisecond })
	for path, want := range map[string]error{
		"/declared": outbound.ErrTooLarge, "/endless": outbound.ErrTooLarge, "/exact": nil, "/packed": outbound.ErrEncoded, "/missing": outbound.ErrRefused,
		"/busy": outbound.ErrNoAnswer, "/silent": outbound.ErrNoAnswer, "/stalls": outbound.ErrNoAnswer, "/cut": outbound.ErrNoAnswer, "/heads": outbound.ErrNoAnswer,
	} {
		a, err := g.Get(t.Context(), s.URL+path)
		if err == nil {
			_, err = io.Copy(io.Discard, a.Body)
			a.Body.Close()
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, not %v", path, err, want)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	closed := l.Addr().(*net.TCPAddr).Port
	if _, err := guard(t, s, nil, func(c *outbound.Config) { c.Ports = []int{closed} }).Get(t.Context(), fmt.Sprintf("http://127.0.0.1:%d/", closed)); !errors.Is(err, outbound.ErrNoAnswer) {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestSettingsThatCannotWorkAreRefused(t *testing.T) {
	for name, change := range map[string]func(*outbound.Config){
		"no ports": func(c *outbound.Config) { c.Ports = nil }, "port 0": func(c *outbound.Config) { c.Ports = []int{0} },
		"a pattern": func(c *outbound.Config) { c.Hosts = []string{"*.example"} }, "an address": func(c *outbound.Config) { c.Hosts = []string{"http://example"} },
		"a bare IP as a network": func(c *outbound.Config) { c.Networks = []string{"10.0.0.1"} }, "no bytes": func(c *outbound.Config) { c.MaxBytes = 0 },
		"no time": func(c *outbound.Config) { c.Timeout = 0 }, "redirects": func(c *outbound.Config) { c.Redirects = 100 },
	} {
		cfg := outbound.DefaultConfig()
		change(&cfg)
		if _, err := outbound.New(cfg, nil); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
