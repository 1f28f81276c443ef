package gateway_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"docstream/gateway"
	"docstream/gateway/keys"
	"docstream/internal/topology"
	"docstream/schemas"
)

// issue makes a key with scopes.
func (w *world) issue(tenant string, scopes ...string) string {
	w.t.Helper()
	token, e, err := keys.New(house, tenant, "test", scopes, time.Time{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.publish(e)
	return token
}

// small is a plan so narrow that a test reaches its limits.
func small(change func(*gateway.Plan)) func(*gateway.Config) {
	return func(c *gateway.Config) {
		p := gateway.Plan{Name: "small"}
		change(&p)
		c.Plans, c.DefaultPlan = append(c.Plans, p), "small"
	}
}

type shownKey struct {
	KeyID  string   `json:"key_id"`
	Key    string   `json:"key"`
	State  string   `json:"state"`
	Tenant string   `json:"tenant"`
	Scopes []string `json:"scopes"`
}

func TestAKeyIsMadeRotatedAndRevokedOverHTTPForEveryReplica(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica(nil), w.replica(nil)
	admin := w.admin("acme")
	var k, next shownKey
	made := a.call(http.MethodPost, admin, "/api/v1/keys", `{"name":"importer","scopes":["documents"]}`)
	if made.into(t, &k); made.StatusCode != http.StatusCreated || k.Key == "" || k.Tenant != "acme" {
		t.Fatalf("%d %s", made.StatusCode, made.body)
	}
	if got := b.get(k.Key, "/api/v1/jobs"); got.StatusCode != http.StatusOK {
		t.Fatalf("another replica does not know the key: %d", got.StatusCode)
	}
	a.call(http.MethodPost, admin, "/api/v1/keys/"+k.KeyID+"/rotate", `{"overlap_seconds":600}`).into(t, &next)
	for _, token := range []string{k.Key, next.Key} {
		if got := b.get(token, "/api/v1/jobs"); got.StatusCode != http.StatusOK {
			t.Errorf("within the overlap both are good: %d", got.StatusCode)
		}
	}
	a.call(http.MethodPost, admin, "/api/v1/keys/"+next.KeyID+"/rotate", `{"overlap_seconds":0}`)
	eventually(t, "the key that was rotated without overlap ends", func() bool { return b.get(next.Key, "/api/v1/jobs").StatusCode == http.StatusUnauthorized })
	began := time.Now()
	if got := a.call(http.MethodDelete, admin, "/api/v1/keys/"+k.KeyID, ""); got.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	eventually(t, "the revoked key is refused by the other replica", func() bool { return b.get(k.Key, "/api/v1/jobs").StatusCode == http.StatusUnauthorized })
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	list := b.get(admin, "/api/v1/keys")
	if list.StatusCode != http.StatusOK || strings.Count(string(list.body), `"key_id"`) != 4 || strings.Contains(string(list.body), `"key":`) {
		t.Errorf("%d %s", list.StatusCode, list.body)
	}
	var log struct {
		Entries []struct{ Action, Subject, By string }
	}
	b.get(admin, "/api/v1/audit").into(t, &log)
	if len(log.Entries) != 4 || log.Entries[0].Action != "key.revoked" || log.Entries[0].Subject != k.KeyID || log.Entries[3].Action != "key.created" || log.Entries[0].By == "" {
		t.Errorf("%+v", log)
	}
}

// An audit log that takes no record stands for a gateway that dies between the two.
func TestNothingChangesThatTheAuditLogDoesNotTell(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	admin := w.admin("acme")
	most := "1"
	full := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &most}}
	done, err := kadm.NewClient(w.cl).AlterTopicConfigs(t.Context(), full, w.plan.Name(topology.Audit.Spec.Name))
	if err == nil {
		err = done[0].Err
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log takes no record", func() bool { // a busy broker learns of it a little later
		return w.cl.ProduceSync(t.Context(), &kgo.Record{Topic: w.plan.Name(topology.Audit.Spec.Name), Value: []byte("full?")}).FirstErr() != nil
	})
	if a := r.call(http.MethodPost, admin, "/api/v1/keys", `{"name":"importer","scopes":["documents"]}`); a.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("it answers %d %s", a.StatusCode, a.body)
	}
	if list := r.get(admin, "/api/v1/keys"); strings.Count(string(list.body), `"key_id"`) != 1 {
		t.Errorf("a key was made: %s", list.body)
	}
}

