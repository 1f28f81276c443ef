package clickhouse

import (
	"reflect"
	"strings"
	"time"

	"docstream/schemas"
)

// The rows of each table, by column. A count below zero can only come from a foreign writer and is stored as zero.
type (
	jobRow struct {
		EventID       string     `ch:"event_id"`
		Tenant        string     `ch:"tenant"`
		JobID         string     `ch:"job_id"`
		Run           uint32     `ch:"run"`
		Version       uint64     `ch:"version"`
		Status        string     `ch:"status"`
		Stage         string     `ch:"stage"`
		PagesExpected uint32     `ch:"pages_expected"`
		PagesDone     uint32     `ch:"pages_done"`
		PagesFailed   uint32     `ch:"pages_failed"`
		MediaType     string     `ch:"media_type"`
		SizeBytes     uint64     `ch:"size_bytes"`
		Class         string     `ch:"class"`
		Priority      string     `ch:"priority"`
		ErrorCode     string     `ch:"error_code"`
		Pipeline      string     `ch:"pipeline"`
		Words         uint64     `ch:"words"`
		CPUMicros     uint64     `ch:"cpu_micros"`
		SubmittedAt   time.Time  `ch:"submitted_at"`
		OpenedAt      *time.Time `ch:"opened_at"`
		EndedAt       *time.Time `ch:"ended_at"`
		At            time.Time  `ch:"at"`
		ReplayID      string     `ch:"replay_id"`
	}
	pageRow struct {
		EventID      string    `ch:"event_id"`
		Tenant       string    `ch:"tenant"`
		JobID        string    `ch:"job_id"`
		Run          uint32    `ch:"run"`
		Page         uint32    `ch:"page"`
		Rank         uint8     `ch:"rank"`
		How          string    `ch:"how"`
		Lines        uint32    `ch:"lines"`
		Words        uint32    `ch:"words"`
		Confidence   float64   `ch:"confidence"`
		FailedStage  string    `ch:"failed_stage"`
		ErrorCode    string    `ch:"error_code"`
		ErrorMessage string    `ch:"error_message"`
		ResultKey    string    `ch:"result_key"`
		ResultOffset uint64    `ch:"result_offset"`
		ResultLength uint64    `ch:"result_length"`
		CPUMicros    uint64    `ch:"cpu_micros"`
		WallMicros   uint64    `ch:"wall_micros"`
		SubmittedAt  time.Time `ch:"submitted_at"`
		At           time.Time `ch:"at"`
	}
	usageRow struct {
		EventID     string    `ch:"event_id"`
		Tenant      string    `ch:"tenant"`
		APIKeyID    string    `ch:"api_key_id"`
		JobID       string    `ch:"job_id"`
		Run         uint32    `ch:"run"`
		Stage       string    `ch:"stage"`
		Page        uint32    `ch:"page"`
		Device      string    `ch:"device"`
		Units       uint32    `ch:"units"`
		CPUMicros   uint64    `ch:"cpu_micros"`
		WallMicros  uint64    `ch:"wall_micros"`
		SubmittedAt time.Time `ch:"submitted_at"`
		At          time.Time `ch:"at"`
	}
	deadRow struct {
		EventID         string    `ch:"event_id"`
		Tenant          string    `ch:"tenant"`
		JobID           string    `ch:"job_id"`
		Run             uint32    `ch:"run"`
		Page            uint32    `ch:"page"`
		FromPage        uint32    `ch:"from_page"`
		Stage           string    `ch:"stage"`
		Class           string    `ch:"class"`
		ErrorCode       string    `ch:"error_code"`
		ErrorMessage    string    `ch:"error_message"`
		Attempts        uint32    `ch:"attempts"`
		SourceTopic     string    `ch:"source_topic"`
		SourcePartition int32     `ch:"source_partition"`
		SourceOffset    int64     `ch:"source_offset"`
		SubmittedAt     time.Time `ch:"submitted_at"`
		At              time.Time `ch:"at"`
	}
)

// The ranks of a page's closing facts: finished beats failed, as in the fold.
const (
	rankFailed   = 1
	rankFinished = 2
)

