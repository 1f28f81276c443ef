package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/internal/topology"
	"docstream/producers"
	"docstream/producers/deadletters"
	"docstream/schemas"
)

// dlqFlags select dead letters.
type dlqFlags struct {
	deadletters.Filter
	since string
	limit int
}

func (o *dlqFlags) add(c *cobra.Command) *cobra.Command {
	f := c.Flags()
	f.StringVar(&o.Stage, "stage", "", "set aside by this reader: "+strings.Join(topology.Readers, ", "))
	f.StringVar(&o.Class, "class", "", "whose fault: permanent or unknown")
	f.StringVar(&o.Code, "code", "", "with this error code")
	f.StringVar(&o.Tenant, "tenant", "", "of this tenant")
	f.StringVar(&o.Job, "job", "", "of this job")
	f.StringVar(&o.since, "since", "", "set aside at or after this time: 2026-11-25, 2026-11-25T08:00:00Z or 24h (ago)")
	f.IntVar(&o.limit, "limit", 100, "at most so many, the newest")
	return c
}

func (o *dlqFlags) filter() (deadletters.Filter, error) {
	f := o.Filter
	if f.Stage != "" {
		if err := oneOf("--stage", f.Stage, topology.Readers); err != nil {
			return f, err
		}
	}
	if o.limit < 1 {
		return f, fail(exitUsage, "--limit must be at least 1")
	}
	var err error
	if f.Since, err = moment(o.since, time.Now()); err != nil {
		return f, exit{exitUsage, fault.Of(err).Message}
	}
	return f, nil
}

func (p *program) dlqCommand() *cobra.Command {
	c := &cobra.Command{Use: "dlq", Short: "Look at dead letters, and run their jobs again",
		Long: "Look at the records that readers of the stream set aside, with their original bytes and headers. redrive opens another run of a letter's\n" +
			"job, which keeps the pages that have a result; discard only closes the letter."}
	var list, again, drop dlqFlags
	var all bool
	l := list.add(&cobra.Command{Use: "list", Short: "List dead letters, newest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			f, err := list.filter()
			if err != nil {
				return err
			}
			if !all {
				f.State = deadletters.Open
			}
			return p.withLetters(c.Context(), func(b deadletters.Box, _ *producers.Producer) error {
				letters, err := b.List(c.Context(), f, list.limit)
				if err != nil {
					return err
				}
				return p.printLetters(letters)
			})
		}})
	l.Flags().BoolVar(&all, "all", false, "redriven and discarded ones as well")
	c.AddCommand(l,
		&cobra.Command{Use: "show ID", Short: "Show a dead letter whole", Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				return p.withLetters(c.Context(), func(b deadletters.Box, _ *producers.Producer) error { return p.showLetter(c.Context(), b, args[0]) })
			}},
		again.add(p.dlqActCommand("redrive", "Run the jobs of dead letters again", &again, p.redriveLetters)),
		drop.add(p.dlqActCommand("discard", "Close dead letters for good", &drop, func(ctx context.Context, b deadletters.Box, _ *producers.Producer, letters []deadletters.Letter) error {
			if err := b.Close(ctx, letters, deadletters.Discarded, "operator"); err != nil {
				return err
			}
			fmt.Fprintf(p.stdout, "%d dead letters discarded\n", len(letters))
			return nil
		})))
	return c
}

type letterAct func(context.Context, deadletters.Box, *producers.Producer, []deadletters.Letter) error

// dlqActCommand is a command that does something with the letters that are named or selected.
func (p *program) dlqActCommand(verb, short string, o *dlqFlags, act letterAct) *cobra.Command {
	return &cobra.Command{Use: verb + " [ID...]", Short: short, Long: short + ": those that are named, or the open ones that a filter selects.",
		RunE: func(c *cobra.Command, args []string) error {
			f, err := o.filter()
			if err != nil {
				return err
			}
			if len(args) == 0 && f == (deadletters.Filter{}) {
				return fail(exitUsage, "name dead letters by their ids, or select them with --stage, --class, --code, --tenant, --job or --since")
			}
			return p.withLetters(c.Context(), func(b deadletters.Box, out *producers.Producer) error {
				letters, err := chosenLetters(c.Context(), b, f, o.limit, args)
				if err != nil {
					return err
				}
				return act(c.Context(), b, out, letters)
			})
		}}
}

