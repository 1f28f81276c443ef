package s3_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/stream"
	"docstream/schemas"
)

// one is what a single message must come to.
type one struct {
	body     string
	sources  []schemas.Source // of its jobs
	filtered map[string]int
	dead     string // in the reason of the dead letter; empty: none
}

func source(key, version string, n int) schemas.Source {
	return schemas.Source{Bucket: "scans", Key: key, Version: version, ETag: fmt.Sprintf("%032x", n), Size: 100}
}

func cases() map[string]one {
	e := created("in/a.pdf", 1)
	with := func(change func(*event)) event { c := e; change(&c); return c }
	plain, versioned := source("in/a.pdf", "", 1), source("in/a.pdf", "v1", 1)
	pdf := func(s schemas.Source) []schemas.Source {
		s.MediaType, s.Filename = "application/pdf", "a.pdf"
		return []schemas.Source{s}
	}
	raw := func(old, new string) string { return message(strings.Replace(e.record(), old, new, 1)) }
	v := with(func(e *event) { e.version = "v1" })
	odd := with(func(e *event) { e.key = "in/Über + 100%/ä b+c=d&e.pdf" })
	oddSource := source(odd.key, "", 1)
	oddSource.MediaType, oddSource.Filename = "application/pdf", "ä b+c=d&e.pdf"
	return map[string]one{
		"S3's own":                     {body: message(e.record()), sources: pdf(plain)},
		"a version":                    {body: message(v.record()), sources: pdf(versioned)},
		"the version of no versioning": {body: message(with(func(e *event) { e.version = "null" }).record()), sources: pdf(plain)},
		"a multipart upload":           {body: message(with(func(e *event) { e.name = "ObjectCreated:CompleteMultipartUpload" }).record()), sources: pdf(plain)},
		"a name with its prefix":       {body: message(with(func(e *event) { e.name = "s3:ObjectCreated:Put" }).record()), sources: pdf(plain)},
		"of MinIO":                     {body: `{"EventName":"s3:ObjectCreated:Put","Key":"scans/in/a.pdf",` + raw("aws:s3", "minio:s3")[1:], sources: pdf(plain)},
		"a quoted entity tag":          {body: raw(e.etag, `\"`+e.etag+`\"`), sources: pdf(plain)},
		"an encoded key":               {body: message(odd.record()), sources: []schemas.Source{oddSource}},
		"a raw key of Ceph": {body: message(strings.NewReplacer("aws:s3", "ceph:s3", "in%2Fa.pdf", "in/a+b%.pdf").Replace(e.record())), sources: []schemas.Source{{
			Bucket: "scans", Key: "in/a+b%.pdf", ETag: e.etag, Size: 100, MediaType: "application/pdf", Filename: "a+b%.pdf"}}},
		"of EventBridge":         {body: v.bridge("Object Created"), sources: pdf(versioned)},
		"a key of EventBridge":   {body: odd.bridge("Object Created"), sources: []schemas.Source{oddSource}},
		"of SNS":                 {body: sns(message(e.record())), sources: pdf(plain)},
		"of EventBridge by SNS":  {body: sns(v.bridge("Object Created")), sources: pdf(versioned)},
		"white space around it":  {body: "\n " + message(e.record()) + "\r\n", sources: pdf(plain)},
		"several records":        {body: message(e.record(), with(func(e *event) { e.name = "ObjectRemoved:Delete" }).record(), v.record()), sources: append(pdf(plain), pdf(versioned)...), filtered: map[string]int{"deleted": 1}},
		"the same record twice":  {body: message(e.record(), e.record()), sources: pdf(plain), filtered: map[string]int{"duplicate": 1}},
		"a broken one of three":  {body: message(e.record(), `{"eventSource":"aws:s3","s3":7}`, v.record()), sources: append(pdf(plain), pdf(versioned)...), dead: "record 2 of 3"},
		"an S3 test":             {body: `{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-11-25T10:00:00.000Z","Bucket":"scans","RequestId":"1","HostId":"2"}`, filtered: map[string]int{"test": 1}},
		"an S3 test by SNS":      {body: sns(`{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"scans"}`), filtered: map[string]int{"test": 1}},
		"an SNS subscription":    {body: `{"Type":"SubscriptionConfirmation","Message":"You have chosen to subscribe","SubscribeURL":"x"}`, filtered: map[string]int{"subscription": 1}},
		"a deletion":             {body: message(with(func(e *event) { e.name = "ObjectRemoved:DeleteMarkerCreated"; e.etag = "" }).record()), filtered: map[string]int{"deleted": 1}},
		"an expiry":              {body: message(with(func(e *event) { e.name = "LifecycleExpiration:Delete" }).record()), filtered: map[string]int{"deleted": 1}},
		"a bridged deletion":     {body: e.bridge("Object Deleted"), filtered: map[string]int{"deleted": 1}},
		"another event":          {body: message(with(func(e *event) { e.name = "ObjectTagging:Put" }).record()), filtered: map[string]int{"other_event": 1}},
		"another bridged event":  {body: e.bridge("Object Tags Added"), filtered: map[string]int{"other_event": 1}},
		"another service's":      {body: raw("aws:s3", "aws:dynamodb"), filtered: map[string]int{"foreign": 1}},
		"another bridged one":    {body: strings.Replace(e.bridge("EC2 Instance State-change Notification"), "aws.s3", "aws.ec2", 1), filtered: map[string]int{"foreign": 1}},
		"another bucket":         {body: message(with(func(e *event) { e.bucket = "photos" }).record()), filtered: map[string]int{"no_rule": 1}},
		"a folder":               {body: message(with(func(e *event) { e.key = "in/"; e.size = 0 }).record()), filtered: map[string]int{"folder": 1}},
		"no JSON":                {body: "hello", dead: "no JSON object"},
		"nothing":                {body: "", dead: "no JSON object"},
		"half a message":         {body: message(e.record())[:60], dead: "no JSON object"},
		"bytes":                  {body: "\x00\xff\xfe", dead: "no JSON object"},
		"a list":                 {body: `[1,2]`, dead: "no JSON object"},
		"null":                   {body: `null`, dead: "no notification"},
		"another object":         {body: `{"hello":"world"}`, dead: "no notification"},
		"no records":             {body: `{"Records":[]}`, dead: "no records"},
		"a record that is none":  {body: `{"Records":[7]}`, dead: "record 1 of 1"},
		"records that are none":  {body: `{"Records":"x"}`, dead: "no JSON object"},
		"no source":              {body: raw("aws:s3", ""), dead: "names no source"},
		"no bucket":              {body: raw(`"name":"scans"`, `"name":""`), dead: "names no bucket"},
		"no key":                 {body: raw("in%2Fa.pdf", ""), dead: "names no bucket or no key"},
		"a key that is too long": {body: raw("a.pdf", strings.Repeat("a", 1100)), dead: "none that S3 can hold"},
		"a key that is no UTF-8": {body: raw("a.pdf", "%ff"), dead: "none that S3 can hold"},
		"a key that is no code":  {body: raw("a.pdf", "100%"), dead: "not URL-encoded"},
		"no tag and no version":  {body: raw(e.etag, ""), dead: "neither a version nor an entity tag"},
		"a size of words":        {body: raw(`"size":100`, `"size":"large"`), dead: "record 1 of 1"},
		"a size below nothing":   {body: raw(`"size":100`, `"size":-1`), dead: "size is negative"},
		"a new format":           {body: raw(`"2.1"`, `"3.0"`), dead: "not known"},
		"SNS in SNS":             {body: sns(sns(message(e.record()))), dead: "no notification"},
		"SNS around nothing":     {body: sns("hello"), dead: "no JSON object"},
		"a bridged word":         {body: `{"detail-type":"Object Created","source":"aws.s3","detail":"x"}`, dead: "cannot unmarshal"},
		"a time that is none":    {body: e.bridge("Object Created")[:0] + strings.Replace(e.bridge("Object Created"), `"time":"`, `"time":"x`, 1), dead: "time of the event"},
		"a deep nest":            {body: strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000), dead: "no JSON object"},
	}
}

