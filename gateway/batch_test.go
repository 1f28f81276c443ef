package gateway_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"docstream/gateway"
	"docstream/internal/topology"
	"docstream/producers/holder"
	"docstream/schemas"
)

type shownBatch struct {
	BatchID    string           `json:"batch_id"`
	Status     string           `json:"status"`
	Cancelling bool             `json:"cancelling"`
	Items      int64            `json:"items"`
	Counts     map[string]int64 `json:"counts"`
	Percent    float64          `json:"percent"`
	WaitingFor string           `json:"waiting_for"`
	Pages      struct {
		Total int64 `json:"total"`
		Done  int64 `json:"done"`
	} `json:"pages"`
}

type shownItems struct {
	Items []struct {
		Item     int    `json:"item"`
		CustomID string `json:"custom_id"`
		Status   string `json:"status"`
		JobID    string `json:"job_id"`
		Error    *struct {
			Code schemas.Code `json:"code"`
		} `json:"error"`
	} `json:"items"`
	NextCursor string `json:"next_cursor"`
}

// feeds lets a replica stand for the feeding of batches; stop ends that and waits.
func (r *replica) feeds() (stop func()) {
	r.w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	topic := r.w.plan.Name(topology.Settings.Spec.Name)
	work := holder.Work{Conn: r.w.conn, Group: r.w.plan.Group(topology.Batches, topic), Topic: topic, Name: "batches", Log: r.w.log, Hold: r.gateway.FeedBatches}
	done := make(chan error, 1)
	go func() { done <- work.Run(ctx) }()
	ended := false
	stop = func() {
		if !ended {
			ended = true
			cancel()
			if err := <-done; err != nil {
				r.w.t.Error(err)
			}
		}
	}
	r.w.t.Cleanup(stop)
	return stop
}

