package s3_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"docstream/connectors/s3"
	"docstream/schemas"
)

func TestTheFirstRuleThatMatchesDecides(t *testing.T) {
	w := newWorld(t)
	w.cfg.Rules = []s3.Rule{
		{Bucket: "scans", Prefix: "skip/", MinSize: 1 << 50, Tenant: "nobody"},
		{Bucket: "scans", Prefix: "urgent/", Suffix: ".pdf", Tenant: "acme", Priority: "high", OCR: "force", Pages: "3,1-2", OutputFormats: []string{"json", "markdown"}},
		{Bucket: "scans", Prefix: "urgent/", Tenant: "acme", Class: "gpu", Priority: "low"},
		{Bucket: "scans", Suffix: ".png", Tenant: "pictures"},
		{Bucket: "scans", Prefix: "small/", MaxSize: 50, Tenant: "small"},
		{Bucket: "scans", Prefix: "small/", MinSize: 100, MaxSize: 100, Tenant: "large"},
	}
	want := map[string]string{
		"urgent/a.PDF": "acme high cpu force 1-3 [markdown json]",
		"urgent/a.txt": "acme low gpu auto  []",
		"any/a.png":    "pictures normal gpu auto  []",
		"small/a.txt":  "large normal cpu auto  []",
		"skip/a.txt":   "",
		"urgen/a.pdf":  "",
	}
	for key := range want {
		w.notify(message(created(key, 1).record()))
	}
	connector, reg := w.connector()
	stop := w.run(connector.FromKafka)
	w.eventually("all messages", func() bool { return w.outcomes(reg)["messages"] == len(want) })
	stop()
	got := map[string]string{}
	for _, s := range w.submissions() {
		got[s.Source.Key] = fmt.Sprintf("%s %s %s %s %s %v", s.Tenant, s.Priority, s.Class, s.Options.OCR, s.Options.Pages, s.Options.OutputFormats)
	}
	for key, outcome := range want {
		if got[key] != outcome {
			t.Errorf("%s: %q, want %q", key, got[key], outcome)
		}
	}
	if n := w.outcomes(reg)["no_rule"]; n != 2 {
		t.Errorf("%d were filtered for want of a rule", n)
	}
}

func TestALaterVersionIsAnotherJobAndAnOldDuplicateIsNone(t *testing.T) {
	w := newWorld(t)
	first, second := created("in/a.txt", 1), created("in/a.txt", 2)
	first.version, second.version = "v1", "v2"
	w.notify(message(second.record()), message(first.record()), message(second.record()), message(first.record()))
	old := created("in/b.txt", 3)
	old.at = time.Now().Add(-48 * time.Hour)
	gone := schemas.JobIDForObject("acme", schemas.Source{Bucket: "scans", Key: "in/b.txt", ETag: old.etag})
	w.left.keys = []string{schemas.JobFilesPrefix("acme", gone) + "0-9/job.json"}
	w.notify(message(old.record()))
	connector, reg := w.connector()
	stop := w.run(connector.FromKafka)
	w.eventually("all messages", func() bool { return w.outcomes(reg)["messages"] == 5 })
	stop()
	if got := keys(w.submissions()); fmt.Sprint(got) != "[in/a.txt in/a.txt]" {
		t.Errorf("submitted %v", got)
	}
	if got := w.outcomes(reg); got["duplicate"] != 3 || w.left.asked != 1 {
		t.Errorf("counted %v, looked up %d times", got, w.left.asked)
	}
}

func TestAConfigurationThatCannotWorkIsNamed(t *testing.T) {
	rule := func(change func(*s3.Rule)) func(*s3.Config) {
		return func(c *s3.Config) {
			r := s3.Rule{Bucket: "scans", Tenant: "acme"}
			change(&r)
			c.Rules = []s3.Rule{{Bucket: "scans", Tenant: "acme"}, r}
		}
	}
	for want, change := range map[string]func(*s3.Config){
		"queue":           func(c *s3.Config) { c.Queue = "notes" },
		"endpoint":        func(c *s3.Config) { c.Endpoint = "ftp://x" },
		"region":          func(c *s3.Config) { c.Region = "" },
		"go together":     func(c *s3.Config) { c.AccessKey = "a" },
		"receivers":       func(c *s3.Config) { c.Receivers = 0 },
		"visibility":      func(c *s3.Config) { c.Visibility = time.Second },
		"batch":           func(c *s3.Config) { c.Batch = 0 },
		"look_up_after":   func(c *s3.Config) { c.LookUpAfter = 0 },
		"recent":          func(c *s3.Config) { c.Recent = -1 },
		"rules[1]: \"S\"": rule(func(r *s3.Rule) { r.Bucket = "S" }),
		"tenant":          rule(func(r *s3.Rule) { r.Tenant = "" }),
		"match no object": rule(func(r *s3.Rule) { r.MinSize, r.MaxSize = 5, 4 }),
		"priority":        rule(func(r *s3.Rule) { r.Priority = "urgent" }),
		"class":           rule(func(r *s3.Rule) { r.Class = "tpu" }),
		"ocr":             rule(func(r *s3.Rule) { r.OCR = "yes" }),
		"pages":           rule(func(r *s3.Rule) { r.Pages = "x" }),
		"output_formats":  rule(func(r *s3.Rule) { r.OutputFormats = []string{"docx"} }),
	} {
		c := s3.DefaultConfig()
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