// TestAMessageEndsAsJobsFilteredOrDead holds P3 for every form of message.
func TestAMessageEndsAsJobsFilteredOrDead(t *testing.T) {
	w := newWorld(t)
	w.cfg.Recent = 0 // many cases speak of the same object
	connector, reg := w.connector()
	stop := w.run(connector.FromKafka)
	for name, c := range cases() {
		t.Run(name, func(t *testing.T) {
			w.t = t
			jobs, letters := len(w.submissions()), len(w.letters())
			before := w.outcomes(reg)
			w.notify(c.body)
			w.eventually("the message to be taken", func() bool { return w.outcomes(reg)["messages"] == before["messages"]+1 })
			if err := connector.Ready(); err != nil {
				t.Error(err)
			}
			got := map[string]int{}
			for k, n := range w.outcomes(reg) {
				if n > before[k] {
					got[k] = n - before[k]
				}
			}
			want := map[string]int{"messages": 1}
			for k, n := range c.filtered {
				want[k] = n
			}
			if len(c.sources) > 0 {
				want["submitted"] = len(c.sources)
			}
			if c.dead != "" {
				want["dead"] = 1
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("counted %v, want %v", got, want)
			}
			subs, dead := w.submissions(), w.letters()
			if len(subs)-jobs != len(c.sources) || len(dead)-letters != min(1, len(c.dead)) {
				t.Fatalf("%d jobs and %d dead letters", len(subs)-jobs, len(dead)-letters)
			}
			for _, want := range c.sources {
				expect(t, subs, want)
			}
			if c.dead != "" {
				isLetterOf(t, dead, c.body, c.dead)
			}
		})
	}
	w.t = t
	stop()
}

func expect(t *testing.T, subs []*schemas.DocumentSubmitted, want schemas.Source) {
	t.Helper()
	id := schemas.JobIDForObject("acme", want)
	for _, s := range subs {
		if s.JobID == id {
			if s.Source != want || s.Tenant != "acme" || s.EventID == "" || s.RequestID == "" || time.Since(s.SubmittedAt) > time.Hour {
				t.Errorf("got %+v, want %+v", s, want)
			}
			return
		}
	}
	t.Errorf("no job for %+v", want)
}

// isLetterOf finds the dead letter with the original bytes and headers and the reason.
func isLetterOf(t *testing.T, letters []*kgo.Record, body, reason string) {
	t.Helper()
	for _, l := range letters {
		if string(l.Value) == body {
			if h := stream.Header(l, schemas.HeaderDeadReason); !strings.Contains(h, reason) {
				t.Errorf("the reason is %q, want %q", h, reason)
			}
			if stream.Header(l, schemas.HeaderDeadCode) != string(schemas.RecordUndecodable) || stream.Header(l, schemas.HeaderDeadTopic) == "" ||
				stream.Header(l, schemas.HeaderDeadOffset) == "" || stream.Header(l, schemas.HeaderDeadStage) != "connector-s3" {
				t.Errorf("headers %v", l.Headers)
			}
			return
		}
	}
	t.Errorf("no dead letter holds %.80q", body)
}
