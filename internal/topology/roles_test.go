package topology_test

import (
	"slices"
	"strings"
	"testing"

	"docstream/internal/topology"
)

// rights returns the rights of a role, topics without the prefix.
func rights(t *testing.T, role string) topology.Rights {
	t.Helper()
	plan := topology.DefaultConfig()
	all, err := plan.Rights()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(r topology.Rights) bool { return r.Role == role })
	if i < 0 {
		t.Fatalf("there is no role %s", role)
	}
	r := all[i]
	for _, list := range [][]string{r.Reads, r.Writes, r.Groups, r.Watches, r.Transactions} {
		for j := range list {
			list[j] = strings.TrimPrefix(list[j], plan.Prefix)
		}
	}
	return r
}

// families drops classes and priorities.
func families(topics []string) []string {
	var out []string
	for _, t := range topics {
		name, rest, _ := strings.Cut(t, ".")
		if name == "dlq" {
			name += "." + rest
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func TestARoleMayDoWhatItsPlanSaysAndNoMore(t *testing.T) {
	const back = " compositions delay dlq.delay documents fetches layouts pages splits" // what waits in a delay topic goes back to its lane
	for role, want := range map[string]struct{ reads, writes, groups, transactions string }{
		"prepare":   {"cancellations delay documents settings splits", "dlq.prepare facts pages splits" + back, "prepare. delay.", "prepare. delay."},
		"fetch":     {"cancellations delay fetches", "dlq.fetch facts" + back, "fetch. delay.", "fetch. delay."},
		"layout":    {"cancellations delay pages", "dlq.layout facts layouts" + back, "layout. delay.", "layout. delay."},
		"ocr":       {"cancellations delay layouts", "dlq.ocr facts" + back, "ocr. delay.", "ocr. delay."},
		"track":     {"facts jobs", "cancellations compositions dlq.track facts job-events jobs splits usage webhooks", "track.", "track."},
		"compose":   {"cancellations compositions delay", "dlq.compose facts" + back, "compose. delay.", "compose. delay."},
		"tally":     {"usage usage-days", "dlq.tally usage-days", "tally.", "tally."},
		"deliver":   {"settings webhooks", "dlq.deliver settings webhooks", "deliver", "deliver"},
		"producers": {"", "documents", "", ""},
	} {
		got := rights(t, role)
		for what, pair := range map[string][2]string{
			"reads":        {strings.Join(families(got.Reads), " "), want.reads},
			"writes":       {strings.Join(families(got.Writes), " "), sorted(want.writes)},
			"groups":       {strings.Join(got.Groups, " "), want.groups},
			"transactions": {strings.Join(got.Transactions, " "), want.transactions},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%s %s %q, want %q", role, what, pair[0], pair[1])
			}
		}
	}
	if g := rights(t, "gateway"); !slices.Equal(g.Watches, []string{"prepare.", "track."}) || slices.Contains(families(g.Writes), "splits") {
		t.Errorf("gateway: %+v", g)
	}
	if s := rights(t, "sinks"); len(s.Transactions) > 0 || !slices.Contains(s.Groups, "clickhouse.") || !slices.Contains(s.Writes, "dlq.clickhouse") {
		t.Errorf("sinks: %+v", s)
	}
}

// sorted puts the words of a list in order, each once.
func sorted(list string) string {
	words := strings.Fields(list)
	slices.Sort(words)
	return strings.Join(slices.Compact(words), " ")
}

// TestWhatANodeEmitsItMayWrite: the graph and the lists of writers and readers are two views of one thing.
func TestWhatANodeEmitsItMayWrite(t *testing.T) {
	for _, n := range topology.Nodes() {
		role := n.Name
		if n.Role == "sink" {
			role = "sinks"
		}
		r := rights(t, role)
		for _, family := range n.Emits {
			if !slices.Contains(families(r.Writes), family) {
				t.Errorf("%s emits into %s, whose Writers do not name it", n.Name, family)
			}
		}
		for _, family := range n.Reads {
			if !slices.Contains(families(r.Reads), family) {
				t.Errorf("%s reads %s, whose Readers do not name it", n.Name, family)
			}
		}
		if !slices.Contains(r.Writes, topology.DeadLetters(n.Name)) {
			t.Errorf("%s cannot set a record aside", n.Name)
		}
	}
}

func TestConnectorsAndReplaysHaveGroupsOfTheirOwn(t *testing.T) {
	plan := topology.DefaultConfig()
	if c := rights(t, "connectors"); !slices.Equal(c.Groups, []string{"connector-"}) || !slices.Equal(families(c.Writes), connectorWrites()) {
		t.Errorf("%+v", c)
	}
	for group, want := range map[string]bool{"docstream.connector-s3.bucket-events": true, "docstream.replay.docstream.settings": true, "docstream.customers.acme": true,
		"docstream.ocr.layouts.gpu.high": false, "docstream.connectors": false, "replay.x": false} {
		if plan.Passing(group) != want {
			t.Errorf("%s: want %v", group, want)
		}
	}
}

// connectorWrites are the lanes, and where each connector of the plan sets aside what it cannot use.
func connectorWrites() []string {
	out := []string{"documents"}
	for _, r := range topology.Readers {
		if strings.HasPrefix(r, "connector-") {
			out = append(out, topology.DeadLetters(r))
		}
	}
	slices.Sort(out)
	return out
}

func TestEveryNodeIsAConsumerOfWhatItReads(t *testing.T) {
	plan := topology.DefaultConfig()
	count := map[string]int{}
	for _, c := range plan.Consumers() {
		count[c.Node]++
		own, one := plan.Group(c.Node, c.Spec.Name), plan.Group(c.Node, "")
		if (c.Group != own && (c.Role != "sink" || c.Group != one)) || c.Topic != plan.Name(c.Spec.Name) {
			t.Errorf("%+v", c)
		}
	}
	for node, want := range map[string]int{"prepare": 9, "layout": 6, "ocr": 6, "track": 1, "compose": 3, "clickhouse": 3} {
		if count[node] != want {
			t.Errorf("%s reads %d topics, want %d", node, count[node], want)
		}
	}
}
