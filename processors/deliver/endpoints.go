package deliver

import (
	"slices"
	"strings"
	"sync"
	"time"

	"docstream/internal/seal"
	"docstream/schemas"
)

// Endpoints is what the settings say of the tenants' receivers. Safe for concurrent use.
type Endpoints struct {
	house schemas.SigningKey

	mu sync.RWMutex
	of map[string]map[string]*schemas.EndpointChanged // tenant → endpoint
}

// NewEndpoints returns an empty book; the settings fill it.
func NewEndpoints(house schemas.SigningKey) *Endpoints {
	return &Endpoints{house: house, of: map[string]map[string]*schemas.EndpointChanged{}}
}

// Take notes one setting; name is its key, a nil event means that it was deleted. What is no endpoint is passed over.
func (b *Endpoints) Take(name string, e schemas.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e == nil {
		if tenant, rest, _ := strings.Cut(name, "/"); strings.HasPrefix(rest, "endpoint/") {
			delete(b.of[tenant], strings.TrimPrefix(rest, "endpoint/"))
		}
		return
	}
	p, ok := e.(*schemas.EndpointChanged)
	if !ok || !schemas.ValidTenant(p.Tenant) {
		return
	}
	if b.of[p.Tenant] == nil {
		b.of[p.Tenant] = map[string]*schemas.EndpointChanged{}
	}
	b.of[p.Tenant][p.EndpointID] = p
}

// get returns an endpoint of a tenant.
func (b *Endpoints) get(tenant, id string) (*schemas.EndpointChanged, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	p, ok := b.of[tenant][id]
	return p, ok
}

// wanting lists the endpoints of a tenant that are served and want a type of event.
func (b *Endpoints) wanting(tenant, kind string) []string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var out []string
	for id, p := range b.of[tenant] {
		if served(p) && (len(p.Events) == 0 || slices.Contains(p.Events, kind)) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

func served(p *schemas.EndpointChanged) bool { return p.RemovedAt.IsZero() && p.DisabledAt.IsZero() }

// secrets opens the secrets an endpoint's messages are signed with now, the newest first.
func (b *Endpoints) secrets(p *schemas.EndpointChanged, now time.Time) ([][]byte, error) {
	owner := Owner(p.Tenant, p.EndpointID)
	first, err := seal.Open(b.house, owner, p.Secret)
	if err != nil {
		return nil, err
	}
	out := [][]byte{first}
	if len(p.PreviousSecret) > 0 && now.Before(p.PreviousUntil) {
		if old, err := seal.Open(b.house, owner, p.PreviousSecret); err == nil {
			out = append(out, old)
		}
	}
	return out, nil
}

// Owner names an endpoint to whoever seals its secret.
func Owner(tenant, endpoint string) string { return "endpoint/" + tenant + "/" + endpoint }

// Purpose names the secret with which messages to addresses that jobs name are signed: one for each tenant.
func Purpose(tenant string) string { return "webhook/" + tenant }