func chosenLetters(ctx context.Context, b deadletters.Box, f deadletters.Filter, limit int, ids []string) ([]deadletters.Letter, error) {
	if len(ids) == 0 {
		f.State = deadletters.Open
		return b.List(ctx, f, limit)
	}
	var out []deadletters.Letter
	for _, id := range ids {
		l, ok, err := b.Find(ctx, id)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, fail(exitNotFound, "there is no dead letter %s", id)
		}
		out = append(out, l)
	}
	return out, nil
}

// withLetters opens the dead letters of the service.
func (p *program) withLetters(ctx context.Context, do func(deadletters.Box, *producers.Producer) error) error {
	cfg, err := p.cluster()
	if err != nil {
		return err
	}
	return remote(writing(ctx, cfg, func(client *kgo.Client, codec *schemas.Codec, out *producers.Producer) error {
		return do(deadletters.Box{Conn: cfg.Kafka, Plan: cfg.Topics, Codec: codec, Client: client}, out)
	}))
}

// redriveLetters asks for another run of each job once and closes its letters.
func (p *program) redriveLetters(ctx context.Context, b deadletters.Box, out *producers.Producer, letters []deadletters.Letter) error {
	cfg, err := p.cluster()
	if err != nil {
		return err
	}
	objects, err := blob.Open(cfg.Objects, nil)
	if err != nil {
		return err
	}
	jobs, err := b.Jobs(ctx, letters, objects)
	if err != nil {
		return err
	}
	asked, refused := map[string]bool{}, 0
	var closed []deadletters.Letter
	for _, l := range letters {
		key := topology.JobKey(l.Tenant, l.JobID)
		r, err := b.Request(l, jobs[key], time.Now())
		if err != nil {
			refused++
			fmt.Fprintf(p.stderr, "%s: %s\n", l.ID, fault.Of(err).Message)
			continue
		}
		if !asked[key] {
			if err := out.Publish(ctx, r, schemas.NewRequestID(time.Now())); err != nil {
				return err
			}
			asked[key] = true
		}
		closed = append(closed, l)
	}
	if err := b.Close(ctx, closed, deadletters.Redriven, "operator"); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%d dead letters redriven: %d jobs run again\n", len(closed), len(asked))
	if refused > 0 {
		return fail(exitPartial, "%d dead letters cannot be redriven", refused)
	}
	return nil
}

func (p *program) printLetters(letters []deadletters.Letter) error {
	if p.json {
		if letters == nil {
			letters = []deadletters.Letter{}
		}
		return p.print(letters)
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tAT\tSTATE\tCLASS\tCODE\tATTEMPTS\tTENANT\tJOB\tPAGE")
	for _, l := range letters {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%d\n", l.ID, l.At.Format(time.DateTime), l.State, l.Class, l.Code, l.Attempts, l.Tenant, l.JobID, l.Page)
	}
	return w.Flush()
}

// showLetter prints all of a letter: what is known of it, its original headers, key and value.
func (p *program) showLetter(ctx context.Context, b deadletters.Box, id string) error {
	l, ok, err := b.Find(ctx, id)
	if err != nil {
		return err
	}
	if !ok {
		return fail(exitNotFound, "there is no dead letter %s", id)
	}
	type header struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	whole := struct {
		deadletters.Letter
		Key     string        `json:"key"`
		Headers []header      `json:"headers"`
		Kind    string        `json:"kind,omitempty"`
		Event   schemas.Event `json:"event,omitempty"`
		Value   string        `json:"value_base64"`
	}{Letter: l, Key: string(l.Record.Key), Event: l.Record.Event, Value: base64.StdEncoding.EncodeToString(l.Record.Value)}
	if l.Record.Event != nil {
		whole.Kind = l.Record.Event.Kind()
	}
	for _, h := range l.Record.Headers {
		if !strings.EqualFold(h.Key, schemas.HeaderSignature) {
			whole.Headers = append(whole.Headers, header{h.Key, string(h.Value)})
		}
	}
	return p.print(whole)
}
