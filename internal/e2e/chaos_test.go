package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"docstream/internal/testenv"
	"docstream/ops/sample"
)

// number reads a variable of the tests, or returns what is usual.
func number(t testing.TB, name string, usual uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestNoKillBreaksAPromise submits documents while random processes are killed with signal 9, gateway, stages, fold, sinks, engine children and
// the embedded parts alike, workers sleep for longer than their sessions last, groups go back to what they have read and records come again
// in another order; and then it holds everything that was left behind to the promises with docstream verify. The seed is printed;
// DOCSTREAM_TEST_SEED runs the same again, DOCSTREAM_TEST_CHAOS another number of documents. DOCSTREAM_TEST_BROKERS=1 or 3 runs it on so many
// brokers of Apache Kafka of its own, which are killed like everything else.
func TestNoKillBreaksAPromise(t *testing.T) {
	t.Parallel() // it waits most of the time
	seed := number(t, "DOCSTREAM_TEST_SEED", rand.Uint64())
	documents := int(number(t, "DOCSTREAM_TEST_CHAOS", 60))
	on := int(number(t, "DOCSTREAM_TEST_BROKERS", 0))
	t.Logf("DOCSTREAM_TEST_SEED=%d DOCSTREAM_TEST_BROKERS=%d, %d documents", seed, on, documents)
	random := rand.New(rand.NewPCG(seed, 1))
	c := &chaos{random: rand.New(rand.NewPCG(seed, 2)), killed: map[string]int{}, stop: make(chan struct{}), done: make(chan struct{})}
	kafka := os.Getenv("DOCSTREAM_TEST_KAFKA")
	if on > 0 {
		c.brokers = testenv.StartBrokers(t, on)
		kafka = strings.Join(c.brokers.Addresses, ",")
	}
	p := startOn(t, kafka, nil, "--set", "topics.delays=1s,2s,3s")
	c.p = p
	go c.run()
	var accepted []string
	answers := map[int]int{}
	for n := range documents {
		name, body := c.document(random, n)
		a, err := p.try(name, body)
		if err != nil {
			a.status = 0
		}
		if answers[a.status]++; a.status == http.StatusAccepted {
			var j job
			a.json(t, &j)
			accepted = append(accepted, j.JobID)
		}
		time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
	}
	for c.events.Load() < int64(max(10, documents/5)) { // what was accepted meets its share of them on its way
		time.Sleep(100 * time.Millisecond)
	}
	close(c.stop)
	<-c.done
	c.away.Wait()
	if c.brokers != nil {
		if err := c.brokers.Revive(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("accepted: %d, answers by status (0: none): %v; killed: %v; asleep: %v; records that came again: %d; groups that went back: %d",
		len(accepted), answers, c.killed, c.slept, c.repeated, c.rewound.Load())
	if len(accepted) < documents/4 {
		t.Fatalf("only %d documents were accepted", len(accepted))
	}
	for _, id := range accepted {
		if j := p.wait(id, 3*time.Minute); j.Status != "completed" && j.Status != "partial" {
			t.Errorf("job %s ended as %+v", id, j)
		}
	}
	p.verify(accepted)
}

// chaos kills, and does what else may come.
type chaos struct {
	p          *platform
	brokers    *testenv.Brokers // nil where the brokers are not the test's to kill, or are among the processes of the platform
	random     *rand.Rand
	killed     map[string]int
	slept      []string
	away       sync.WaitGroup // what sleeps, and brokers until they are back
	reviving   sync.Mutex
	repeated   int
	events     atomic.Int64
	rewound    atomic.Int64
	stop, done chan struct{}
}

// run does something every 0.3 to 3 seconds: mostly it kills a process. It never fails the test: what it finds dead is being started again.
func (c *chaos) run() {
	defer close(c.done)
	for n := 1; ; n++ {
		select {
		case <-c.stop:
			return
		case <-time.After(300*time.Millisecond + time.Duration(c.random.IntN(2700))*time.Millisecond):
		}
		b, err := os.ReadFile(filepath.Join(c.p.dir, "dev.json"))
		if err != nil {
			continue
		}
		var d devFile
		if json.Unmarshal(b, &d) != nil {
			continue
		}
		c.events.Add(1)
		switch what := c.random.IntN(10); {
		case n == 2 || what == 0:
			c.sleep(d)
		case n == 4 || what == 1:
			c.again(d)
		default:
			c.kill(d)
		}
	}
}

// kill ends a random process, or one below it.
func (c *chaos) kill(d devFile) {
	if c.brokers != nil {
		for n, pid := range c.brokers.Running() {
			d.PIDs[fmt.Sprint(kafkaBroker, n)] = pid
		}
	}
	name, pid := c.one(d, func(name string) bool { return name != "dev" })
	if pid == 0 {
		return
	}
	if number, ok := strings.CutPrefix(name, kafkaBroker); ok {
		c.killBroker(name, number)
		return
	}
	if below := tree(pid); len(below) > 1 && c.random.IntN(2) == 0 {
		name, pid = name+" (child)", below[1+c.random.IntN(len(below)-1)]
	}
	if syscall.Kill(pid, syscall.SIGKILL) == nil {
		c.killed[name]++
	}
}

// kafkaBroker is the name of a broker of the test's own, before its number.
const kafkaBroker = "kafka-"

// killBroker ends a broker, which is started again a moment later: nothing but the test does that.
func (c *chaos) killBroker(name, number string) {
	n, err := strconv.Atoi(number)
	back := time.Duration(c.random.IntN(5000)) * time.Millisecond
	if err != nil || !c.brokers.Kill(n) {
		return
	}
	c.killed[name]++
	c.away.Go(func() {
		time.Sleep(back)
		c.reviving.Lock()
		defer c.reviving.Unlock()
		_ = c.brokers.Revive() // one may be killed again while it starts: the last word is at the end
	})
}

// one chooses a process among those that run.
func (c *chaos) one(d devFile, may func(string) bool) (name string, pid int) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(d.PIDs)), func(n string) bool { return d.PIDs[n] < 2 || !may(n) })
	if len(names) == 0 {
		return "", 0
	}
	name = names[c.random.IntN(len(names))]
	return name, d.PIDs[name]
}