func TestNobodyAdministersWhatIsNotHis(t *testing.T) {
	w := newWorld(t)
	r := w.replica(nil)
	admin, other, plain, operator := w.admin("acme"), w.admin("globex"), w.key("acme"), w.issue("house", keys.Operator)
	theirs, _, _ := keys.Split(other)
	mighty, _, _ := keys.Split(operator)
	for name, c := range map[string]struct {
		method, token, path, body string
		want                      schemas.Code
	}{
		"keys without the scope":        {"POST", plain, "/api/v1/keys", `{}`, schemas.Forbidden},
		"audit without the scope":       {"GET", plain, "/api/v1/audit", "", schemas.Forbidden},
		"another tenant's key":          {"DELETE", admin, "/api/v1/keys/" + theirs, "", schemas.KeyNotFound},
		"an unknown key":                {"DELETE", admin, "/api/v1/keys/0000000000000000", "", schemas.KeyNotFound},
		"another tenant by name":        {"DELETE", admin, "/api/v1/keys/" + theirs + "?tenant=globex", "", schemas.Forbidden},
		"another tenant's usage":        {"GET", plain, "/api/v1/usage?tenant=globex", "", schemas.Forbidden},
		"another tenant's audit":        {"GET", admin, "/api/v1/audit?tenant=globex", "", schemas.Forbidden},
		"an operator's key made":        {"POST", admin, "/api/v1/keys", `{"scopes":["operator"]}`, schemas.Forbidden},
		"an operator's key revoked":     {"DELETE", admin, "/api/v1/keys/" + mighty, "", schemas.KeyNotFound},
		"a plan":                        {"PUT", admin, "/api/v1/tenants/acme", `{"plan":"enterprise"}`, schemas.Forbidden},
		"a plan that does not exist":    {"PUT", operator, "/api/v1/tenants/acme", `{"plan":"gold"}`, schemas.InvalidOption},
		"a tenant that cannot be":       {"PUT", operator, "/api/v1/tenants/A_B", `{"plan":"free"}`, schemas.InvalidOption},
		"an unknown scope":              {"POST", admin, "/api/v1/keys", `{"scopes":["root"]}`, schemas.InvalidOption},
		"an unknown field":              {"POST", admin, "/api/v1/keys", `{"admin":true}`, schemas.InvalidRequest},
		"a key that has ended":          {"POST", admin, "/api/v1/keys", `{"expires_at":"2020-01-01T00:00:00Z"}`, schemas.InvalidOption},
		"the operator, another tenant":  {"DELETE", operator, "/api/v1/keys/" + theirs + "?tenant=globex", "", ""},
		"the operator gives a plan":     {"PUT", operator, "/api/v1/tenants/acme", `{"plan":"standard"}`, ""},
		"the operator reads usage":      {"GET", w.issue("house", keys.Operator, keys.Documents), "/api/v1/usage?tenant=globex", "", ""},
		"days that are none":            {"GET", plain, "/api/v1/usage?from=yesterday", "", schemas.InvalidOption},
		"days in no order":              {"GET", plain, "/api/v1/usage?from=2026-02-02&to=2026-02-01", "", schemas.InvalidOption},
		"a limit that is none of audit": {"GET", admin, "/api/v1/audit?limit=0", "", schemas.InvalidOption},
	} {
		t.Run(name, func(t *testing.T) {
			if got := r.call(c.method, c.token, c.path, c.body); got.code(t) != c.want || c.want == "" && got.StatusCode >= 300 {
				t.Errorf("%d %s", got.StatusCode, got.body)
			}
		})
	}
}

func TestARequestTooManyIs429WithATrueRetryAfter(t *testing.T) {
	w := newWorld(t)
	r := w.replica(small(func(p *gateway.Plan) { p.RequestsPerSecond = 3 }))
	token := w.key("acme")
	r.get(token, "/api/v1/jobs") // the key is known from here on
	time.Sleep(1100 * time.Millisecond)
	var last answer
	for range 20 {
		if last = r.get(token, "/api/v1/capacity"); last.StatusCode != http.StatusOK {
			break
		}
		if last.Header.Get("RateLimit-Policy") != `"requests";q=3;w=1` || !strings.HasPrefix(last.Header.Get("RateLimit"), `"requests";r=`) {
			t.Errorf("%v", last.Header)
		}
	}
	if last.code(t) != schemas.RateLimited {
		t.Fatalf("%d %s", last.StatusCode, last.body)
	}
	wait, _ := strconv.Atoi(last.Header.Get("Retry-After"))
	if wait < 1 || wait > 2 {
		t.Fatalf("Retry-After %q", last.Header.Get("Retry-After"))
	}
	time.Sleep(time.Duration(wait) * time.Second)
	if got := r.get(token, "/api/v1/capacity"); got.StatusCode != http.StatusOK {
		t.Errorf("after the time it named: %d", got.StatusCode)
	}
	if got := r.get(w.key("globex"), "/api/v1/capacity"); got.StatusCode != http.StatusOK {
		t.Errorf("another tenant: %d", got.StatusCode)
	}
}

