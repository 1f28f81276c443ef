package track_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"docstream/processors/track"
	"docstream/schemas"
)

// record is the number of a release whose log this build is to write (make release-schemas).
var record = flag.String("record", "", "write what this build folds, emits and comes to as the log of this release")

// TestMain writes the log where that is asked for.
func TestMain(m *testing.M) {
	flag.Parse()
	if *record != "" {
		if err := os.WriteFile(filepath.Join("testdata", "released", *record+".log"), recorded(), 0o644); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// recorded folds the life of some jobs and writes down what is folded, emitted and come to.
func recorded() []byte {
	ids := map[uint32]string{}
	var body strings.Builder
	wireOf := func(e schemas.Event) string {
		b, err := codec.Encode(e)
		if err != nil {
			panic(err)
		}
		ids[binary.BigEndian.Uint32(b[1:])] = e.Kind()
		return base64.StdEncoding.EncodeToString(b)
	}
	ids[binary.BigEndian.Uint32(wire[1:])] = "DocumentSubmitted" // inside of facts
	before := job
	defer func() { job = before }()
	for n, facts := range lives() {
		job = schemas.JobIDFor("golden", fmt.Sprint(n))
		fold := track.New(track.DefaultConfig(), decode)
		var s *schemas.JobSnapshot
		for _, fact := range facts {
			f := fact()
			next, moved, out, err := fold.Apply(context.Background(), s, f)
			if err != nil {
				panic(err)
			}
			s = next
			fmt.Fprintf(&body, "fact %s\n", wireOf(f))
			for _, o := range out {
				fmt.Fprintf(&body, "out %s\n", wireOf(o))
			}
			if moved {
				fmt.Fprintf(&body, "state %s\n", wireOf(s))
			}
		}
	}
	var all strings.Builder
	for id := range uint32(1000) {
		if ids[id] != "" {
			fmt.Fprintf(&all, "schema %d %s\n", id, ids[id])
		}
	}
	return []byte(all.String() + body.String())
}

// lives are what can become of a job.
func lives() [][]func() schemas.Event {
	type fact = func() schemas.Event
	open := func(run, n int) fact { return func() schemas.Event { return opened(run, n) } }
	page := func(p int) fact { return func() schemas.Event { return finished(0, p) } }
	bad := func(p int) fact { return func() schemas.Event { return failed(0, p) } }
	outputs := func() schemas.Event { return composed(0) }
	cancel := func() schemas.Event {
		return &schemas.CancelRequested{Head: head(0, "gateway", 0, "CancelRequested", 500)}
	}
	dead := func(stage string, from int) fact {
		return func() schemas.Event {
			return &schemas.DeadLettered{Head: head(0, stage, from, "DeadLettered", 500), Stage: stage, Class: "unknown", Code: "OCR_FAILED", Message: "No.", Attempts: 4, FromPage: from, Submission: wire}
		}
	}
	retry := func(stage string, p, attempt int) fact {
		return func() schemas.Event {
			return &schemas.RetryScheduled{Head: head(0, stage, p, "RetryScheduled", 100+attempt), Page: p, Stage: stage, Code: "OCR_FAILED", Message: "No.", Attempt: attempt, MaxRetries: 3, Due: t0}
		}
	}
	refused := func() schemas.Event {
		return &schemas.DocumentRefused{Head: head(0, "prepare", 0, "DocumentRefused", 500), Submission: wire, Stage: "prepare", Code: "FILE_CORRUPT", Message: "No."}
	}
	split := func() schemas.Event {
		return &schemas.DocumentSplit{Head: head(0, "prepare", 0, "DocumentSplit", 500), PagesTotal: 2, PageRanges: "1-2"}
	}
	late := func() schemas.Event {
		f := opened(0, 2).(*schemas.DocumentOpened)
		f.PageRanges, f.PagesTotal = "", 0
		return f
	}
	rerun := func(after int, replay string) fact { return func() schemas.Event { return again(after, replay) } }
	return [][]fact{
		{open(0, 3), page(1), page(2), page(2), page(3), outputs, outputs, page(1)},
		{page(2), bad(3), open(0, 3), open(0, 3), bad(1), page(1), outputs},
		{open(0, 2), bad(2), bad(1)},
		{refused, open(0, 1), page(1)},
		{open(0, 2), page(1), cancel, page(2), outputs},
		{cancel},
		{open(0, 40), page(1), page(2), dead("prepare", 3), outputs},
		{open(0, 1), page(1), dead("compose", 0)},
		{split, page(1), page(2), late, outputs},
		{open(0, 2), retry("ocr", 1, 1), retry("ocr", 1, 2), retry("ocr", 1, 1), page(1), retry("layout", 2, 1), page(2), outputs},
		{open(0, 1), page(1), outputs, rerun(0, "rpl_1"), rerun(0, "rpl_1"), open(1, 1), func() schemas.Event { return failed(1, 1) }, rerun(1, "")},
	}
}

// TestALogIsRecordedAlike: what this build would record as a release is the same each time, and holds what can become of a job.
func TestALogIsRecordedAlike(t *testing.T) {
	log := recorded()
	if states := bytes.Count(log, []byte("\nstate ")); states < 30 || !bytes.Equal(log, recorded()) {
		t.Errorf("%d states; or another log the second time", states)
	}
}
