package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"docstream/gateway/keys"
	"docstream/internal/stream"
	"docstream/producers"
	"docstream/schemas"
)

// shownKey is what is printed of a key: never its secret, but at its making.
type shownKey struct {
	ID      string    `json:"id"`
	Tenant  string    `json:"tenant"`
	Name    string    `json:"name"`
	Scopes  []string  `json:"scopes"`
	Created time.Time `json:"created_at"`
	Expires time.Time `json:"expires_at,omitzero"`
	Revoked time.Time `json:"revoked_at,omitzero"`
	Key     string    `json:"key,omitempty"`
}

func shown(e *schemas.APIKeyChanged, token string) shownKey {
	return shownKey{e.KeyID, e.Tenant, e.Name, e.Scopes, e.CreatedAt, e.ExpiresAt, e.RevokedAt, token}
}

func (p *program) keysCommand() *cobra.Command {
	c := &cobra.Command{Use: "keys", Short: "Create, list, rotate and revoke API keys", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fail(exitUsage, "say keys create, keys list, keys rotate or keys revoke")
		}}
	var tenant, name string
	var scopes []string
	var lasts time.Duration
	create := &cobra.Command{Use: "create", Short: "Create a key and print it, once", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.createKey(c.Context(), tenant, name, scopes, lasts) }}
	create.Flags().StringVar(&tenant, "tenant", "default", "owner of the key")
	create.Flags().StringVar(&name, "name", "", "what the key is for")
	create.Flags().StringSliceVar(&scopes, "scopes", []string{keys.Documents}, "what the key may do: documents, admin, operator")
	create.Flags().DurationVar(&lasts, "expires", 0, "how long the key is valid, such as 720h; 0: for ever")
	c.AddCommand(create,
		&cobra.Command{Use: "list", Short: "List the keys, without their secrets", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error { return p.listKeys(c.Context()) }},
		p.rotateCommand(),
		&cobra.Command{Use: "revoke ID", Short: "Revoke a key, for ever", Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error { return p.revokeKey(c.Context(), args[0]) }})
	return c
}

func (p *program) createKey(ctx context.Context, tenant, name string, scopes []string, lasts time.Duration) error {
	cfg, err := p.cluster()
	if err != nil {
		return err
	}
	house, err := cfg.HouseKey.signing()
	if err != nil {
		return err
	}
	var expires time.Time
	if lasts > 0 {
		expires = time.Now().UTC().Add(lasts)
	}
	token, event, err := keys.New(house, tenant, name, scopes, expires)
	if err != nil {
		return exit{exitUsage, err.Error()}
	}
	if err := publish(ctx, cfg, event, audited("key.created", event.Tenant, event.KeyID, map[string]string{"scopes": strings.Join(scopes, ","), "name": name})); err != nil {
		return remote(err)
	}
	if p.json {
		return p.print(shown(event, token))
	}
	_, err = fmt.Fprintln(p.stdout, token)
	return err
}

func (p *program) listKeys(ctx context.Context) error {
	cfg, err := p.cluster()
	if err != nil {
		return err
	}
	all, err := readKeys(ctx, cfg)
	if err != nil {
		return remote(err)
	}
	out := make([]shownKey, 0, len(all))
	for _, e := range all {
		out = append(out, shown(e, ""))
	}
	if p.json {
		return p.print(out)
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tTENANT\tNAME\tSCOPES\tCREATED\tSTATE")
	for _, k := range out {
		state := "valid"
		switch {
		case !k.Revoked.IsZero():
			state = "revoked " + k.Revoked.Format(time.DateTime)
		case !k.Expires.IsZero() && time.Now().After(k.Expires):
			state = "expired"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Tenant, k.Name, strings.Join(k.Scopes, ","), k.Created.Format(time.DateTime), state)
	}
	return w.Flush()
}

func (p *program) revokeKey(ctx context.Context, id string) error {
	cfg, err := p.cluster()
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
	i := slices.IndexFunc(all, func(e *schemas.APIKeyChanged) bool { return e.KeyID == id })
	if i < 0 {
		return fail(exitNotFound, "there is no key %s", id)
	}
	if !all[i].RevokedAt.IsZero() {
		return nil
	}
	return remote(publish(ctx, cfg, keys.Revoke(all[i]), audited("key.revoked", all[i].Tenant, id, nil)))
}

// publish makes events of the command line durable.
func publish(ctx context.Context, cfg Config, events ...schemas.Event) error {
	client, err := cfg.Kafka.Client()
	if err != nil {
		return err
	}
	defer client.Close()
	codec, err := cfg.Kafka.Codec()
	if err != nil {
		return err
	}
	if err := stream.Register(ctx, codec, cfg.Topics); err != nil {
		return exit{exitUnreachable, err.Error()}
	}
	writer := stream.NewWriter(cfg.Topics, codec, "command-line", schemas.SigningKey{})
	return producers.New(client, writer).PublishAll(ctx, events, schemas.NewRequestID(time.Now()))
}

// readKeys reads the settings to the end they have now; the newest event of a key counts.
func readKeys(ctx context.Context, cfg Config) ([]*schemas.APIKeyChanged, error) {
	r, err := openSettings(cfg)
	if err != nil {
		return nil, err
	}
	defer r.close()
	newest := map[string]*schemas.APIKeyChanged{}
	var order []string
	err = r.read(ctx, func(e schemas.Event) {
		k, ok := e.(*schemas.APIKeyChanged)
		if !ok {
			return
		}
		if newest[k.KeyID] == nil {
			order = append(order, k.KeyID)
		}
		newest[k.KeyID] = k
	})
	out := make([]*schemas.APIKeyChanged, 0, len(order))
	for _, id := range order {
		out = append(out, newest[id])
	}
	return out, err
}
