package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"docstream/gateway"
	"docstream/gateway/keys"
	"docstream/schemas"
)

// audited is what the audit log says of something a person did here.
func audited(action, tenant, subject string, details map[string]string) *schemas.AuditRecorded {
	now := time.Now().UTC()
	a := &schemas.AuditRecorded{Action: action, Subject: subject, By: "operator", Details: details}
	a.Head = schemas.Head{Tenant: tenant, At: now, EventID: schemas.EventIDFor(subject, 0, action, 0, a.Kind(), now.UnixMicro())}
	return a
}

func (p *program) rotateCommand() *cobra.Command {
	var overlap time.Duration
	c := &cobra.Command{Use: "rotate ID", Short: "Replace a key and print the new one, once", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return p.rotateKey(c.Context(), args[0], overlap) }}
	c.Flags().DurationVar(&overlap, "overlap", 24*time.Hour, "how long the old key stays good")
	return c
}

func (p *program) rotateKey(ctx context.Context, id string, overlap time.Duration) error {
	cfg, err := p.cluster()
	if err != nil {
		return err
	}
	house, err := cfg.HouseKey.signing()
	if err != nil {
		return err
	}
	if named, _, ok := keys.Split(id); ok {
		id = named // a whole key was given
	}
	all, err := readKeys(ctx, cfg)
	if err != nil {
		return remote(err)
	}
	i := slices.IndexFunc(all, func(e schemas.Event) bool { return shown(e, "").ID == id })
	if i < 0 {
		return fail(exitNotFound, "there is no valid key %s", id)
	}
	key, ok := all[i].(*schemas.APIKeyChanged)
	switch {
	case !ok:
		return fail(exitUsage, "key %s is a producer key: create another, then retire it", id)
	case !key.RevokedAt.IsZero():
		return fail(exitNotFound, "there is no valid key %s", id)
	}
	token, fresh, old, err := keys.Rotate(house, key, max(0, overlap))
	if err != nil {
		return err
	}
	if err := publish(ctx, cfg, fresh, old, audited("key.rotated", fresh.Tenant, id, map[string]string{"new": fresh.KeyID})); err != nil {
		return remote(err)
	}
	if p.json {
		return p.print(shown(fresh, token))
	}
	_, err = fmt.Fprintln(p.stdout, token)
	return err
}

func (p *program) tenantsCommand() *cobra.Command {
	c := &cobra.Command{Use: "tenants", Short: "Give tenants their plans", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return fail(exitUsage, "say tenants plan TENANT PLAN") }}
	c.AddCommand(&cobra.Command{Use: "plan TENANT PLAN", Short: "Give a tenant one of the plans of the configuration", Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return p.planTenant(c.Context(), args[0], args[1]) }})
	return c
}

func (p *program) planTenant(ctx context.Context, tenant, plan string) error {
	cfg, err := p.cluster()
	if err != nil {
		return err
	}
	switch {
	case !schemas.ValidTenant(tenant):
		return fail(exitUsage, "a tenant is 1 to 40 of a-z, 0-9 and -")
	case !slices.ContainsFunc(cfg.Gateway.Plans, func(g gateway.Plan) bool { return g.Name == plan }):
		return fail(exitUsage, "the configuration has no plan %s", plan)
	}
	now := time.Now().UTC()
	e := &schemas.TenantChanged{Plan: plan, By: "operator"}
	e.Head = schemas.Head{Tenant: tenant, At: now, EventID: schemas.EventIDFor(tenant, 0, "tenants", 0, e.Kind(), now.UnixMicro())}
	return remote(publish(ctx, cfg, e, audited("tenant.planned", tenant, tenant, map[string]string{"plan": plan})))
}