// row returns the table an event belongs in and its row; an empty table says that the event is filtered on purpose (P3): what it tells
// arrives in another one as well.
func row(e schemas.Event) (table string, r any) {
	switch e := e.(type) {
	case *schemas.JobChanged:
		return "job_changes", &jobRow{
			EventID: e.EventID, Tenant: e.Tenant, JobID: e.JobID, Run: count(e.Run), Version: size(e.Version), Status: e.Status, Stage: e.Stage,
			PagesExpected: count(e.PagesExpected), PagesDone: count(e.PagesDone), PagesFailed: count(e.PagesFailed),
			MediaType: e.MediaType, SizeBytes: size(e.Size), Class: e.Class, Priority: e.Priority, ErrorCode: e.Code, Pipeline: e.Pipeline,
			Words: size(e.Words), CPUMicros: size(e.CPUMicros),
			SubmittedAt: instant(e.SubmittedAt), OpenedAt: maybe(e.OpenedAt), EndedAt: maybe(e.EndedAt), At: instant(e.At), ReplayID: e.ReplayID,
		}
	case *schemas.PageFinished:
		cpu, wall := spent(e.Costs)
		return "page_results", &pageRow{
			EventID: e.EventID, Tenant: e.Tenant, JobID: e.JobID, Run: count(e.Run), Page: count(e.Page), Rank: rankFinished,
			How: e.How, Lines: count(e.Lines), Words: count(e.Words), Confidence: e.Confidence,
			ResultKey: e.Result.Key, ResultOffset: size(e.Result.Offset), ResultLength: size(e.Result.Length),
			CPUMicros: cpu, WallMicros: wall, SubmittedAt: instant(e.SubmittedAt), At: instant(e.At),
		}
	case *schemas.PageFailed:
		cpu, wall := spent(e.Costs)
		return "page_results", &pageRow{
			EventID: e.EventID, Tenant: e.Tenant, JobID: e.JobID, Run: count(e.Run), Page: count(e.Page), Rank: rankFailed,
			FailedStage: e.Stage, ErrorCode: e.Code, ErrorMessage: e.Message,
			CPUMicros: cpu, WallMicros: wall, SubmittedAt: instant(e.SubmittedAt), At: instant(e.At),
		}
	case *schemas.UsageRecorded:
		return "usage_records", &usageRow{
			EventID: e.EventID, Tenant: e.Tenant, APIKeyID: e.APIKeyID, JobID: e.JobID, Run: count(e.Run), Stage: e.Stage,
			Page: count(e.Page), Device: e.Device, Units: count(e.Units), CPUMicros: size(e.CPUMicros), WallMicros: size(e.WallMicros),
			SubmittedAt: instant(e.SubmittedAt), At: instant(e.At),
		}
	case *schemas.DeadLettered:
		return "dead_letter_facts", &deadRow{
			EventID: e.EventID, Tenant: e.Tenant, JobID: e.JobID, Run: count(e.Run), Page: count(e.Page), FromPage: count(e.FromPage),
			Stage: e.Stage, Class: e.Class, ErrorCode: e.Code, ErrorMessage: e.Message, Attempts: count(e.Attempts),
			SourceTopic: e.Topic, SourcePartition: int32(e.Partition), SourceOffset: e.Offset,
			SubmittedAt: instant(e.SubmittedAt), At: instant(e.At),
		}
	}
	return "", nil
}

// tables in the order they are written, each with the columns that this build knows: one that a newer build added takes its default.
var tables = []struct {
	name, columns string
}{
	{"page_results", columnsOf(pageRow{})},
	{"usage_records", columnsOf(usageRow{})},
	{"dead_letter_facts", columnsOf(deadRow{})},
	{"job_changes", columnsOf(jobRow{})},
}

func columnsOf(row any) string {
	t := reflect.TypeOf(row)
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = t.Field(i).Tag.Get("ch")
	}
	return strings.Join(names, ", ")
}

func spent(costs []schemas.StageCost) (cpu, wall uint64) {
	for _, c := range costs {
		cpu, wall = cpu+size(c.CPUMicros), wall+size(c.WallMicros)
	}
	return cpu, wall
}

func count(n int) uint32  { return uint32(max(n, 0)) }
func size(n int64) uint64 { return uint64(max(n, 0)) }

// The ends of the calendar that both ClickHouse (from 1900) and its driver (64 bits of nanoseconds) have; beyond them times wrap around.
var (
	calendarBegin = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	calendarEnd   = time.Date(2261, 12, 31, 23, 59, 59, 0, time.UTC)
)

// instant stores "never" as the epoch, and a time beyond the calendar as its end.
func instant(t time.Time) time.Time {
	switch {
	case t.IsZero():
		return time.UnixMicro(0).UTC()
	case t.Before(calendarBegin):
		return calendarBegin
	case t.After(calendarEnd):
		return calendarEnd
	}
	return t
}

func maybe(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = instant(t)
	return &t
}
