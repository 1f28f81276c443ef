// Command reference prints the closed tables of the house as one page of Markdown: statuses, error codes, topics, headers and metrics. The
// page is committed, and CI fails when it is not the one this command prints.
package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"docstream/internal/telemetry"
	"docstream/internal/topology"
	"docstream/schemas"
)

func main() {
	if err := os.WriteFile(os.Args[1], page(), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

var meanings = map[schemas.Status]string{
	schemas.Pending: "accepted, nobody has opened it yet", schemas.Processing: "opened; pages are being read", schemas.Completed: "every page has its result",
	schemas.Partial: "some pages failed; the result names them", schemas.Failed: "no result; the job names the code",
	schemas.Cancelled: "stopped on request; no result is served", schemas.Expired: "its deadline passed first",
}

func page() []byte {
	var b bytes.Buffer
	p := func(f string, a ...any) { fmt.Fprintf(&b, f+"\n", a...) }
	p("# Reference\n\nPrinted by `make generate` from the tables in the code; not edited by hand.\n\n## Statuses\n\n| status | terminal | meaning |\n|---|---|---|")
	for _, s := range schemas.Statuses {
		p("| `%s` | %s | %s |", s, yes(schemas.Terminal(s)), meanings[s])
	}
	p("\n## Error codes\n\n| code | HTTP | retryable | meaning |\n|---|--:|---|---|")
	codes := make([]schemas.Code, 0, len(schemas.Codes))
	for c := range schemas.Codes {
		codes = append(codes, c)
	}
	slices.SortFunc(codes, func(a, b schemas.Code) int {
		return cmp.Or(cmp.Compare(schemas.Codes[a].HTTP, schemas.Codes[b].HTTP), cmp.Compare(a, b))
	})
	for _, c := range codes {
		i := schemas.Codes[c]
		p("| `%s` | %d | %s | %s |", c, i.HTTP, yes(i.Retryable), i.Meaning)
	}
	p("\n## Topics\n\nNames carry the prefix of the configuration (`docstream.` by default).\n\n| topic | keyed by | carries | written by | read by |\n|---|---|---|---|---|")
	for _, s := range topology.DefaultConfig().Specs() {
		kinds := strings.Join(s.Kinds, ", ")
		if kinds == "" {
			kinds = "the original bytes and headers, and why"
		}
		p("| `%s` | %s | %s | %s | %s |", s.Name, s.Key, kinds, strings.Join(s.Writers, ", "), strings.Join(s.Readers, ", "))
	}
	p("\n## Metrics\n\n| metric | meaning |\n|---|---|")
	for _, m := range telemetry.Metrics {
		p("| `%s` | %s |", m.Name, m.Meaning)
	}
	return b.Bytes()
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
