package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/gateway/keys"
	"docstream/internal/proof"
	"docstream/internal/stream"
	"docstream/producers"
	"docstream/schemas"
)

// The kinds of keys.
const (
	kindAPI      = "api"      // opens the API
	kindProducer = "producer" // signs what an upstream system writes into a documents lane
)

// shownKey is what is printed of a key: never its secret, but at its making.
type shownKey struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	Tenant  string    `json:"tenant"`
	Name    string    `json:"name"`
	Scopes  []string  `json:"scopes,omitempty"`
	Created time.Time `json:"created_at"`
	Expires time.Time `json:"expires_at,omitzero"`
	Retired time.Time `json:"retired_at,omitzero"`
	Revoked time.Time `json:"revoked_at,omitzero"`
	Key     string    `json:"key,omitempty"`
}

func shown(e schemas.Event, token string) shownKey {
	switch e := e.(type) {
	case *schemas.APIKeyChanged:
		return shownKey{e.KeyID, kindAPI, e.Tenant, e.Name, e.Scopes, e.CreatedAt, e.ExpiresAt, time.Time{}, e.RevokedAt, token}
	case *schemas.ProducerKeyChanged:
		return shownKey{e.KeyID, kindProducer, e.Tenant, e.Name, nil, e.CreatedAt, time.Time{}, e.RetiredAt, e.RevokedAt, token}
	}
	return shownKey{}
}

// state says in words whether a key is good for anything.
func (k shownKey) state() string {
	switch {
	case !k.Revoked.IsZero():
		return "revoked " + k.Revoked.Format(time.DateTime)
	case !k.Retired.IsZero():
		return "retired " + k.Retired.Format(time.DateTime)
	case !k.Expires.IsZero() && time.Now().After(k.Expires):
		return "expired"
	}
	return "valid"
}

// newKey is what a key is made from.
type newKey struct {
	kind, tenant, name string
	scopes             []string
	lasts              time.Duration
}

func (p *program) keysCommand() *cobra.Command {
	c := &cobra.Command{Use: "keys", Short: "Create, list, rotate, retire and revoke keys", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return fail(exitUsage, "say keys create, keys list, keys rotate, keys retire or keys revoke")
		}}
	var n newKey
	create := &cobra.Command{Use: "create", Short: "Create a key and print it, once", Args: cobra.NoArgs,
		Long: "Create a key and print it, once. An api key opens the API. A producer key signs what an upstream system writes into a documents lane,\n" +
			"and so proves its tenant.",
		RunE: func(c *cobra.Command, _ []string) error { return p.createKey(c.Context(), n) }}
	create.Flags().StringVar(&n.kind, "kind", kindAPI, "what the key opens: api, producer")
	create.Flags().StringVar(&n.tenant, "tenant", "default", "owner of the key")
	create.Flags().StringVar(&n.name, "name", "", "what the key is for")
	create.Flags().StringSliceVar(&n.scopes, "scopes", []string{keys.Documents}, "what an api key may do: documents, admin, operator")
	create.Flags().DurationVar(&n.lasts, "expires", 0, "how long an api key is valid, such as 720h; 0: for ever")
	c.AddCommand(create,
		&cobra.Command{Use: "list", Short: "List the keys, without their secrets", Args: cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error { return p.listKeys(c.Context()) }},
		p.rotateCommand(),
		&cobra.Command{Use: "retire ID", Short: "Retire a producer key: it goes on to verify what was appended before", Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error { return p.retireKey(c.Context(), args[0]) }},
		&cobra.Command{Use: "revoke ID", Short: "Revoke a key, for ever", Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error { return p.revokeKey(c.Context(), args[0]) }})
	return c
}

func (p *program) createKey(ctx context.Context, n newKey) error {
	if err := oneOf("--kind", n.kind, []string{kindAPI, kindProducer}); err != nil {
		return err
	}
	cfg, err := p.cluster()
	if err != nil {
		return err
	}
	house, err := cfg.HouseKey.signing()
	if err != nil {
		return err
	}
	token, event, err := n.make(house)
	if err != nil {
		return exit{exitUsage, err.Error()}
	}
	about := map[string]string{"kind": n.kind, "name": n.name}
	if n.kind == kindAPI {
		about["scopes"] = strings.Join(n.scopes, ",")
	}
	if err := publish(ctx, cfg, event, audited("key.created", n.tenant, shown(event, "").ID, about)); err != nil {
		return remote(err)
	}
	if p.json {
		return p.print(shown(event, token))
	}
	_, err = fmt.Fprintln(p.stdout, token)
	return err
}

