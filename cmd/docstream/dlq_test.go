package main

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/blob"
	"docstream/internal/stream"
	"docstream/internal/testenv"
	"docstream/internal/topology"
	"docstream/producers"
	"docstream/producers/deadletters"
	"docstream/schemas"
)

// letterbox is a broker on which readers have set records aside.
type letterbox struct {
	t     *testing.T
	env   []string
	cfg   Config
	ended string // a job that ended partial: pages 1, 2 and 5 have a result
	runs  string // a job that runs
}

func newLetterbox(t *testing.T) *letterbox {
	t.Helper()
	b := &letterbox{t: t, env: broker(t), ended: schemas.JobIDFor("dlq", "ended"), runs: schemas.JobIDFor("dlq", "runs")}
	if code, out, errs := run(t, b.env, "topics", "apply"); code != exitDone {
		t.Fatal(out, errs)
	}
	var err error
	if b.cfg, err = load(layers{env: b.env}); err != nil {
		t.Fatal(err)
	}
	b.write(func(client *kgo.Client, codec *schemas.Codec, out *producers.Producer) error {
		at := time.Now().UTC()
		for id, status := range map[string]schemas.Status{b.ended: schemas.Partial, b.runs: schemas.Processing} {
			s := &schemas.JobSnapshot{Head: schemas.Head{EventID: "evt_" + id, Tenant: "acme", JobID: id, At: at, SubmittedAt: at}, Version: 7, Status: status, Pipeline: "pv_1",
				Class: "gpu", Priority: "high", Source: schemas.Source{Key: "sources/acme/x", Size: 3}}
			for _, page := range []int{1, 2, 5} {
				s.Finished = schemas.Bitmap(s.Finished).Set(page)
			}
			if err := out.Publish(t.Context(), s, "req_test"); err != nil {
				return err
			}
		}
		return nil
	})
	b.bury("ocr", "unknown", "ENGINE_CRASHED", &schemas.PageLaidOut{Head: schemas.Head{EventID: "evt_1", Tenant: "acme", JobID: b.ended}, Page: 3, Class: "gpu", Priority: "high"})
	b.bury("ocr", "unknown", "ENGINE_TIMEOUT", &schemas.PageLaidOut{Head: schemas.Head{EventID: "evt_2", Tenant: "acme", JobID: b.ended}, Page: 4, Class: "gpu", Priority: "high"})
	b.bury("layout", "unknown", "ENGINE_CRASHED", &schemas.PagePrepared{Head: schemas.Head{EventID: "evt_3", Tenant: "acme", JobID: b.runs}, Page: 1, Class: "gpu", Priority: "high"})
	b.bury("prepare", "permanent", "RECORD_UNDECODABLE", nil)
	return b
}

func (b *letterbox) write(do func(*kgo.Client, *schemas.Codec, *producers.Producer) error) {
	b.t.Helper()
	if err := writing(b.t.Context(), b.cfg, do); err != nil {
		b.t.Fatal(err)
	}
}

// bury sets a record aside as the harness does; nil is one that nobody can read.
func (b *letterbox) bury(stage, class, code string, e schemas.Event) {
	b.t.Helper()
	b.write(func(client *kgo.Client, codec *schemas.Codec, _ *producers.Producer) error {
		r := &kgo.Record{Key: []byte("k"), Value: []byte("no event"), Headers: []kgo.RecordHeader{{Key: schemas.HeaderSignature, Value: []byte("house secret-sum")}}}
		if e != nil {
			made, err := stream.NewWriter(b.cfg.Topics, codec, "test", schemas.SigningKey{}).Record(b.t.Context(), e, "req_letter")
			if err != nil {
				return err
			}
			r.Key, r.Value, r.Headers = made.Key, made.Value, append(r.Headers, made.Headers...)
		}
		r.Topic = b.cfg.Topics.Name(topology.DeadLetters(stage))
		for k, v := range map[string]string{schemas.HeaderDeadStage: stage, schemas.HeaderDeadClass: class, schemas.HeaderDeadCode: code, schemas.HeaderDeadReason: "why it broke",
			schemas.HeaderDeadTopic: "docstream.lane", schemas.HeaderDeadPartition: "2", schemas.HeaderDeadOffset: "41", schemas.HeaderAttempt: "4"} {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
		}
		return client.ProduceSync(b.t.Context(), r).FirstErr()
	})
}