func TestARateIsSharedAmongTheReplicasThatLive(t *testing.T) {
	w := newWorld(t)
	narrow := small(func(p *gateway.Plan) { p.RequestsPerSecond = 9 })
	replicas := []*replica{w.replica(narrow), w.replica(narrow), w.replica(narrow)}
	eventually(t, "every replica counts three", func() bool {
		for _, r := range replicas {
			if r.view.Replicas() != 3 {
				return false
			}
		}
		return true
	})
	token := w.key("acme")
	let, began := 0, time.Now()
	for range 40 {
		for _, r := range replicas {
			if r.get(token, "/api/v1/capacity").StatusCode == http.StatusOK {
				let++
			}
		}
	}
	if most := int(9*(time.Since(began).Seconds()+1)) + 3; let > most || let < 9 {
		t.Errorf("%d requests were let in over %s; at most %d may be", let, time.Since(began), most)
	}
}

func TestJobsAtOnceAreBoundedOverAllReplicas(t *testing.T) {
	w := newWorld(t)
	narrow := small(func(p *gateway.Plan) { p.ConcurrentJobs = 5 })
	replicas := []*replica{w.replica(narrow), w.replica(narrow)}
	eventually(t, "both replicas count two", func() bool { return replicas[0].view.Replicas() == 2 && replicas[1].view.Replicas() == 2 })
	token := w.key("acme")
	replicas[0].get(token, "/api/v1/jobs")
	replicas[1].get(token, "/api/v1/jobs")
	var mu sync.Mutex
	var jobs []string
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			a := replicas[i%2].post(token, file("hello"))
			mu.Lock()
			defer mu.Unlock()
			if a.StatusCode == http.StatusAccepted {
				var b struct {
					JobID string `json:"job_id"`
				}
				a.into(t, &b)
				jobs = append(jobs, b.JobID)
			} else if a.code(t) != schemas.TooManyJobs || a.Header.Get("Retry-After") == "" {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		})
	}
	all.Wait()
	if len(jobs) < 1 || len(jobs) > 6 { // one too many for each other replica, at most
		t.Fatalf("%d jobs were let in", len(jobs))
	}
	for len(jobs) < 5 {
		jobs = append(jobs, replicas[0].submit(token, file("hello")))
	}
	if a := replicas[1].post(token, file("hello")); a.code(t) != schemas.TooManyJobs {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	for _, job := range jobs {
		w.publish(snapshot("acme", job, 5, schemas.Completed))
	}
	replicas[1].submit(token, file("hello"))
	eventually(t, "no refused upload left an object", func() bool { return len(w.store.keys()) == len(jobs)+1 })
}

// used publishes what a tenant used on a day, as the tally would.
func (w *world) used(tenant string, day time.Time, key string, pages int64) {
	w.publish(&schemas.UsageSummed{Head: schemas.Head{EventID: "evt_" + tenant, Tenant: tenant, At: day}, Day: day.UTC().Format(time.DateOnly), Pages: pages,
		Lines: []schemas.UsageLine{
			{APIKeyID: key, Stage: "ocr", Device: "cuda", Pages: pages, CPUMicros: 1e6, WallMicros: 2e6},
			{APIKeyID: key, Stage: "prepare", Device: "cpu", Documents: 1, Pages: pages, CPUMicros: 3e6, WallMicros: 4e6}}})
}