// document makes the next document: mostly a note, sometimes a scan of a few pages.
func (c *chaos) document(random *rand.Rand, n int) (name string, body []byte) {
	if random.IntN(5) > 0 {
		return fmt.Sprintf("note-%d.txt", n), fmt.Appendf(nil, "Note %d of the harbour master.\nThe tide turns at %d.\n", n, random.IntN(24))
	}
	var b bytes.Buffer
	if err := sample.Write(&b, sample.Options{Pages: 1 + random.IntN(3), DPI: 72, Seed: random.Uint64()}); err != nil {
		c.p.t.Error(err)
	}
	return fmt.Sprintf("scan-%d.pdf", n), b.Bytes()
}

// verify runs docstream verify until it finds nothing amiss, or fails with what it says.
func (p *platform) verify(accepted []string) {
	p.t.Helper()
	list := filepath.Join(p.t.(*testing.T).TempDir(), "accepted")
	var lines strings.Builder
	for _, id := range accepted {
		fmt.Fprintf(&lines, "default/%s\n", id)
	}
	if err := os.WriteFile(list, []byte(lines.String()), 0o600); err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(testenv.Binary(p.t, "docstream"), "verify", "--data", p.dir, "--wait", "90s", "--accepted", list)
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("docstream verify: %v\n%s", err, tail(out, 6000))
	}
	p.t.Logf("%s", bytes.TrimSpace(out))
}

// try posts a file once; the gateway may be dead.
func (p *platform) try(name string, file []byte) (answer, error) {
	_ = p.reload()
	return p.request(p.form(name, file))
}

// form is the request that posts a file.
func (p *platform) form(name string, file []byte) (method, path string, body *bytes.Buffer, contentType string) {
	body = &bytes.Buffer{}
	w := multipart.NewWriter(body)
	_ = w.WriteField("cache", "false")
	part, err := w.CreateFormFile("file", name)
	if err != nil {
		p.t.Error(err)
	}
	_, _ = part.Write(file)
	_ = w.Close()
	return http.MethodPost, "/api/v1/documents", body, w.FormDataContentType()
}
