package topology

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"docstream/schemas"
)

// The topics.
var (
	Documents = Lanes[*schemas.DocumentSubmitted]{Classed: true, Signed: true, Spec: Spec{Name: "documents", Kinds: []string{"DocumentSubmitted"},
		Key: "job id", Writers: []string{"gateway", "connectors", "upstream producers", "the harness"}, Readers: []string{"prepare", "gateway", "sinks"}}}
	Splits = Lanes[*schemas.DocumentSubmitted]{Spec: Spec{Name: "splits", Kinds: []string{"DocumentSubmitted"},
		Key: "job id", Writers: []string{"prepare", "fetch", "track", "the harness"}, Readers: []string{"prepare", "sinks"}}}
	Fetches = Lanes[*schemas.DocumentSubmitted]{Spec: Spec{Name: "fetches", Kinds: []string{"DocumentSubmitted"},
		Key: "job id", Writers: []string{"prepare", "the harness"}, Readers: []string{"fetch", "sinks"}}}
	Pages = Lanes[*schemas.PagePrepared]{Classed: true, Spec: Spec{Name: "pages", Kinds: []string{"PagePrepared"},
		Key: "job id/page", Writers: []string{"prepare", "the harness"}, Readers: []string{"layout", "sinks"}}}
	Layouts = Lanes[*schemas.PageLaidOut]{Classed: true, Spec: Spec{Name: "layouts", Kinds: []string{"PageLaidOut"},
		Key: "job id/page", Writers: []string{"layout", "the harness"}, Readers: []string{"ocr", "sinks"}}}
	Compositions = Lanes[*schemas.DocumentFinished]{Spec: Spec{Name: "compositions", Kinds: []string{"DocumentFinished"},
		Key: "job id", Writers: []string{"track", "the harness"}, Readers: []string{"compose", "sinks"}}}

	Facts = Topic[schemas.Event]{Spec{Name: "facts", Shape: State, Kinds: []string{"FetchScheduled", "DocumentOpened", "DocumentSplit", "DocumentRefused",
		"PageFinished", "PageFailed", "RetryScheduled", "DeadLettered", "DocumentComposed", "CancelRequested", "RunRequested", "DeletionRequested", "DeadlineSet", "DocumentDeferred", "JobArchived", "Tick"},
		Key: "job id", Writers: []string{"every stage", "the harness", "track", "sinks", "gateway", "command line"}, Readers: []string{"track", "sinks"}}}
	Jobs = Topic[*schemas.JobSnapshot]{Spec{Name: "jobs", Shape: State, Compact: true, Kinds: []string{"JobSnapshot"},
		Key: "tenant/job id", Writers: []string{"track"}, Readers: []string{"gateway", "track", "sinks", "operators"}}}
	JobEvents = Topic[*schemas.JobChanged]{Spec{Name: "job-events", Shape: State, Kinds: []string{"JobChanged"},
		Key: "job id", Writers: []string{"track"}, Readers: []string{"gateway", "sinks", "customers"}}}
	Usage = Topic[*schemas.UsageRecorded]{Spec{Name: "usage", Kinds: []string{"UsageRecorded"},
		Key: "tenant", Writers: []string{"track"}, Readers: []string{"sinks", "tally"}}}
	Settings = Topic[schemas.Event]{Spec{Name: "settings", Shape: Small, Compact: true, Kinds: []string{"APIKeyChanged", "ReplayChanged", "ProducerKeyChanged",
		"TenantChanged", "EndpointChanged", "BatchChanged"}, Key: "tenant/kind/id", Writers: []string{"gateway", "command line", "deliver"}, Readers: []string{"gateway", "prepare", "deliver"}}}
	Cancellations = Topic[*schemas.RunStopped]{Spec{Name: "cancellations", Shape: Small, Compact: true, Retention: stopsKept, Kinds: []string{"RunStopped"},
		Key: "tenant/job id", Writers: []string{"track"}, Readers: []string{"prepare", "fetch", "layout", "ocr", "compose"}}}
	UsageDays = Topic[*schemas.UsageSummed]{Spec{Name: "usage-days", Compact: true, Kinds: []string{"UsageSummed"},
		Key: "tenant/day", Writers: []string{"tally"}, Readers: []string{"gateway", "tally"}}}
	Webhooks = Topic[*schemas.WebhookDue]{Spec{Name: "webhooks", Compact: true, Retention: webhooksKept, Kinds: []string{"WebhookDue"},
		Key: "tenant/message", Writers: []string{"track", "deliver", "gateway"}, Readers: []string{"deliver", "gateway"}}}
	Audit = Topic[*schemas.AuditRecorded]{Spec{Name: "audit", Shape: Small, Retention: auditKept, Kinds: []string{"AuditRecorded"},
		Key: "tenant", Writers: []string{"gateway", "command line"}, Readers: []string{"gateway", "operators"}}}
)

// How long webhooks stay known after they ended, runs that were stopped, and who administered what.
const (
	webhooksKept = 7 * 24 * time.Hour
	stopsKept    = 7 * 24 * time.Hour // what is left of a run does not outlast the lanes
	auditKept    = 400 * 24 * time.Hour
)