func TestPagesOfADayAreBoundedAtAcceptAndShownAsUsage(t *testing.T) {
	w := newWorld(t)
	r := w.replica(small(func(p *gateway.Plan) { p.PagesPerDay, p.PagesPerMonth = 10, 1000 }))
	token, now := w.key("acme"), time.Now().UTC()
	w.used("acme", now, "k1", 8)
	w.used("globex", now, "k2", 100)
	r.submit(token, file("one page under way"))
	r.submit(token, file("another"))
	a := r.post(token, file("one more"))
	if a.code(t) != schemas.QuotaExceeded {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	w.used("acme", now, "k1", 10)
	a = r.post(token, file("one more"))
	wait, _ := strconv.Atoi(a.Header.Get("Retry-After"))
	if midnight := time.Until(now.Truncate(24 * time.Hour).Add(24 * time.Hour)).Seconds(); a.code(t) != schemas.QuotaExceeded || wait < int(midnight)-2 || wait > int(midnight)+2 {
		t.Errorf("%d, Retry-After %d, %f to midnight: %s", a.StatusCode, wait, midnight, a.body)
	}
	var u struct {
		Pages int64 `json:"pages"`
		Cost  int64 `json:"cost_nano_dollars"`
		Jobs  int   `json:"jobs_under_way"`
		Day   struct{ Pages, Limit int64 }
		Days  []struct {
			Day   string
			Lines []struct {
				APIKeyID string `json:"api_key_id"`
				Stage    string
				Cost     int64 `json:"cost_nano_dollars"`
			}
		}
	}
	r.get(token, "/api/v1/usage").into(t, &u)
	p := gateway.DefaultConfig().Prices
	want := p.Document + 10*p.Page + 4*p.CPUSecond + 2*p.GPUSecond
	if u.Pages != 10 || u.Day.Pages != 10 || u.Day.Limit != 10 || u.Jobs != 2 || u.Cost != want || len(u.Days) != 1 || len(u.Days[0].Lines) != 2 || u.Days[0].Lines[0].APIKeyID != "k1" {
		t.Errorf("want cost %d: %+v", want, u)
	}
}

func TestAPlanBoundsFilesAndPrioritiesAndHoldsAtOnce(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica(nil), w.replica(nil)
	token, operator := w.key("acme"), w.issue("house", keys.Operator)
	a.submit(token, file("hello"), field{name: "priority", value: "high"})
	if got := a.call(http.MethodPut, operator, "/api/v1/tenants/acme", `{"plan":"free"}`); got.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	eventually(t, "the other replica refuses what the plan does not allow", func() bool {
		got := b.post(token, file("hello"), field{name: "priority", value: "high"})
		return got.StatusCode == http.StatusForbidden && got.code(t) == schemas.Forbidden
	})
	if got := b.post(token, file(strings.Repeat("a", 10<<20+1))); got.code(t) != schemas.FileTooLarge || !strings.Contains(string(got.body), fmt.Sprint(8<<20)) {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}

func TestABacklogThatIsTooLongIs503UntilItHasDrained(t *testing.T) {
	w := newWorld(t)
	r := w.replica(func(c *gateway.Config) { c.MaxBacklog = time.Minute })
	token := w.key("acme")
	now := time.Now()
	for i := range 3 { // a job ends every thousand seconds; they lie in several partitions, and the order in which they are read counts
		id := schemas.NewJobID(now)
		s := snapshot("acme", id, 5, schemas.Completed)
		s.SubmittedAt = now
		s.EndedAt = now.Add(time.Duration(i+1) * 1000 * time.Second)
		w.publish(s)
		eventually(t, "the job is known", func() bool { return r.get(token, "/api/v1/jobs/"+id).StatusCode == http.StatusOK })
	}
	job := r.submit(token, file("the first one finds no backlog"))
	a := r.post(token, file("second"))
	wait, _ := strconv.Atoi(a.Header.Get("Retry-After"))
	if a.code(t) != schemas.ServiceUnavailable || wait < 900 || wait > 1000 {
		t.Fatalf("%d, Retry-After %d: %s", a.StatusCode, wait, a.body)
	}
	var c struct {
		Accepting bool  `json:"accepting"`
		After     int64 `json:"retry_after_seconds"`
		Backlog   struct{ Jobs int }
	}
	if r.get(token, "/api/v1/capacity").into(t, &c); c.Accepting || c.After < 900 || c.Backlog.Jobs != 1 {
		t.Errorf("%+v", c)
	}
	w.publish(snapshot("acme", job, 5, schemas.Completed))
	eventually(t, "it accepts again", func() bool { return r.post(token, file("third")).StatusCode == http.StatusAccepted })
}

func TestAReplicaThatHearsNothingOfRevokedKeysLetsNobodyIn(t *testing.T) {
	conn, b := onBroken(t)
	w := newWorldOn(t, conn)
	r := w.replica(func(c *gateway.Config) { c.MaxWait = 200 * time.Millisecond })
	token := w.key("acme")
	eventually(t, "the key is good", func() bool { return r.get(token, "/api/v1/capacity").StatusCode == http.StatusOK })
	b.fail.Store(int32(kmsg.ListOffsets))
	began := time.Now()
	eventually(t, "nobody is let in", func() bool { return r.get(token, "/api/v1/capacity").StatusCode == http.StatusServiceUnavailable })
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("it took %s", took)
	}
	b.fail.Store(-1)
	eventually(t, "they are again", func() bool { return r.get(token, "/api/v1/capacity").StatusCode == http.StatusOK })
}
