package ops

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Principals says under which names each role logs in at the brokers. A process that runs several stages is named under each of them. Where
// nobody is named, no right is given.
type Principals struct {
	Gateway    []string `koanf:"gateway"`
	Connectors []string `koanf:"connectors"`
	Producers  []string `koanf:"producers"` // upstream systems
	Prepare    []string `koanf:"prepare"`
	Fetch      []string `koanf:"fetch"`
	Layout     []string `koanf:"layout"`
	OCR        []string `koanf:"ocr"`
	Track      []string `koanf:"track"`
	Compose    []string `koanf:"compose"`
	Tally      []string `koanf:"tally"`
	Deliver    []string `koanf:"deliver"`
	Sinks      []string `koanf:"sinks"`
	Operators  []string `koanf:"operators"` // people: keys, lag, doctor, dead letters
	Customers  []string `koanf:"customers"` // who may follow the events of every tenant's jobs
}

// DefaultPrincipals names nobody.
func DefaultPrincipals() Principals {
	none := []string{}
	return Principals{Gateway: none, Connectors: none, Producers: none, Prepare: none, Fetch: none, Layout: none, OCR: none, Track: none, Compose: none, Tally: none, Deliver: none, Sinks: none,
		Operators: none, Customers: none}
}

// Of returns the principals of a role, each with its type.
func (p Principals) Of(role string) []string {
	var out []string
	for _, name := range p.roles()[role] {
		if !strings.Contains(name, ":") {
			name = "User:" + name
		}
		out = append(out, name)
	}
	return out
}

func (p Principals) roles() map[string][]string {
	return map[string][]string{"gateway": p.Gateway, "connectors": p.Connectors, "producers": p.Producers, "prepare": p.Prepare, "fetch": p.Fetch, "layout": p.Layout,
		"ocr": p.OCR, "track": p.Track, "compose": p.Compose, "tally": p.Tally, "deliver": p.Deliver,
		"sinks": p.Sinks, "operators": p.Operators, "customers": p.Customers}
}

// Any reports whether anybody is named.
func (p Principals) Any() bool {
	for _, names := range p.roles() {
		if len(names) > 0 {
			return true
		}
	}
	return false
}

var principalForm = regexp.MustCompile(`^([A-Za-z]+:)?[^\s:*]+$`)

// outside are the roles of people and systems that are not ours: none of their principals may be one of the house.
var outside = []string{"producers", "customers"}

// Validate refuses names that are no principal, and an outsider that would have the rights of the house.
func (p Principals) Validate() error {
	all := p.roles()
	for role, names := range all {
		for _, name := range names {
			if !principalForm.MatchString(name) {
				return fmt.Errorf("principals: %s: %q is no principal such as docstream-gateway or User:docstream-gateway", role, name)
			}
		}
	}
	for _, foreign := range outside {
		for _, name := range p.Of(foreign) {
			for role := range all {
				if role != foreign && slices.Contains(p.Of(role), name) {
					return fmt.Errorf("principals: %s is named under %s and under %s: an outsider gets no right of the house", name, foreign, role)
				}
			}
		}
	}
	return nil
}
