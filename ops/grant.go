package ops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"docstream/internal/topology"
)

// right is one line of an access control list: an allowance, from any host.
type right struct {
	principal string
	resource  kmsg.ACLResourceType
	pattern   kmsg.ACLResourcePatternType
	name      string
	operation kmsg.ACLOperation
}

func (r right) String() string {
	name := r.name
	if r.pattern == kmsg.ACLResourcePatternTypePrefixed {
		name += "*"
	}
	return fmt.Sprintf("%s may %s %s %s", r.principal, r.operation, strings.ToLower(r.resource.String()), name)
}

// Grant opens the topics of the plan to the principals of its roles, and their groups and transactional ids with them. Rights follow from
// the Writers and Readers of the plan alone. It takes no right away: what others may do beyond the plan it returns as warnings. Running it
// again grants nothing more. dry only says what would be granted.
func Grant(ctx context.Context, client *kgo.Client, plan topology.Config, who Principals, dry bool) (granted, warnings []string, err error) {
	if !who.Any() {
		return nil, nil, nil
	}
	want, err := rights(plan, who)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, settleTime, errors.New("the brokers did not settle in time"))
	defer cancel()
	have, err := allowed(ctx, client)
	if err != nil {
		return nil, nil, err
	}
	warnings = beyond(plan, want, have)
	missing := lacking(want, have)
	for _, r := range missing {
		granted = append(granted, r.String())
	}
	if dry || len(missing) == 0 {
		return granted, warnings, nil
	}
	if err := grant(ctx, client, missing); err != nil {
		return nil, warnings, err
	}
	return granted, warnings, again(ctx, func() (bool, error) {
		have, err := allowed(ctx, client)
		return err == nil && len(lacking(want, have)) == 0, err
	})
}

// rights spells out what every principal needs. Reading and writing include describing; an idempotent producer needs no right of its own.
func rights(plan topology.Config, who Principals) ([]right, error) {
	roles, err := plan.Rights()
	if err != nil {
		return nil, err
	}
	var out []right
	for _, role := range roles {
		for _, principal := range who.Of(role.Role) {
			add := func(t kmsg.ACLResourceType, pattern kmsg.ACLResourcePatternType, op kmsg.ACLOperation, names ...string) {
				for _, name := range names {
					if r := (right{principal, t, pattern, name, op}); !slices.Contains(out, r) {
						out = append(out, r)
					}
				}
			}
			const literal, prefixed = kmsg.ACLResourcePatternTypeLiteral, kmsg.ACLResourcePatternTypePrefixed
			add(kmsg.ACLResourceTypeTopic, literal, kmsg.ACLOperationWrite, role.Writes...)
			add(kmsg.ACLResourceTypeTopic, literal, kmsg.ACLOperationRead, role.Reads...)
			add(kmsg.ACLResourceTypeGroup, prefixed, kmsg.ACLOperationRead, role.Groups...)
			add(kmsg.ACLResourceTypeGroup, prefixed, kmsg.ACLOperationDescribe, role.Watches...)
			add(kmsg.ACLResourceTypeTransactionalId, prefixed, kmsg.ACLOperationWrite, role.Transactions...)
			if role.Role != "operators" {
				continue
			}
			for _, s := range plan.Specs() { // lag and doctor look at everything
				add(kmsg.ACLResourceTypeTopic, literal, kmsg.ACLOperationRead, plan.Name(s.Name))
				add(kmsg.ACLResourceTypeTopic, literal, kmsg.ACLOperationDescribeConfigs, plan.Name(s.Name))
			}
			groups, pattern := "*", literal // the house's own, which all begin with its prefix
			if plan.Prefix != "" {
				groups, pattern = plan.Prefix, prefixed
			}
			add(kmsg.ACLResourceTypeGroup, pattern, kmsg.ACLOperationDescribe, groups)
			add(kmsg.ACLResourceTypeCluster, literal, kmsg.ACLOperationDescribe, "kafka-cluster")
		}
	}
	return out, nil
}

// allowed lists every allowance of the cluster.
func allowed(ctx context.Context, client *kgo.Client) ([]right, error) {
	r := kmsg.NewPtrDescribeACLsRequest()
	r.ResourceType, r.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
	r.Operation, r.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAllow
	answer, err := r.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
	}
	if errors.Is(err, kerr.SecurityDisabled) {
		return nil, errors.New("principals are configured, but the brokers have no authorizer: set authorizer.class.name there, or leave principals empty")
	}
	if err != nil {
		return nil, failed("listing access rights", err)
	}
	var out []right
	for _, res := range answer.Resources {
		for _, a := range res.ACLs {
			if a.Host == "*" {
				out = append(out, right{a.Principal, res.ResourceType, res.ResourcePatternType, res.ResourceName, a.Operation})
			}
		}
	}
	return out, nil
}

func lacking(want, have []right) (missing []right) {
	for _, r := range want {
		if !slices.Contains(have, r) {
			missing = append(missing, r)
		}
	}
	return missing
}

func grant(ctx context.Context, client *kgo.Client, missing []right) error {
	r := kmsg.NewPtrCreateACLsRequest()
	for _, m := range missing {
		c := kmsg.NewCreateACLsRequestCreation()
		c.ResourceType, c.ResourcePatternType, c.ResourceName = m.resource, m.pattern, m.name
		c.Principal, c.Host, c.Operation, c.PermissionType = m.principal, "*", m.operation, kmsg.ACLPermissionTypeAllow
		r.Creations = append(r.Creations, c)
	}
	answer, err := r.RequestWith(ctx, client)
	if err != nil {
		return failed("granting access rights", err)
	}
	for i, res := range answer.Results {
		if err := kerr.ErrorForCode(res.ErrorCode); err != nil {
			return failed("granting that "+missing[i].String(), err)
		}
	}
	return nil
}

// beyond says who may read or write a topic of the plan without being named for it. Super users stand in the brokers' own settings and are
// not seen here.
func beyond(plan topology.Config, want, have []right) (out []string) {
	for _, h := range have {
		if h.resource != kmsg.ACLResourceTypeTopic {
			continue
		}
		for _, op := range []kmsg.ACLOperation{kmsg.ACLOperationWrite, kmsg.ACLOperationRead} {
			if h.operation != op && h.operation != kmsg.ACLOperationAll {
				continue
			}
			var topics []string
			for _, s := range plan.Specs() {
				name := plan.Name(s.Name)
				if h.covers(name) && !slices.Contains(want, right{h.principal, h.resource, kmsg.ACLResourcePatternTypeLiteral, name, op}) {
					topics = append(topics, name)
				}
			}
			if len(topics) > 0 {
				out = append(out, fmt.Sprintf("%s: the plan names it not as one that may %s %s; take the right away with Kafka's own tools, or name the principal",
					h, op, few(topics)))
			}
		}
	}
	return out
}

func (r right) covers(topic string) bool {
	switch r.pattern {
	case kmsg.ACLResourcePatternTypeLiteral:
		return r.name == topic || r.name == "*"
	case kmsg.ACLResourcePatternTypePrefixed:
		return strings.HasPrefix(topic, r.name)
	}
	return false
}

// few names the first of many.
func few(names []string) string {
	if len(names) <= 3 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more topics", strings.Join(names[:2], ", "), len(names)-2)
}