// The stages, the folds and the sinks.
var (
	Prepare = Stage[*schemas.DocumentSubmitted]{
		Name: "prepare", Reads: []Source{Documents, Splits}, AllClass: true,
		Emits: []string{"DocumentOpened", "DocumentSplit", "PagePrepared", "PageFinished", "PageFailed", "DocumentSubmitted", "FetchScheduled"},
		Close: func(e *schemas.DocumentSubmitted, f Failure) schemas.Event {
			if e.FromPage > 1 {
				return nil // the DeadLettered fact fails every page from there on
			}
			return &schemas.DocumentRefused{Head: head(e, "prepare", 0, "DocumentRefused"), Submission: f.Submission, Stage: "prepare",
				Code: string(f.Code), Message: f.Message}
		},
	}
	// Fetch gets what lies at an address, apart from prepare: strangers may be slow.
	Fetch = Stage[*schemas.DocumentSubmitted]{
		Name: "fetch", Reads: []Source{Fetches}, AllClass: true, Emits: []string{"DocumentSubmitted"},
		Close: func(e *schemas.DocumentSubmitted, f Failure) schemas.Event {
			return &schemas.DocumentRefused{Head: head(e, "fetch", 0, "DocumentRefused"), Submission: f.Submission, Stage: "fetch",
				Code: string(f.Code), Message: f.Message}
		},
	}
	Layout = Stage[*schemas.PagePrepared]{
		Name: "layout", Reads: []Source{Pages}, Emits: []string{"PageLaidOut"},
		Close: func(e *schemas.PagePrepared, f Failure) schemas.Event {
			return pageFailed(e, "layout", e.Page, f, e.Costs)
		},
	}
	OCR = Stage[*schemas.PageLaidOut]{
		Name: "ocr", Reads: []Source{Layouts}, Emits: []string{"PageFinished"},
		Close: func(e *schemas.PageLaidOut, f Failure) schemas.Event { return pageFailed(e, "ocr", e.Page, f, e.Costs) },
	}
	Compose = Stage[*schemas.DocumentFinished]{
		Name: "compose", Reads: []Source{Compositions}, AllClass: true, Emits: []string{"DocumentComposed"},
	}
	Track = Fold[schemas.Event, *schemas.JobSnapshot]{
		Name: "track", Reads: Facts, State: Jobs,
		Emits: []string{"JobSnapshot", "JobChanged", "DocumentFinished", "UsageRecorded", "DocumentSubmitted", "WebhookDue", "RunStopped"},
	}
	Tally      = Fold[*schemas.UsageRecorded, *schemas.UsageSummed]{Name: "tally", Reads: Usage, State: UsageDays, Emits: []string{"UsageSummed"}, Adds: true}
	Deliver    = Sink{Name: "deliver", Reads: []Spec{Webhooks.Spec}} // what became of each message it writes back
	Ended      = Sink{Name: "jobs", Reads: []Spec{Jobs.Spec}}        // that it has written one it says in facts
	ClickHouse = Sink{Name: "clickhouse", Reads: []Spec{Facts.Spec, JobEvents.Spec, Usage.Spec}}
	S3         = Sink{Name: "s3", Reads: slices.Concat(Documents.Specs(), Splits.Specs(), Fetches.Specs(), Pages.Specs(), Layouts.Specs(), Compositions.Specs(),
		[]Spec{Facts.Spec, JobEvents.Spec, Usage.Spec})}
)

// DeadLetters returns the topic in which a stage sets records aside.
func DeadLetters(stage string) string { return "dlq." + stage }

// S3Connector is how the connector of S3 notifications is called.
const S3Connector = "connector-s3"

// Readers lists who can dead-letter.
var Readers = []string{"prepare", "fetch", "layout", "ocr", "track", "compose", "tally", "deliver", "clickhouse", "s3", "jobs", S3Connector, Delays}

// head is the envelope of a fact that closes e.
func head(e schemas.Event, stage string, page int, kind string) schemas.Head {
	h := *e.Envelope()
	h.EventID = schemas.EventIDFor(h.JobID, h.Run, stage, page, kind, 0)
	h.At = time.Now().UTC()
	return h
}

func pageFailed(e schemas.Event, stage string, page int, f Failure, costs []schemas.StageCost) schemas.Event {
	return &schemas.PageFailed{Head: head(e, stage, page, "PageFailed"), Page: page, Stage: stage, Code: string(f.Code), Message: f.Message, Costs: costs}
}

