package topology

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Node is a stage, fold or sink of the printed graph.
type Node struct {
	Name  string   `json:"name"`
	Role  string   `json:"role"` // stage, fold or sink
	Reads []string `json:"reads"`
	Emits []string `json:"emits,omitempty"` // families of topics
}

// Nodes lists the graph in the order a document walks it.
func Nodes() []Node {
	return []Node{
		{Prepare.Name, "stage", []string{Documents.Spec.Name, Splits.Spec.Name}, families(Prepare.Emits, "splits", "fetches")},
		{Fetch.Name, "stage", []string{Fetches.Spec.Name}, families(Fetch.Emits, "splits")},
		{Layout.Name, "stage", []string{Pages.Spec.Name}, families(Layout.Emits)},
		{OCR.Name, "stage", []string{Layouts.Spec.Name}, families(OCR.Emits)},
		{Track.Name, "fold", []string{Facts.Spec.Name}, families(Track.Emits, "splits")},
		{Compose.Name, "stage", []string{Compositions.Spec.Name}, families(Compose.Emits)},
		{Tally.Name, "fold", []string{Usage.Spec.Name}, families(Tally.Emits)},
		{Deliver.Name, "stage", []string{Webhooks.Spec.Name}, families([]string{"WebhookDue", "EndpointChanged"})},
		{ClickHouse.Name, "sink", []string{Facts.Spec.Name, JobEvents.Spec.Name, Usage.Spec.Name}, nil},
		{S3.Name, "sink", []string{Documents.Spec.Name, Splits.Spec.Name, Fetches.Spec.Name, Pages.Spec.Name, Layouts.Spec.Name, Compositions.Spec.Name,
			Facts.Spec.Name, JobEvents.Spec.Name, Usage.Spec.Name}, nil},
		{Ended.Name, "sink", []string{Jobs.Spec.Name}, families([]string{"JobArchived"})},
	}
}

// families names the families of topics in which kinds travel. A DocumentSubmitted that a stage or fold emits is a continuation, a later run
// or one whose bytes are to be fetched, and those travel in the families named for it.
func families(kinds []string, submitted ...string) []string {
	var out []string
	seen := map[string]bool{}
	for _, k := range kinds {
		names := submitted
		if k != "DocumentSubmitted" {
			names = []string{familyOf(k)}
		}
		for _, name := range names {
			if !seen[name] {
				seen[name] = true
				out = append(out, name)
			}
		}
	}
	return out
}

func familyOf(kind string) string {
	for _, s := range []Spec{Documents.Spec, Pages.Spec, Layouts.Spec, Compositions.Spec, Facts.Spec, Jobs.Spec, JobEvents.Spec, Cancellations.Spec, Usage.Spec, UsageDays.Spec, Webhooks.Spec, Settings.Spec, Audit.Spec} {
		for _, k := range s.Kinds {
			if k == kind {
				return s.Name
			}
		}
	}
	return ""
}

// Describe prints the graph as text, mermaid or json.
func (c Config) Describe(w io.Writer, format string) error {
	switch format {
	case "", "text":
		return c.text(w)
	case "mermaid":
		_, err := io.WriteString(w, mermaid())
		return err
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			Nodes  []Node `json:"nodes"`
			Topics []Spec `json:"topics"`
		}{Nodes(), c.Specs()})
	}
	return fmt.Errorf("format %q is not text, mermaid or json", format)
}

func (c Config) text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tROLE\tREADS\tEMITS")
	for _, n := range Nodes() {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", n.Name, n.Role, strings.Join(n.Reads, " "), strings.Join(n.Emits, " "))
	}
	fmt.Fprintln(t, "\nTOPIC\tPARTITIONS\tKEPT\tKEY\tCARRIES")
	for _, s := range c.Specs() {
		kept := "compacted"
		if !s.Compact {
			kept = fmt.Sprintf("%d d", s.Retention/(24*time.Hour))
		}
		kinds := strings.Join(s.Kinds, " ")
		if kinds == "" {
			kinds = "original bytes"
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\n", c.Name(s.Name), c.Partitions(s.Shape), kept, s.Key, kinds)
	}
	return t.Flush()
}

// mermaid draws the graph for pages that can show it.
func mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n  gateway([gateway]) --> documents[(documents)]\n")
	for _, n := range Nodes() {
		for _, r := range n.Reads {
			fmt.Fprintf(&b, "  %s[(%s)] --> %s(%s)\n", r, r, n.Name, n.Name)
		}
		for _, e := range n.Emits {
			fmt.Fprintf(&b, "  %s(%s) --> %s[(%s)]\n", n.Name, n.Name, e, e)
		}
	}
	b.WriteString("  jobs[(jobs)] --> gateway\n  documents[(documents)] -.tail.-> gateway\n  settings[(settings)] --> gateway\n  usage-days[(usage-days)] --> gateway\n  webhooks[(webhooks)] --> gateway\n" +
		"  cancellations[(cancellations)] -.-> prepare & fetch & layout & ocr & compose\n")
	return b.String()
}