// make is the key itself, and the event that makes it known.
func (n newKey) make(house schemas.SigningKey) (string, schemas.Event, error) {
	if n.kind == kindProducer {
		if n.lasts != 0 {
			return "", nil, errors.New("a producer key does not expire: retire it")
		}
		return proof.NewKey(house, n.tenant, n.name)
	}
	var expires time.Time
	if n.lasts > 0 {
		expires = time.Now().UTC().Add(n.lasts)
	}
	return keys.New(house, n.tenant, n.name, n.scopes, expires)
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
	fmt.Fprintln(w, "ID\tKIND\tTENANT\tNAME\tSCOPES\tCREATED\tSTATE")
	for _, k := range out {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Kind, k.Tenant, k.Name, strings.Join(k.Scopes, ","), k.Created.Format(time.DateTime), k.state())
	}
	return w.Flush()
}

func (p *program) revokeKey(ctx context.Context, id string) error {
	return p.changeKey(ctx, id, func(_ Config, e schemas.Event) (schemas.Event, error) {
		switch e := e.(type) {
		case *schemas.APIKeyChanged:
			if e.RevokedAt.IsZero() {
				return keys.Revoke(e), nil
			}
		case *schemas.ProducerKeyChanged:
			if e.RevokedAt.IsZero() {
				return proof.Revoke(e), nil
			}
		}
		return nil, nil
	})
}

func (p *program) retireKey(ctx context.Context, id string) error {
	return p.changeKey(ctx, id, func(cfg Config, e schemas.Event) (schemas.Event, error) {
		k, ok := e.(*schemas.ProducerKeyChanged)
		switch {
		case !ok:
			return nil, fail(exitUsage, "key %s is an API key: revoke it", id)
		case !k.RetiredAt.IsZero() || !k.RevokedAt.IsZero():
			return nil, nil
		}
		ends, err := stream.LaneEnds(ctx, cfg.Kafka, cfg.Topics)
		if err != nil {
			return nil, exit{exitUnreachable, err.Error()}
		}
		return proof.Retire(k, ends), nil
	})
}

// changeKey publishes what is to become of a key; nothing where it is so already.
func (p *program) changeKey(ctx context.Context, id string, change func(Config, schemas.Event) (schemas.Event, error)) error {
	cfg, err := p.cluster()
	if err != nil {
		return err
	}
	if named, _, ok := keys.Split(id); ok {
		id = named // a whole key was given
	} else if named, ok := proof.Split(id); ok {
		id = named.ID
	}
	all, err := readKeys(ctx, cfg)
	if err != nil {
		return remote(err)
	}
	i := slices.IndexFunc(all, func(e schemas.Event) bool { return shown(e, "").ID == id })
	if i < 0 {
		return fail(exitNotFound, "there is no key %s", id)
	}
	next, err := change(cfg, all[i])
	if err != nil || next == nil {
		return err
	}
	action := "key.revoked"
	if k, ok := next.(*schemas.ProducerKeyChanged); ok && k.RevokedAt.IsZero() {
		action = "key.retired"
	}
	return remote(publish(ctx, cfg, next, audited(action, next.Envelope().Tenant, id, nil)))
}

// publish makes events of the command line durable.
func publish(ctx context.Context, cfg Config, events ...schemas.Event) error {
	return writing(ctx, cfg, func(_ *kgo.Client, _ *schemas.Codec, out *producers.Producer) error {
		return out.PublishAll(ctx, events, schemas.NewRequestID(time.Now()))
	})
}

// writing lends a command what it writes into the log with, once the registry knows the schemas.
func writing(ctx context.Context, cfg Config, do func(*kgo.Client, *schemas.Codec, *producers.Producer) error) error {
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
	return do(client, codec, producers.New(client, stream.NewWriter(cfg.Topics, codec, "command-line", schemas.SigningKey{})))
}

// readKeys reads the settings to the end they have now; the newest event of a key counts.
func readKeys(ctx context.Context, cfg Config) ([]schemas.Event, error) {
	newest := map[string]schemas.Event{}
	var order []string
	r, err := openSettings(cfg, func(name string, e schemas.Event) {
		if e != nil && shown(e, "").ID == "" {
			return
		}
		if _, known := newest[name]; !known {
			order = append(order, name)
		}
		newest[name] = e
	})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := readSettings(ctx, r); err != nil {
		return nil, err
	}
	out := make([]schemas.Event, 0, len(order))
	for _, name := range order {
		if newest[name] != nil {
			out = append(out, newest[name])
		}
	}
	return out, nil
}
