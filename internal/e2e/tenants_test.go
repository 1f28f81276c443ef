package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"docstream/schemas"
)

// TestAJobIsToldToItsWebhookAndCountsAsUsage: the whole way, from the option of a submission to the receiver and to the quota.
func TestAJobIsToldToItsWebhookAndCountsAsUsage(t *testing.T) {
	var mu sync.Mutex
	var told []string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if told = append(told, r.Header.Get("webhook-id")+" "+r.Header.Get("webhook-signature")+" "+string(b)); len(told) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer receiver.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(receiver.URL, "http://"), ":")
	p := start(t, "--set", "deliver.outbound.networks=127.0.0.0/8", "--set", "deliver.outbound.ports=80,443,"+port)
	id := p.submit("hello.txt", []byte("Hello from the stream.\n"), map[string]string{"webhook_url": receiver.URL + "/hook"})
	if j := p.wait(id, 2*time.Minute); j.Status != schemas.Completed {
		t.Fatalf("the job ended as %+v", j)
	}
	p.eventually(time.Minute, "the second attempt", func() bool { mu.Lock(); defer mu.Unlock(); return len(told) == 2 })
	for _, m := range told {
		if !strings.HasPrefix(m, "msg_") || m[:30] != told[0][:30] || !strings.Contains(m, " v1,") || !strings.Contains(m, `"type":"job.completed"`) ||
			!strings.Contains(m, id) || !strings.Contains(m, "Hello from the stream.") {
			t.Errorf("%s", m)
		}
	}
	var u struct {
		Pages int64 `json:"pages"`
		Cost  int64 `json:"cost_nano_dollars"`
		Jobs  int   `json:"jobs_under_way"`
	}
	p.eventually(time.Minute, "the page to be counted", func() bool { p.get("/api/v1/usage").json(t, &u); return u.Pages == 1 && u.Jobs == 0 })
	if u.Cost <= 0 {
		t.Errorf("%+v", u)
	}
	var c struct{ Accepting bool }
	if p.get("/api/v1/capacity").json(t, &c); !c.Accepting {
		t.Error(fmt.Sprint(string(p.get("/api/v1/capacity").body)))
	}
}