// Specs lists every topic of the plan, lanes spelled out.
func (c Config) Specs() []Spec {
	var out []Spec
	lanes := func(s Spec, ls []Lane) {
		for _, l := range ls {
			s.Name, s.Retention = l.Topic, c.Retention
			out = append(out, s)
		}
	}
	lanes(Documents.Spec, Documents.All())
	lanes(Splits.Spec, Splits.All())
	lanes(Fetches.Spec, Fetches.All())
	lanes(Pages.Spec, Pages.All())
	lanes(Layouts.Spec, Layouts.All())
	lanes(Compositions.Spec, Compositions.All())
	for _, s := range []Spec{Facts.Spec, Jobs.Spec, JobEvents.Spec, Cancellations.Spec, Usage.Spec, UsageDays.Spec, Webhooks.Spec, Settings.Spec, Audit.Spec} {
		if !s.Compact && s.Retention == 0 {
			s.Retention = c.Retention
		}
		out = append(out, s)
	}
	out = append(out, c.DelaySpecs()...)
	for _, r := range Readers {
		out = append(out, Spec{Name: DeadLetters(r), Shape: Work, Retention: c.DeadLetters, Key: "as the original", Writers: []string{"the harness", "gateway", "operators"}, Readers: []string{"operators", "gateway"}})
	}
	return out
}

// Route returns the topic, without prefix, and the key of an event. The error names an event the plan has no place for.
func Route(e schemas.Event) (topic, key string, err error) {
	h := e.Envelope()
	switch e := e.(type) {
	case *schemas.DocumentSubmitted:
		if err := laneExists(e.Class, e.Priority); err != nil {
			return "", "", err
		}
		if e.FromPage == 0 {
			return Fetches.Name("", e.Priority), h.JobID, nil
		}
		if h.Run > 0 || e.FromPage > 1 || e.Source.URL != "" && e.Source.Key != "" {
			return Splits.Name("", e.Priority), h.JobID, nil
		}
		return Documents.Name(e.Class, e.Priority), h.JobID, nil
	case *schemas.PagePrepared:
		return Pages.Name(e.Class, e.Priority), h.JobID + "/" + strconv.Itoa(e.Page), laneExists(e.Class, e.Priority)
	case *schemas.PageLaidOut:
		return Layouts.Name(e.Class, e.Priority), h.JobID + "/" + strconv.Itoa(e.Page), laneExists(e.Class, e.Priority)
	case *schemas.DocumentFinished:
		return Compositions.Name("", e.Priority), h.JobID, laneExists(e.Class, e.Priority)
	case *schemas.JobSnapshot:
		return Jobs.Spec.Name, JobKey(h.Tenant, h.JobID), nil
	case *schemas.RunStopped:
		return Cancellations.Spec.Name, JobKey(h.Tenant, h.JobID), nil
	case *schemas.JobChanged:
		return JobEvents.Spec.Name, h.JobID, nil
	case *schemas.UsageRecorded:
		return Usage.Spec.Name, h.Tenant, nil
	case *schemas.APIKeyChanged:
		return Settings.Spec.Name, h.Tenant + "/key/" + e.KeyID, nil
	case *schemas.ProducerKeyChanged:
		return Settings.Spec.Name, h.Tenant + "/producer/" + e.KeyID, nil
	case *schemas.ReplayChanged:
		return Settings.Spec.Name, h.Tenant + "/replay/" + e.ReplayID, nil
	case *schemas.BatchChanged:
		return Settings.Spec.Name, h.Tenant + "/batch/" + e.BatchID, nil
	case *schemas.TenantChanged:
		return Settings.Spec.Name, h.Tenant + "/tenant/" + h.Tenant, nil
	case *schemas.EndpointChanged:
		return Settings.Spec.Name, h.Tenant + "/endpoint/" + e.EndpointID, nil
	case *schemas.UsageSummed:
		return UsageDays.Spec.Name, h.Tenant + "/" + e.Day, nil
	case *schemas.WebhookDue:
		return Webhooks.Spec.Name, webhookKey(e), nil
	case *schemas.AuditRecorded:
		return Audit.Spec.Name, h.Tenant, nil
	case *schemas.FetchScheduled, *schemas.DocumentOpened, *schemas.DocumentSplit, *schemas.DocumentRefused, *schemas.PageFinished, *schemas.PageFailed,
		*schemas.RetryScheduled, *schemas.DeadLettered, *schemas.DocumentComposed, *schemas.CancelRequested, *schemas.RunRequested, *schemas.DeletionRequested,
		*schemas.DeadlineSet, *schemas.DocumentDeferred, *schemas.JobArchived, *schemas.Tick:
		return Facts.Spec.Name, h.JobID, nil
	}
	return "", "", fmt.Errorf("the plan has no topic for %s", e.Kind())
}

// webhookKey keeps one record of each message, and one of each job whose endpoints are to be looked up.
func webhookKey(e *schemas.WebhookDue) string {
	if e.DeliveryID == "" {
		return e.Tenant + "/" + e.JobID + "/" + strconv.Itoa(e.Run)
	}
	return e.Tenant + "/" + e.DeliveryID
}

// JobKey is the key of a job's state: tenant first, so that one tenant's record can never name another's job (P8).
func JobKey(tenant, job string) string { return tenant + "/" + job }

func laneExists(class, priority string) error {
	for _, c := range Classes {
		for _, p := range Priorities {
			if c == class && p == priority {
				return nil
			}
		}
	}
	return fmt.Errorf("there is no lane for class %q and priority %q", class, priority)
}