// list returns the letters that dlq list shows.
func (b *letterbox) list(args ...string) (letters []deadletters.Letter) {
	b.t.Helper()
	code, out, errs := run(b.t, b.env, append([]string{"dlq", "list", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &letters); code != exitDone || err != nil {
		b.t.Fatalf("dlq list %v: exit %d, %v, %s%s", args, code, err, out, errs)
	}
	return letters
}

// id names the one letter with a code of a job.
func (b *letterbox) id(job, code string) string {
	b.t.Helper()
	letters := slices.DeleteFunc(b.list("--all"), func(l deadletters.Letter) bool { return l.JobID != job || l.Code != code })
	if len(letters) != 1 {
		b.t.Fatalf("%s of %s: %+v", code, job, letters)
	}
	return letters[0].ID
}

// asked returns the runs that the facts ask for.
func (b *letterbox) asked() (out []*schemas.RunRequested) {
	b.t.Helper()
	codec, err := b.cfg.Kafka.Codec()
	if err != nil {
		b.t.Fatal(err)
	}
	err = stream.Scan{Conn: b.cfg.Kafka, Plan: b.cfg.Topics, Codec: codec, Yield: func(r schemas.Record) error {
		if f, ok := r.Event.(*schemas.RunRequested); ok {
			out = append(out, f)
		}
		return nil
	}}.Read(b.t.Context(), topology.Facts.Spec.Name)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func TestDeadLettersAreListedByWhatIsKnownOfThem(t *testing.T) {
	b := newLetterbox(t)
	for args, want := range map[string]int{
		"": 4, "--stage ocr": 2, "--stage tally": 0, "--class permanent": 1, "--class unknown": 3, "--code ENGINE_CRASHED": 2, "--tenant acme": 3, "--tenant rival": 0,
		"--job " + b.runs: 1, "--job " + b.ended + " --code ENGINE_TIMEOUT": 1, "--since 1h": 4, "--since 2199-01-01": 0, "--limit 1": 1,
	} {
		if got := b.list(strings.Fields(args)...); len(got) != want {
			t.Errorf("dlq list %s shows %d letters, want %d: %+v", args, len(got), want, got)
		}
	}
	code, out, _ := run(t, b.env, "dlq", "list", "--job", b.runs)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != exitDone || len(lines) != 2 || !strings.HasPrefix(lines[0], "ID ") {
		t.Fatalf("exit %d\n%s", code, out)
	}
	if f := strings.Fields(lines[1]); len(f) != 10 || f[0] != b.id(b.runs, "ENGINE_CRASHED") || !slices.Equal(f[3:], []string{"open", "unknown", "ENGINE_CRASHED", "4", "acme", b.runs, "1"}) {
		t.Errorf("the line says %q", f)
	}
	for args, want := range map[string]string{"--stage nobody": "--stage must be one of", "--limit 0": "--limit must be at least 1", "--since yesterday": "a time reads like"} {
		if code, out, errs := run(t, b.env, append([]string{"dlq", "list"}, strings.Fields(args)...)...); code != exitUsage || out != "" || !strings.Contains(errs, want) {
			t.Errorf("dlq list %s: exit %d, %s %s", args, code, out, errs)
		}
	}
}

func TestADeadLetterIsShownWhole(t *testing.T) {
	b := newLetterbox(t)
	var l struct {
		ID, Stage, Code, Reason, State, Kind, Key string
		Attempts, Page                            int
		Topic                                     string `json:"source_topic"`
		Partition                                 int    `json:"source_partition"`
		Offset                                    int64  `json:"source_offset"`
		Value                                     string `json:"value_base64"`
		Headers                                   []struct{ Key, Value string }
	}
	code, out, errs := run(t, b.env, "dlq", "show", b.id(b.ended, "ENGINE_TIMEOUT"))
	if err := json.Unmarshal([]byte(out), &l); code != exitDone || err != nil {
		t.Fatalf("exit %d, %v, %s%s", code, err, out, errs)
	}
	if l.Stage != "ocr" || l.Reason != "why it broke" || l.State != "open" || l.Kind != "PageLaidOut" || l.Attempts != 4 || l.Page != 4 || l.Topic != "docstream.lane" || l.Partition != 2 || l.Offset != 41 ||
		l.Key != b.ended+"/4" {
		t.Errorf("%+v", l)
	}
	value, err := base64.StdEncoding.DecodeString(l.Value)
	if err != nil || len(value) < 20 || value[0] != 0 {
		t.Errorf("the original bytes are %x, %v", value, err)
	}
	var names []string
	for _, h := range l.Headers {
		names = append(names, h.Key)
	}
	if !slices.Contains(names, schemas.HeaderID) || slices.Contains(names, schemas.HeaderSignature) || strings.Contains(out, "secret-sum") {
		t.Errorf("the headers shown are %v", names)
	}
	unreadable := b.id("", "RECORD_UNDECODABLE")
	if code, out, _ := run(t, b.env, "dlq", "show", unreadable); code != exitDone || !strings.Contains(out, base64.StdEncoding.EncodeToString([]byte("no event"))) {
		t.Errorf("exit %d, %s", code, out)
	}
	for _, id := range []string{"ocr-0-" + strconv.Itoa(1<<40), "ocr", "nobody-0-0"} {
		if code, out, errs := run(t, b.env, "dlq", "show", id); code != exitNotFound || out != "" || !strings.Contains(errs, "there is no dead letter "+id) {
			t.Errorf("%s: exit %d, %s%s", id, code, out, errs)
		}
	}
}

func TestRedrivingOpensOneRunThatKeepsTheFinishedPages(t *testing.T) {
	b := newLetterbox(t)
	if code, _, errs := run(t, b.env, "dlq", "redrive"); code != exitUsage || !strings.Contains(errs, "name dead letters by their ids, or select them") {
		t.Errorf("without a selection: exit %d, %s", code, errs)
	}
	code, out, errs := run(t, b.env, "dlq", "redrive", "--tenant", "acme")
	if code != exitPartial || out != "2 dead letters redriven: 1 jobs run again\n" || !strings.Contains(errs, "The job is processing") || !strings.Contains(errs, "1 dead letters cannot be redriven") {
		t.Fatalf("exit %d, %s%s", code, out, errs)
	}
	asked := b.asked()
	if len(asked) != 1 || asked[0].JobID != b.ended || asked[0].AfterRun != 0 {
		t.Fatalf("asked for %+v", asked)
	}
	b.write(func(_ *kgo.Client, codec *schemas.Codec, _ *producers.Producer) error {
		e, err := codec.Decode(t.Context(), asked[0].Submission)
		if sub, ok := e.(*schemas.DocumentSubmitted); !ok || sub.Kept != "1-2,5" || sub.KeptPipeline != "pv_1" || sub.BaseRun != 0 || sub.Source.Key != "sources/acme/x" || sub.Priority != "high" {
			t.Errorf("of %+v", e)
		}
		return err
	})
	if open := b.list(); len(open) != 2 {
		t.Errorf("still open: %+v", open)
	}
	again := b.id(b.ended, "ENGINE_CRASHED")
	if code, out, errs := run(t, b.env, "dlq", "redrive", again); code != exitPartial || !strings.Contains(errs, "was redriven already") || !strings.HasPrefix(out, "0 dead letters") {
		t.Errorf("a second time: exit %d, %s%s", code, out, errs)
	}
	if n := len(b.asked()); n != 1 {
		t.Errorf("%d runs were asked for", n)
	}
}

func TestDiscardingClosesLettersForGood(t *testing.T) {
	b := newLetterbox(t)
	none := b.id("", "RECORD_UNDECODABLE")
	if code, out, errs := run(t, b.env, "dlq", "discard", none, "ocr-0-99999"); code != exitNotFound || out != "" || !strings.Contains(errs, "there is no dead letter ocr-0-99999") {
		t.Errorf("one that is not there: exit %d, %s%s", code, out, errs)
	}
	if code, out, errs := run(t, b.env, "dlq", "discard", none); code != exitDone || out != "1 dead letters discarded\n" {
		t.Errorf("exit %d, %s%s", code, out, errs)
	}
	if code, out, errs := run(t, b.env, "dlq", "discard", "--code", "ENGINE_CRASHED"); code != exitDone || out != "2 dead letters discarded\n" {
		t.Errorf("exit %d, %s%s", code, out, errs)
	}
	if open := b.list(); len(open) != 1 || open[0].Code != "ENGINE_TIMEOUT" {
		t.Errorf("still open: %+v", open)
	}
	if code, out, errs := run(t, b.env, "dlq", "redrive", none); code != exitPartial || !strings.Contains(errs, "was discarded already") {
		t.Errorf("redriving a discarded one: exit %d, %s%s", code, out, errs)
	}
	if all := b.list("--all"); len(all) != 4 || len(b.asked()) != 0 {
		t.Errorf("there are %+v", all)
	}
}

func TestLettersOfABrokerThatIsAway(t *testing.T) {
	env := []string{"DOCSTREAM_KAFKA_BROKERS=127.0.0.1:1", "DOCSTREAM_KAFKA_REGISTRY=http://127.0.0.1:1"}
	for _, verb := range [][]string{{"list"}, {"show", "ocr-0-0"}, {"redrive", "ocr-0-0"}, {"discard", "ocr-0-0"}} {
		if code, out, errs := run(t, env, append([]string{"dlq"}, verb...)...); code != exitUnreachable || out != "" || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: exit %d, %s%s", verb, code, out, errs)
		}
	}
}

// TestALetterOfAJobThatWasLetGoIsRedriven: what the log has forgotten of the job its job.json says.
func TestALetterOfAJobThatWasLetGoIsRedriven(t *testing.T) {
	b := newLetterbox(t)
	store := testenv.S3(t)
	b.env = append(b.env, "DOCSTREAM_OBJECTS_ENDPOINT="+store.Endpoint, "DOCSTREAM_OBJECTS_BUCKET="+store.Bucket, "DOCSTREAM_OBJECTS_ACCESS_KEY="+store.AccessKey,
		"DOCSTREAM_OBJECTS_SECRET_KEY="+store.SecretKey, "DOCSTREAM_OBJECTS_PATH_STYLE=true")
	objects, err := blob.Open(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	forgotten, lost := schemas.JobIDFor("dlq", "forgotten"), schemas.JobIDFor("dlq", "lost")
	at := time.Now().UTC().Truncate(time.Microsecond)
	s := &schemas.JobSnapshot{Head: schemas.Head{EventID: "evt_9", Tenant: "acme", JobID: forgotten, Run: 1, At: at, SubmittedAt: at}, Version: 12, Status: schemas.Partial, Pipeline: "pv_1",
		Class: "gpu", Priority: "normal", Source: schemas.Source{Key: "sources/acme/y", Size: 3}, Finished: schemas.Bitmap(nil).Set(2), Runs: []schemas.PastRun{{Status: schemas.Failed}}}
	text, err := schemas.Text(s)
	if err == nil {
		err = objects.Put(t.Context(), schemas.JobFileKey("acme", forgotten, 1, 12), text, blob.Options{Once: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	b.write(func(client *kgo.Client, _ *schemas.Codec, out *producers.Producer) error { // it was known once, and laid to rest
		if err := out.Publish(t.Context(), s, "req_test"); err != nil {
			return err
		}
		return client.ProduceSync(t.Context(), &kgo.Record{Topic: b.cfg.Topics.Name(topology.Jobs.Spec.Name), Key: []byte(topology.JobKey("acme", forgotten))}).FirstErr()
	})
	for _, job := range []string{forgotten, lost} {
		b.bury("ocr", "unknown", "ENGINE_CRASHED", &schemas.PageLaidOut{Head: schemas.Head{EventID: "evt_" + job, Tenant: "acme", JobID: job, Run: 1}, Page: 1, Class: "gpu", Priority: "normal"})
	}
	code, out, errs := run(t, b.env, "dlq", "redrive", b.id(forgotten, "ENGINE_CRASHED"), b.id(lost, "ENGINE_CRASHED"))
	if code != exitPartial || out != "1 dead letters redriven: 1 jobs run again\n" || !strings.Contains(errs, "belongs to no job that could run again") {
		t.Fatalf("exit %d, %s%s", code, out, errs)
	}
	asked := b.asked()
	if len(asked) != 1 || asked[0].JobID != forgotten || asked[0].AfterRun != 1 || asked[0].Version != 12 || len(asked[0].Runs) != 2 {
		t.Fatalf("asked for %+v", asked)
	}
	b.write(func(_ *kgo.Client, codec *schemas.Codec, _ *producers.Producer) error {
		e, err := codec.Decode(t.Context(), asked[0].Submission)
		if sub, ok := e.(*schemas.DocumentSubmitted); !ok || sub.Kept != "2" || sub.BaseRun != 1 || sub.Source.Key != "sources/acme/y" {
			t.Errorf("of %+v", e)
		}
		return err
	})
}
