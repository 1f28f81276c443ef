package topology

import (
	"fmt"
	"slices"
	"strings"
)

// Rights is what a role of the house does on the brokers, in full names. It follows from the Writers and Readers of the plan's topics and
// is said nowhere else.
type Rights struct {
	Role         string
	Reads        []string // topics
	Writes       []string // topics
	Groups       []string // beginnings of the consumer groups it joins
	Watches      []string // beginnings of the groups whose offsets it looks up
	Transactions []string // beginnings of its transactional ids
}

// Roles lists who works on the topics. The stages and the fold are roles by their own names; all sinks are one.
func Roles() []string {
	out := []string{"gateway", "connectors", "producers"}
	for _, n := range Nodes() {
		if r := roleOf(n); !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return append(out, "operators", "customers")
}

// words are the names the plan has for roles that are no nodes of the graph.
var words = map[string]string{"gateway": "gateway", "connectors": "connectors", "upstream producers": "producers", "sinks": "sinks",
	"command line": "operators", "operators": "operators", "customers": "customers"}

// connector begins the names of what reads from other systems; all connectors are one role.
const connector = "connector-"

// watched are the nodes whose progress a role waits for: a gateway's view is fresh when prepare and track have passed a point.
var watched = map[string][]string{"gateway": {Prepare.Name, Track.Name}}

func roleOf(n Node) string {
	if n.Role == "sink" {
		return "sinks"
	}
	return n.Name
}

// who turns one of the plan's words into roles. The harness writes what its own stage sets aside; what it says of that to the fold goes to
// the topics that every stage writes.
func who(word, topic string) ([]string, error) {
	if r, ok := words[word]; ok {
		return []string{r}, nil
	}
	var out []string
	for _, n := range Nodes() {
		switch {
		case n.Name == word,
			word == "every stage" && n.Role != "sink" && n.Name != Tally.Name && n.Name != Deliver.Name, // these tell no facts
			word == "the harness" && topic == DeadLetters(n.Name),
			word == "the harness" && n.Role == "stage" && n.Name != Deliver.Name && returned(topic):
			out = append(out, roleOf(n))
		}
	}
	switch {
	case len(out) > 0 || word == "the harness" && !strings.HasPrefix(topic, DeadLetters("")):
		return out, nil
	case word == "the harness" && strings.HasPrefix(topic, DeadLetters(connector)):
		return []string{"connectors"}, nil
	}
	return nil, fmt.Errorf("%s names %q, which is no role", topic, word)
}

// Rights lists what every role may do. The error names a word of the plan that is nobody.
func (c Config) Rights() ([]Rights, error) {
	by := map[string]*Rights{}
	var out []Rights
	for _, r := range Roles() {
		out = append(out, Rights{Role: r})
	}
	for i := range out {
		by[out[i].Role] = &out[i]
	}
	for _, s := range c.Specs() {
		for _, side := range []struct {
			words []string
			add   func(*Rights, string)
		}{
			{s.Writers, func(r *Rights, t string) { r.Writes = with(r.Writes, t) }},
			{s.Readers, func(r *Rights, t string) { r.Reads = with(r.Reads, t) }},
		} {
			for _, word := range side.words {
				roles, err := who(word, s.Name)
				if err != nil {
					return nil, err
				}
				for _, role := range roles {
					side.add(by[role], c.Name(s.Name))
				}
			}
		}
	}
	for i := range out {
		c.sessions(&out[i])
	}
	return out, nil
}

// sessions adds the groups and transactions of a role. Connectors and customers, which are no nodes, have groups under their own
// names; they and the replay's come and go.
func (c Config) sessions(r *Rights) {
	for _, n := range Nodes() {
		if roleOf(n) != r.Role {
			continue
		}
		r.Groups = with(r.Groups, c.Group(n.Name, ""))
		if n.Role != "sink" {
			r.Transactions = with(r.Transactions, c.Group(n.Name, ""))
		}
		if n.Role == "stage" && n.Name != Deliver.Name { // it keeps its own times, in its own topic
			r.Groups, r.Transactions = with(r.Groups, c.Group(Delays, "")), with(r.Transactions, c.Group(Delays, ""))
		}
	}
	for _, n := range watched[r.Role] {
		r.Watches = with(r.Watches, c.Group(n, ""))
	}
	switch r.Role {
	case "gateway": // it reads the log once more for a replay, in a group that elects one replica, as another does for batches
		r.Groups = with(with(r.Groups, c.Group("replay", "")), c.Group(Batches, ""))
		r.Groups = with(r.Groups, c.Replicas())
	case "connectors":
		r.Groups = with(r.Groups, c.Prefix+connector)
	case "customers":
		r.Groups = with(r.Groups, c.Group(r.Role, ""))
	}
}

func with(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// Replicas is the group whose members are the gateways that live. It reads nothing: the brokers count its members.
func (c Config) Replicas() string { return c.Prefix + "gateway.replicas" }

// Batches is the reader whose group elects the gateway that feeds the batches.
const Batches = "batches"

// Passing reports whether a group is one whose lag says nothing: it comes and goes, as a connector's, a customer's or a replay's does, only
// counts its members, or waits on purpose.
func (c Config) Passing(group string) bool {
	for _, begin := range []string{c.Group("replay", ""), c.Group(Batches, ""), c.Prefix + connector, c.Group("customers", ""), c.Group(Delays, ""), c.Replicas()} {
		if strings.HasPrefix(group, begin) {
			return true
		}
	}
	return false
}

// Reader is one node of the graph on one of the topics it reads.
type Reader struct {
	Node, Role string // Role is the node's: stage, fold or sink
	Spec       Spec
	Topic      string // full name
	Group      string
}

// whole are the sinks that read all their topics as one member of one group: the archive keeps the log in step.
var whole = []string{"s3", "deliver"}

// Consumers lists every node on every topic it reads, in the order of the stream.
func (c Config) Consumers() []Reader {
	var out []Reader
	for _, n := range Nodes() {
		for _, s := range c.Specs() {
			if slices.ContainsFunc(n.Reads, func(family string) bool { return s.Name == family || strings.HasPrefix(s.Name, family+".") }) {
				r := Reader{Node: n.Name, Role: n.Role, Spec: s, Topic: c.Name(s.Name), Group: c.Group(n.Name, s.Name)}
				if slices.Contains(whole, n.Name) {
					r.Group = c.Group(n.Name, "")
				}
				out = append(out, r)
			}
		}
	}
	return out
}
