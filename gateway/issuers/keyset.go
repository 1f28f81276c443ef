package issuers

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	fetchTime  = 10 * time.Second // for discovery and keys together
	maxAnswer  = 1 << 20          // bytes of each
	maxKeys    = 64               // of an issuer
	minRSABits = 2048
)

// keyset is what is known of the keys of one issuer.
type keyset struct {
	url                  string
	refresh, pause, keep time.Duration
	client               *http.Client
	log                  *slog.Logger
	fetches              *prometheus.CounterVec

	mu      sync.Mutex
	known   map[string]*jose.JSONWebKey // by key id
	fetched time.Time                   // when the last fetch that succeeded began
	tried   time.Time                   // when the last one began
	flight  chan struct{}               // closed when the fetch under way ends; nil: none is
}

func newKeyset(url string, cfg Config, log *slog.Logger, fetches *prometheus.CounterVec) *keyset {
	return &keyset{url: url, refresh: cfg.Refresh, pause: cfg.Pause, keep: cfg.Keep, log: log, fetches: fetches, client: &http.Client{
		Timeout:       fetchTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // an issuer is where it says it is
	}}
}

// find returns the key a token names. Known keys serve at once, while older ones are fetched anew behind them; for one that is not known the
// issuer is asked, if the pause allows. A token younger than what is known may be signed with a key younger than it: as long as the pause
// forbids to look, the answer is to come again.
func (k *keyset) find(ctx context.Context, id string, issued time.Time) (*jose.JSONWebKey, *Refusal) {
	asked := time.Now()
	for {
		k.mu.Lock()
		now := time.Now()
		key, age := k.lookUp(id), now.Sub(k.fetched)
		if key != nil && (age < k.keep || !k.fetched.Before(asked)) {
			if age >= k.refresh && now.Sub(k.tried) >= k.pause {
				k.begin(now)
			}
			k.mu.Unlock()
			return key, nil
		}
		if k.flight == nil && (now.Sub(k.tried) < k.pause || !k.tried.Before(asked)) {
			after := max(time.Second, k.pause-now.Sub(k.tried))
			away := k.fetched.Before(k.tried) || issued.After(k.fetched)
			k.mu.Unlock()
			if away {
				return nil, &Refusal{Reason: Away, Message: "The issuer of the token does not answer now; try again.", After: after}
			}
			return nil, invalid("The token is signed with a key its issuer does not have.")
		}
		if k.flight == nil {
			k.begin(now)
		}
		flight := k.flight
		k.mu.Unlock()
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, &Refusal{Reason: Away, Message: "The issuer of the token does not answer now; try again.", After: time.Second, cause: ctx.Err()}
		}
	}
}

// lookUp finds a key by its id. A token may leave the id out where there is only one key.
func (k *keyset) lookUp(id string) *jose.JSONWebKey {
	if id == "" && len(k.known) == 1 {
		for _, only := range k.known {
			return only
		}
	}
	return k.known[id]
}

// begin starts a fetch, which nobody's going away ends. The caller holds the lock.
func (k *keyset) begin(now time.Time) {
	if k.flight != nil {
		return
	}
	flight := make(chan struct{})
	k.flight, k.tried = flight, now
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), fetchTime)
		defer cancel()
		known, err := k.fetch(ctx)
		k.mu.Lock()
		if k.flight = nil; err == nil {
			k.known, k.fetched = known, now
		}
		k.mu.Unlock()
		if err != nil {
			k.fetches.WithLabelValues("failed").Inc()
			k.log.Warn("the keys of an issuer cannot be fetched", "issuer", k.url, "error", err)
		} else {
			k.fetches.WithLabelValues("ok").Inc()
		}
		close(flight)
	}()
}

// fetch asks the issuer where its keys are, and for them.
func (k *keyset) fetch(ctx context.Context) (map[string]*jose.JSONWebKey, error) {
	var found struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := k.get(ctx, strings.TrimSuffix(k.url, "/")+"/.well-known/openid-configuration", &found); err != nil {
		return nil, err
	}
	if found.Issuer != k.url {
		return nil, fmt.Errorf("it says to be %q", found.Issuer)
	}
	if _, err := address(found.Keys); err != nil {
		return nil, fmt.Errorf("jwks_uri %q: %w", found.Keys, err)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := k.get(ctx, found.Keys, &set); err != nil {
		return nil, err
	}
	known := map[string]*jose.JSONWebKey{}
	for _, raw := range set.Keys[:min(maxKeys, len(set.Keys))] {
		if key := readKey(raw); key != nil {
			known[key.KeyID] = key
		}
	}
	if len(known) == 0 {
		return nil, errors.New("it has no key that can verify a token")
	}
	return known, nil
}

// readKey reads a key that can verify signatures; nil where it is of another kind, for something else, or too short.
func readKey(raw json.RawMessage) *jose.JSONWebKey {
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(raw); err != nil || !key.IsPublic() || key.Use != "" && key.Use != "sig" {
		return nil
	}
	if r, ok := key.Key.(*rsa.PublicKey); ok && r.N.BitLen() < minRSABits {
		return nil
	}
	return &key
}

// get reads one small JSON answer.
func (k *keyset) get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	res, err := k.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %d", url, res.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return err
	}
	if len(b) > maxAnswer {
		return fmt.Errorf("%s answers more than %d bytes", url, maxAnswer)
	}
	return json.Unmarshal(b, into)
}