// batch sends a batch that must be accepted.
func (r *replica) batch(token, query, kind, body string, headers ...string) shownBatch {
	r.w.t.Helper()
	a := r.send(token, "/api/v1/batches"+query, kind, body, headers...)
	var b shownBatch
	a.into(r.w.t, &b)
	if a.StatusCode != http.StatusAccepted || !schemas.ValidBatchID(b.BatchID) || a.Header.Get("Location") != "/api/v1/batches/"+b.BatchID {
		r.w.t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	return b
}

func (r *replica) batchNow(token, id string) (b shownBatch) {
	r.w.t.Helper()
	r.get(token, "/api/v1/batches/"+id).into(r.w.t, &b)
	return b
}

// items returns all items of a batch, page by page.
func (r *replica) items(token, id, query string) (out shownItems) {
	r.w.t.Helper()
	for cursor := ""; ; {
		var page shownItems
		r.get(token, "/api/v1/batches/"+id+"/items?limit=100"+query+"&cursor="+cursor).into(r.w.t, &page)
		out.Items = append(out.Items, page.Items...)
		if cursor = page.NextCursor; cursor == "" {
			return out
		}
	}
}

// jsonLines are so many items that need no bytes.
func jsonLines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"custom_id":"item %d","url":"https://example.org/%d.pdf"}`+"\n", i, i)
	}
	return b.String()
}

// ended publishes that every job of the batch has ended as said.
func (r *replica) ended(token, id string, status schemas.Status) {
	r.w.t.Helper()
	for _, i := range r.items(token, id, "").Items {
		if i.JobID != "" && !schemas.Terminal(i.Status) {
			s := snapshot("acme", i.JobID, 9, status)
			s.Metadata = map[string]string{"batch_id": id}
			r.w.publish(s)
		}
	}
}

// TestABatchOfLinesIsFedItemByItem: what is wrong with one item is that item's own affair; every other becomes the job that its name stands for.
func TestABatchOfLinesIsFedItemByItem(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	r.gateway.TakeUploads(w.store)
	r.gateway.Buckets(func(tenant, bucket, key string) bool { return tenant == "acme" && bucket == "scans" }, w.store)
	w.store.objects["s3://scans/a.txt"] = []byte("hello")
	token := w.key("acme")
	u, stolen := r.announce(token, `{"size":5,"filename":"u.txt"}`), r.announce(w.key("rival"), `{"size":5}`)
	w.store.objects[schemas.DirectKey("acme", u.UploadID)] = []byte("hello")
	w.store.objects[schemas.DirectKey("rival", stolen.UploadID)] = []byte("hello")
	want := map[string]schemas.Code{}
	var lines []string
	for name, c := range map[string]struct {
		rest string
		code schemas.Code
	}{
		"in base64":           {`"base64":"aGVsbG8=","filename":"a.txt","metadata":{"x":"y"}`, ""},
		"an address":          {`"url":"https://example.org/a.pdf","priority":"high"`, ""},
		"an object":           {`"s3":{"bucket":"scans","key":"a.txt"}`, ""},
		"an upload":           {`"upload":"` + u.UploadID + `"`, ""},
		"another's upload":    {`"upload":"` + stolen.UploadID + `"`, schemas.UploadNotFound},
		"an address inside":   {`"url":"http://127.0.0.1/a.pdf"`, schemas.URLBlocked},
		"another's bucket":    {`"s3":{"bucket":"other","key":"a.txt"}`, schemas.SourceForbidden},
		"an object not there": {`"s3":{"bucket":"scans","key":"b.txt"}`, schemas.SourceMissing},
		"an unknown option":   {`"base64":"aGVsbG8=","colour":"red"`, schemas.InvalidOption},
		"no source":           {`"priority":"low"`, schemas.InvalidRequest},
		"two sources":         {`"base64":"aGVsbG8=","url":"https://example.org/a.pdf"`, schemas.InvalidRequest},
		"bytes nobody reads":  {`"base64":"f0VMRg=="`, schemas.UnsupportedMediaType},
		"nothing in it":       {`"base64":""`, schemas.EmptyFile},
		"a dry run":           {`"base64":"aGVsbG8=","dry_run":true`, schemas.InvalidOption},
		"the batch's own tag": {`"base64":"aGVsbG8=","metadata":{"batch_id":"x"}`, schemas.InvalidOption},
		"a webhook inside":    {`"base64":"aGVsbG8=","webhook_url":"http://10.0.0.1/"`, schemas.AddressForbidden},
	} {
		want[name] = c.code
		lines = append(lines, fmt.Sprintf(`{"custom_id":%q,%s}`, name, c.rest))
	}
	b := r.batch(token, "?priority=low", "application/jsonl", strings.Join(lines, "\n"))
	if b.Status != "running" || b.Items != int64(len(lines)) || b.Counts["waiting"] != b.Items {
		t.Errorf("%+v", b)
	}
	r.feeds()
	eventually(t, "all items are fed", func() bool { return r.batchNow(token, b.BatchID).Counts["waiting"] == 0 })
	for _, i := range r.items(token, b.BatchID, "").Items {
		switch code := want[i.CustomID]; {
		case code == "" && (i.Status != schemas.Pending || !schemas.ValidJobID(i.JobID)):
			t.Errorf("%s: %+v", i.CustomID, i)
		case code != "" && (i.Status != "refused" || i.JobID != "" || i.Error == nil || i.Error.Code != code):
			t.Errorf("%s: %+v %+v, not %s", i.CustomID, i, i.Error, code)
		case code == "":
			lane := "documents.cpu.low"
			if i.CustomID == "an address" {
				lane = "documents.cpu.high"
			}
			s := w.submitted(lane, i.JobID)
			if s.Metadata["batch_id"] != b.BatchID || s.Metadata["custom_id"] != i.CustomID {
				t.Errorf("%s: %v", i.CustomID, s.Metadata)
			}
		}
	}
	r.ended(token, b.BatchID, schemas.Completed)
	eventually(t, "the batch has ended", func() bool { return r.batchNow(token, b.BatchID).Status == "completed" })
	if b = r.batchNow(token, b.BatchID); b.Counts["completed"] != 4 || b.Counts["refused"] != int64(len(lines)-4) || b.Percent != 100 || b.Pages.Done != 16 {
		t.Errorf("%+v", b)
	}
	if left := slices.DeleteFunc(w.store.keys(), func(k string) bool { return !strings.HasSuffix(k, "/items") }); len(left) > 0 {
		t.Errorf("what was sent is kept: %v", left)
	}
	if got := r.items(token, b.BatchID, "&status=completed").Items; len(got) != 4 {
		t.Errorf("%+v", got)
	}
	var jobs struct {
		Jobs []json.RawMessage `json:"jobs"`
	}
	r.get(token, "/api/v1/jobs?tag=batch_id:"+b.BatchID).into(t, &jobs)
	if len(jobs.Jobs) != 4 {
		t.Errorf("%d jobs carry the batch's label", len(jobs.Jobs))
	}
}

// TestABatchIsRefusedWhole: what is no batch leaves nothing behind.
func TestABatchIsRefusedWhole(t *testing.T) {
	w := newWorld(t)
	r := w.replica(func(c *gateway.Config) { c.BatchBytes, c.BatchUnpacked, c.MaxInlineBytes = 4<<20, 1<<20, 1<<10 })
	r.gateway.Buckets(func(tenant, bucket, key string) bool { return bucket == "scans" && strings.HasPrefix(key, "in/") }, w.store)
	token := w.key("acme")
	empty := func(n int) string {
		return zipped(t, func(z *zip.Writer) {
			for i := range n {
				_, _ = z.CreateHeader(&zip.FileHeader{Name: fmt.Sprint(i)})
			}
		})
	}
	for name, c := range map[string]struct {
		query, kind, body string
		want              schemas.Code
	}{
		"one item too many":          {"", "application/jsonl", jsonLines(10_001), schemas.BatchTooLarge},
		"no items":                   {"", "application/jsonl", "\n\n", schemas.BatchInvalid},
		"a line that is no object":   {"", "application/jsonl", jsonLines(1) + "hello\n", schemas.BatchInvalid},
		"a field twice":              {"", "application/jsonl", `{"custom_id":"a","custom_id":"a","base64":"aGVsbG8="}`, schemas.BatchInvalid},
		"no custom_id":               {"", "application/jsonl", `{"base64":"aGVsbG8="}`, schemas.BatchInvalid},
		"a custom_id that is none":   {"", "application/jsonl", `{"custom_id":7,"base64":"aGVsbG8="}`, schemas.BatchInvalid},
		"a custom_id twice":          {"", "application/jsonl", jsonLines(2) + jsonLines(1), schemas.BatchInvalid},
		"a line that is too long":    {"", "application/jsonl", `{"custom_id":"a","base64":"` + strings.Repeat("A", 2<<20) + `"}`, schemas.BatchTooLarge},
		"more bytes than a batch":    {"", "application/jsonl", strings.Repeat(" ", 5<<20), schemas.BatchTooLarge},
		"an unknown option":          {"?colour=red", "application/jsonl", jsonLines(1), schemas.InvalidOption},
		"a dry run":                  {"?dry_run=true", "application/jsonl", jsonLines(1), schemas.InvalidOption},
		"a type of its own":          {"", "text/csv", "a,b", schemas.InvalidRequest},
		"no zip":                     {"", "application/zip", "hello", schemas.BatchInvalid},
		"an empty zip":               {"", "application/zip", empty(0), schemas.BatchInvalid},
		"a zip with a name twice":    {"", "application/zip", zipped(t, func(z *zip.Writer) { add(z, "a", "x"); add(z, "a", "y") }), schemas.BatchInvalid},
		"a zip of one file too many": {"", "application/zip", empty(10_001), schemas.BatchTooLarge},
		"a zip of far too many":      {"", "application/zip", empty(60_000), schemas.BatchTooLarge},
		"a bomb":                     {"", "application/zip", zipped(t, func(z *zip.Writer) { add(z, "a", strings.Repeat("\x00", 2<<20)) }), schemas.BatchTooLarge},
		"a name that is no text":     {"", "application/zip", zipped(t, func(z *zip.Writer) { add(z, "a\x00b", "x") }), schemas.BatchInvalid},
		"another's bucket":           {"", "application/json", `{"s3":{"bucket":"other","prefix":"in/"}}`, schemas.SourceForbidden},
		"another prefix":             {"", "application/json", `{"s3":{"bucket":"scans","prefix":"i"}}`, schemas.SourceForbidden},
		"a key, no prefix":           {"", "application/json", `{"s3":{"bucket":"scans","key":"in/a"}}`, schemas.InvalidOption},
		"nothing below the prefix":   {"", "application/json", `{"s3":{"bucket":"scans","prefix":"in/none/"}}`, schemas.BatchInvalid},
		"no bucket":                  {"", "application/json", `{}`, schemas.InvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			if a := r.send(token, "/api/v1/batches"+c.query, c.kind, c.body); a.code(t) != c.want {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
			if left := slices.DeleteFunc(w.store.keys(), func(k string) bool { return !strings.HasPrefix(k, "batches/") }); len(left) > 0 {
				t.Errorf("it left %v", left)
			}
		})
	}
	if b := r.batch(token, "", "application/x-ndjson", jsonLines(10_000)); b.Items != 10_000 {
		t.Errorf("%+v", b)
	}
}

// zipped writes a zip.
func zipped(t testing.TB, write func(*zip.Writer)) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	write(z)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func add(z *zip.Writer, name, body string) {
	w, _ := z.Create(name)
	_, _ = w.Write([]byte(body))
}

// TestABatchIsAZipOfDocuments: a name is a label and no path, a zip in it is not opened, and a file that is too large or damaged is that file's affair.
func TestABatchIsAZipOfDocuments(t *testing.T) {
	w := newWorld(t)
	r := w.replica(func(c *gateway.Config) { c.MaxUploadBytes = 1 << 20 })
	token := w.key("acme")
	body := zipped(t, func(z *zip.Writer) {
		add(z, "in/", "")
		add(z, "in/a.txt", "hello")
		add(z, "../../etc/b.txt", "other words")
		stored, _ := z.CreateHeader(&zip.FileHeader{Name: "stored.txt", Method: zip.Store})
		_, _ = stored.Write([]byte("a damaged one"))
		add(z, "nested.zip", zipped(t, func(z *zip.Writer) { add(z, "x", "y") }))
		add(z, "large.txt", strings.Repeat("a", 2<<20))
		add(z, "whole.txt", strings.Repeat("a line of text\n", 50_000))
	})
	body = strings.Replace(body, "a damaged one", "a changed one", 1)
	b := r.batch(token, "?priority=low&metadata=%7B%22x%22:%22y%22%7D", "application/zip", body)
	r.feeds()
	eventually(t, "all items are fed", func() bool { return r.batchNow(token, b.BatchID).Counts["waiting"] == 0 })
	want := map[string]schemas.Code{"in/a.txt": "", "../../etc/b.txt": "", "whole.txt": "", "stored.txt": schemas.DocumentCorrupt, "nested.zip": schemas.UnsupportedMediaType, "large.txt": schemas.FileTooLarge}
	all := r.items(token, b.BatchID, "").Items
	if len(all) != len(want) {
		t.Errorf("%+v", all)
	}
	for _, i := range all {
		if code := want[i.CustomID]; code != "" {
			if i.Status != "refused" || i.Error == nil || i.Error.Code != code {
				t.Errorf("%s: %+v %+v, not %s", i.CustomID, i, i.Error, code)
			}
			continue
		}
		s := w.submitted("documents.cpu.low", i.JobID)
		if strings.Contains(s.Source.Filename, "/") || s.Metadata["x"] != "y" || int64(len(w.store.body(s.Source.Key))) != s.Source.Size {
			t.Errorf("%s: %+v %v", i.CustomID, s.Source, s.Metadata)
		}
	}
}

func TestABatchIsAPrefixOfABucket(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	r.gateway.Buckets(func(tenant, bucket, key string) bool { return bucket == "scans" && strings.HasPrefix(key, "in/") }, w.store)
	for _, key := range []string{"in/a.txt", "in/b/c.txt", "in/b/", "out/d.txt"} {
		w.store.objects["s3://scans/"+key] = []byte("hello")
	}
	token := w.key("acme")
	b := r.batch(token, "", "application/json", `{"s3":{"bucket":"scans","prefix":"in/"},"priority":"low"}`)
	r.feeds()
	eventually(t, "all items are fed", func() bool { return r.batchNow(token, b.BatchID).Counts["pending"] == 2 })
	for n, i := range r.items(token, b.BatchID, "").Items {
		if s := w.submitted("documents.cpu.low", i.JobID); s.Source.Key != []string{"in/a.txt", "in/b/c.txt"}[n] || s.Source.Key != i.CustomID {
			t.Errorf("%+v %+v", i, s.Source)
		}
	}
}

// TestABatchWaitsForItsTenantsPlaces: the plan's jobs at once hold for a batch too; it waits and goes on.
func TestABatchWaitsForItsTenantsPlaces(t *testing.T) {
	w := newWorld(t)
	r := w.replica(small(func(p *gateway.Plan) { p.ConcurrentJobs = 2 }))
	token := w.key("acme")
	b := r.batch(token, "", "application/jsonl", jsonLines(5))
	r.feeds()
	eventually(t, "the batch has ended", func() bool {
		under := 0
		for _, i := range r.items(token, b.BatchID, "").Items {
			if i.Status == schemas.Pending {
				under++
			}
		}
		if under > 2 {
			t.Fatalf("%d jobs are under way", under)
		}
		r.ended(token, b.BatchID, schemas.Completed)
		return r.batchNow(token, b.BatchID).Counts["completed"] == 5
	})
}

// TestABatchIsStopped: nothing more is submitted, and what is under way is cancelled.
func TestABatchIsStopped(t *testing.T) {
	w := newWorld(t)
	r := w.replica(small(func(p *gateway.Plan) { p.ConcurrentJobs = 2 }))
	token := w.key("acme")
	b := r.batch(token, "", "application/jsonl", jsonLines(150))
	r.feeds()
	eventually(t, "the first two are in", func() bool { return len(r.items(token, b.BatchID, "&status=pending").Items) == 2 })
	a := r.call(http.MethodPost, token, "/api/v1/batches/"+b.BatchID+"/cancel", "")
	a.into(t, &b)
	if a.StatusCode != http.StatusAccepted || !b.Cancelling || b.Status != "running" {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	for _, rec := range w.read("facts", 2) {
		e, err := w.codec.Decode(t.Context(), rec.Value)
		if err != nil || e.Kind() != "CancelRequested" {
			t.Errorf("%v %v", e, err)
		}
	}
	r.ended(token, b.BatchID, schemas.Cancelled)
	eventually(t, "the batch has ended", func() bool { return r.batchNow(token, b.BatchID).Status == "cancelled" })
	if b = r.batchNow(token, b.BatchID); b.Counts["cancelled"] != 150 || b.Cancelling {
		t.Errorf("%+v", b)
	}
	if n := len(r.items(token, b.BatchID, "&status=cancelled").Items); n != 150 {
		t.Errorf("%d items are cancelled", n)
	}
	if n := len(w.all("documents.cpu.normal")); n != 2 {
		t.Errorf("%d were submitted", n)
	}
}

// TestABatchGoesOnAtAnotherReplica: whoever feeds may go at any moment; no item is lost and none is two jobs.
func TestABatchGoesOnAtAnotherReplica(t *testing.T) {
	w := newWorld(t)
	change := small(func(p *gateway.Plan) { p.ConcurrentJobs = 130 })
	one, two := w.replica(change), w.replica(change)
	token := w.key("acme")
	b := one.batch(token, "", "application/jsonl", jsonLines(300))
	stop := one.feeds()
	eventually(t, "the first replica has begun", func() bool { return len(w.all("documents.cpu.normal")) > 20 })
	stop()
	two.feeds()
	eventually(t, "the second has ended it", func() bool {
		two.ended(token, b.BatchID, schemas.Completed)
		return two.batchNow(token, b.BatchID).Status == "completed"
	})
	if b = one.batchNow(token, b.BatchID); b.Counts["completed"] != 300 {
		t.Errorf("%+v", b)
	}
	all := w.all("documents.cpu.normal")
	slices.Sort(all)
	if jobs := slices.Compact(all); len(jobs) != 300 {
		t.Errorf("300 items became %d jobs", len(jobs))
	}
}

func TestABatchIsSaidTwiceUnderAKey(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	token := w.key("acme")
	b := r.batch(token, "", "application/jsonl", jsonLines(3), "Idempotency-Key", "k")
	if again := r.batch(token, "", "application/jsonl", jsonLines(3), "Idempotency-Key", "k"); again.BatchID != b.BatchID {
		t.Errorf("%+v is not %+v", again, b)
	}
	for name, c := range map[string][2]string{"another body": {"", jsonLines(4)}, "another option": {"?priority=low", jsonLines(3)}} {
		if a := r.send(token, "/api/v1/batches"+c[0], "application/jsonl", c[1], "Idempotency-Key", "k"); a.code(t) != schemas.IdempotencyKeyReused {
			t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
		}
	}
	var list struct {
		Batches []shownBatch `json:"batches"`
	}
	eventually(t, "it is in the list, once", func() bool {
		r.get(token, "/api/v1/batches").into(t, &list)
		return len(list.Batches) == 1 && list.Batches[0].BatchID == b.BatchID
	})
	if kept := slices.DeleteFunc(w.store.keys(), func(k string) bool { return !strings.HasPrefix(k, "batches/") }); len(kept) != 2 {
		t.Errorf("it keeps %v", kept)
	}
}
