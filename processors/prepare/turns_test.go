package prepare_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"docstream/internal/engine"
	"docstream/internal/turn"
	"docstream/processors/prepare"
	"docstream/processors/prepare/formats/pdf/pdftest"
	"docstream/schemas"
)

// queue is a worker's slots, or a pool's places, as far as who waits is concerned.
type queue interface{ Waiting() int }

func waits(t *testing.T, q queue, n int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); q.Waiting() != n; time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatalf("%d wait, want %d", q.Waiting(), n)
		}
	}
}

func scans(pages int) []byte {
	return pdftest.Write(slices.Repeat([]pdftest.Page{scanPage()}, pages)...)
}

// A document of one page comes while a chunk of eight is in work. It has its page when the chunk's page of that moment is done; the chunk then
// goes on where it was, although the child has another document open meanwhile, and does no page twice.
func TestAnUrgentDocumentGoesBetweenTwoPagesOfAChunk(t *testing.T) {
	p := pool(t, func(c *engine.Config) { c.Weights = map[string]int{"high": 16, "low": 1} })
	slots := turn.New(1, map[string]int{"high": 16, "low": 1})
	var order []string // in which page images were stored
	b := newBench(t, p, nil)
	urgentDone := make(chan string, 1)
	work := func(lane string, e *schemas.DocumentSubmitted) (string, error) {
		outer := turn.With(context.Background(), turn.Claim{Lane: lane, Tenant: e.Tenant})
		slot, err := slots.Enter(outer)
		if err != nil {
			return "", err
		}
		defer slot.Leave()
		ctx, task := turn.Begin(outer, slot, time.Hour)
		defer task.End()
		events, err := b.stage.Work(ctx, e, schemas.Delivery{})
		return outline(events), err
	}
	long := b.submit(pdfType, scans(8))
	long.Priority = "low"
	urgent := b.submit(pdfType, scans(1))
	urgent.JobID = "job_00000000000000000000000002"
	b.fail = func(op, key string) error { // called with the store locked
		if op != "put" || !strings.HasPrefix(key, "work/") {
			return nil
		}
		who := "urgent"
		if strings.Contains(key, long.JobID) {
			who = "long"
		}
		order = append(order, who+" "+filepath.Base(key))
		if len(order) == 2 {
			go func() {
				got, err := work("high", urgent)
				if err != nil {
					got = err.Error()
				}
				urgentDone <- got
			}()
			waits(t, slots, 1)
		}
		return nil
	}
	got, err := work("low", long)
	if err != nil {
		t.Fatal(err)
	}
	if want := "opened 8 1-8 application/pdf; " + pages("image", 1, 8); got != want {
		t.Errorf("the long document gave %s, want %s", got, want)
	}
	if got, want := <-urgentDone, "opened 1 1 application/pdf; image 1"; got != want {
		t.Errorf("the urgent one gave %s, want %s", got, want)
	}
	var want []string
	for n := range 8 {
		if n == 2 {
			want = append(want, "urgent "+filepath.Base(schemas.PageImageName(1)))
		}
		want = append(want, "long "+filepath.Base(schemas.PageImageName(n+1)))
	}
	if !slices.Equal(order, want) {
		t.Errorf("the pages were stored in the order %v, want %v", order, want)
	}
}

// The texts of a chunk are stored in one go at its end: whoever waits for the child need not wait for that.
func TestTheChildIsFreeWhileTextsAreStored(t *testing.T) {
	p := pool(t, nil)
	b := newBench(t, p, nil)
	stored := 0
	b.fail = func(op, key string) error {
		if op != "put" {
			return nil
		}
		stored++
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		other, err := p.Lease(ctx)
		if err != nil {
			t.Errorf("the child is held while %s is stored: %v", key, err)
			return nil
		}
		other.Release()
		return nil
	}
	got := outline(b.work(t, b.submit(pdfType, book(3)), schemas.Delivery{}))
	if want := "opened 3 1-3 application/pdf; " + pages("text", 1, 3); got != want || stored == 0 {
		t.Errorf("got %s, want %s; %d objects were stored", got, want, stored)
	}
}

func TestOnlyTheFirstPagesOfALargeDocumentHaveItsPriority(t *testing.T) {
	p := pool(t, nil)
	for name, tc := range map[string]struct {
		pages    int
		options  schemas.Options
		priority string
		want     map[string]int
	}{
		"as large as a chunk":           {32, schemas.Options{OCR: "auto"}, "high", map[string]int{"high": 32}},
		"larger":                        {33, schemas.Options{OCR: "auto"}, "high", map[string]int{"high": 4, "normal": 28}},
		"larger, and normal":            {33, schemas.Options{OCR: "auto"}, "normal", map[string]int{"normal": 4, "low": 28}},
		"larger, and low":               {33, schemas.Options{OCR: "auto"}, "low", map[string]int{"low": 32}},
		"larger, with few pages wanted": {33, schemas.Options{OCR: "auto", Pages: "2-20"}, "high", map[string]int{"high": 19}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, p, nil)
			e := b.submit(pdfType, scans(tc.pages))
			e.Options, e.Priority = tc.options, tc.priority
			got := map[string]int{}
			for i, event := range b.work(t, e, schemas.Delivery{}) {
				if page, ok := event.(*schemas.PagePrepared); ok {
					if got[page.Priority]++; page.Priority != tc.priority && i <= 4 {
						t.Errorf("page %d has the priority %s", page.Page, page.Priority)
					}
				}
			}
			if !maps.Equal(got, tc.want) {
				t.Errorf("the pages have the priorities %v, want %v", got, tc.want)
			}
		})
	}
}

// Tasks of several tenants take turns in one child: each of them still gets the pages of its own document.
func TestDocumentsThatTakeTurnsInOneChildAreNotMixedUp(t *testing.T) {
	p := pool(t, nil)
	b := newBench(t, p, func(c *prepare.Config) { c.OCRClass = "cpu" })
	type outcome struct {
		who, text string
		err       error
	}
	out := make(chan outcome, 3)
	var submitted []*schemas.DocumentSubmitted
	for i := range 3 {
		var all []pdftest.Page
		for n := range 12 {
			all = append(all, pdftest.Page{Content: pdftest.Text("F1", 12, 72, 700, fmt.Sprintf("The book of boat %d, page %d of the harbour.", i, n+1))})
		}
		e := b.submit(pdfType, pdftest.Write(all...))
		e.JobID = fmt.Sprintf("job_0000000000000000000000001%d", i)
		submitted = append(submitted, e)
	}
	for i, e := range submitted {
		go func() {
			ctx := turn.With(context.Background(), turn.Claim{Lane: "low", Tenant: fmt.Sprint("tenant-", i)})
			events, err := b.stage.Work(ctx, e, schemas.Delivery{})
			if err != nil {
				out <- outcome{err: err}
				return
			}
			ref := events[1].(*schemas.PageFinished).Result
			body, _, err := b.Get(ctx, ref.Key, 0, 0)
			if err != nil {
				out <- outcome{err: err}
				return
			}
			defer body.Close()
			text, err := io.ReadAll(body)
			out <- outcome{fmt.Sprint(i), string(text), err}
		}()
	}
	for range 3 {
		o := <-out
		if o.err != nil {
			t.Fatal(o.err)
		}
		for n := range 12 {
			if want := fmt.Sprintf("The book of boat %s, page %d of the harbour.", o.who, n+1); !strings.Contains(o.text, want) {
				t.Errorf("document %s lacks %q", o.who, want)
			}
		}
	}
}
