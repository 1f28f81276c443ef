package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// closed are the answers of brokers that do not let the doctor look.
var closed = []error{kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed}

// silent is the finding of brokers that do not answer, or not as they should.
func silent(err error) []Finding {
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return []Finding{fail("topics of the plan are missing: "+err.Error(), "whoever writes or reads them waits", "docstream topics apply")}
	case slices.ContainsFunc(closed, func(c error) bool { return errors.Is(err, c) }):
		return []Finding{fail("the doctor may not look: "+err.Error(), "nobody knows how this part is", "name its principal under principals.operators and run docstream topics apply")}
	}
	return []Finding{fail("the brokers do not answer: "+err.Error(), "nothing is accepted and no stage works; what was accepted waits and is not lost",
		"check kafka.brokers, tls and sasl in docstream config, and that the brokers run")}
}

// with calls f with a client of the brokers.
func (h House) with(ctx context.Context, f func(*kgo.Client, *kadm.Client) ([]Finding, error)) []Finding {
	client, err := h.Kafka.Client()
	if err != nil {
		return silent(err)
	}
	defer client.Close()
	out, err := f(client, kadm.NewClient(client))
	if err != nil {
		return append(out, silent(err)...)
	}
	return out
}

// brokers asks whether the brokers can be reached, which version they are, and whether every partition is served and replicated.
func (h House) brokers(ctx context.Context) []Finding {
	return h.with(ctx, func(_ *kgo.Client, adm *kadm.Client) ([]Finding, error) {
		m, err := adm.Metadata(ctx)
		if err != nil {
			return nil, err
		}
		versions, err := adm.ApiVersions(ctx)
		if err != nil {
			return nil, err
		}
		said := map[string]bool{}
		for _, v := range versions {
			if v.Err == nil {
				said[v.VersionGuess()] = true
			}
		}
		var names []string
		for v := range said {
			names = append(names, v)
		}
		out := []Finding{ok("%d answer, with the protocol of Kafka %s", len(m.Brokers), strings.Join(names, ", "))}
		if len(names) > 1 {
			out = append(out, warn("the brokers are of different versions: "+strings.Join(names, ", "), "an upgrade is under way or was left unfinished", "finish it"))
		}
		if n := h.Plan.Replication; n > len(m.Brokers) {
			out = append(out, fail(fmt.Sprintf("%d brokers, the plan wants %d replicas", len(m.Brokers), n), "a new topic cannot be created", "start the missing brokers, or lower topics.replication"))
		}
		return append(out, h.served(m)...), nil
	})
}

// served looks at the leaders and replicas of the plan's partitions.
func (h House) served(m kadm.Metadata) []Finding {
	var dead, behind []string
	for _, s := range h.Plan.Specs() {
		name := h.Plan.Name(s.Name)
		for _, p := range m.Topics[name].Partitions {
			at := fmt.Sprintf("%s/%d", name, p.Partition)
			switch {
			case p.Leader < 0:
				dead = append(dead, at)
			case len(p.ISR) < len(p.Replicas):
				behind = append(behind, at)
			}
		}
	}
	var out []Finding
	if len(dead) > 0 {
		out = append(out, fail("no broker serves "+few(dead), "records of these partitions can neither be written nor read", "bring the brokers back that hold them"))
	}
	if len(behind) > 0 {
		out = append(out, warn("replicas are missing for "+few(behind), "one more broker lost may stop these partitions", "see which broker is away, and wait until it has caught up"))
	}
	return out
}

// few names the first of many.
func few(names []string) string {
	if len(names) <= 4 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:3], ", "), len(names)-3)
}
