package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/blob"
	"docstream/internal/telemetry"
	"docstream/internal/topology"
	"docstream/ops/bench/pace"
)

// lookUpClients ask at once.
const lookUpClients = 100

// lookUps measures those of a job that has ended.
func (m *gatewayMeasure) lookUps(ctx context.Context) error {
	url := m.base + "/api/v1/jobs/" + m.ended
	r := &m.report.Lookup
	of, err := m.lookUpContenders(ctx, url)
	if err != nil {
		return err
	}
	before := m.counters(ctx)
	costs := m.inTurn(ctx, "look-ups", lookUpClients, of)
	cost := func(i int) lookUpCost { return lookUpCost{costs[i].rate, costs[i].cpu} }
	r.Ours, r.Bare, r.Headed = cost(0), cost(1), cost(2)
	r.OverBare, r.CPUOverBare = r.Ours.Rate/max(r.Bare.Rate, 1), r.Bare.CPU/max(r.Ours.CPU, 1)
	r.OverHeaded, r.CPUOverHeaded = r.Ours.Rate/max(r.Headed.Rate, 1), r.Headed.CPU/max(r.Ours.CPU, 1)
	for i, c := range of[3:] {
		p := lookUpPeer{Workers: c.workers, lookUpCost: cost(i + 3)}
		p.RateUnder, p.CPUOver = r.Ours.Rate/max(p.Rate, 1), p.CPU/max(r.Ours.CPU, 1)
		r.Peers = append(r.Peers, p)
	}
	samples := pace.Open(ctx, max(1, r.Ours.Rate/2), pace.Bounds{InFlight: lookUpClients, Time: m.duration, Count: 10_000_000}, of[0].do)
	r.HalfP99 = pace.Summarize(samples, http.StatusOK, m.duration).P99
	after := m.counters(ctx)
	waits := after["docstream_view_wait_seconds_count"] - before["docstream_view_wait_seconds_count"]
	r.LookupsPerRequest = (after["docstream_view_lookups_total"] - before["docstream_view_lookups_total"]) / max(1, waits)
	r.WaitP99 = waitP99(before, after, waits)
	return ctx.Err()
}

// lookUpContenders are ours, the bare handler, with as few fields in its head as can be and with all of ours, and the peer, on one process and on
// one for each core. All answer the same body, which whoever asks compares.
func (m *gatewayMeasure) lookUpContenders(ctx context.Context, url string) ([]contender, error) {
	head, body, err := m.ask(ctx, url)
	if err != nil {
		return nil, err
	}
	ask := func(url string) (pace.Do, error) {
		w, err := pace.NewWire(url, http.Header{"Authorization": {"Bearer " + m.token}}, body)
		if err != nil {
			return nil, err
		}
		return w.Do, nil
	}
	ours, err := ask(url)
	if err != nil {
		return nil, err
	}
	of := []contender{{name: "gateway", good: http.StatusOK, do: ours, pids: []int{m.pid}}}
	head.Del("Date") // the server's own
	for _, b := range []struct {
		name string
		head http.Header
	}{{"bare handler", http.Header{"Content-Type": head["Content-Type"], "Content-Length": head["Content-Length"]}}, {"bare handler, whole head", head}} {
		at, pid, err := m.startBare(ctx, b.name, b.head, body)
		if err != nil {
			return nil, err
		}
		do, err := ask(at)
		if err != nil {
			return nil, err
		}
		of = append(of, contender{name: b.name, good: http.StatusOK, do: do, pids: []int{pid}})
	}
	for _, workers := range slices.Compact([]int{1, runtime.NumCPU()}) {
		at, pids, err := m.startPeer(ctx, string(body), workers)
		if err != nil {
			m.report.Lookup.PeerMissing = err.Error()
			m.say("FastAPI + Redis is not measured: %v", err)
			return of, nil
		}
		do, err := ask(at)
		if err != nil {
			return nil, err
		}
		of = append(of, contender{name: fmt.Sprintf("FastAPI + Redis on %d", workers), good: http.StatusOK, do: do, pids: pids, workers: workers})
	}
	return of, nil
}

// startBare starts a bare handler that gives an answer.
func (m *gatewayMeasure) startBare(ctx context.Context, name string, head http.Header, body []byte) (url string, pid int, err error) {
	address, err := freeAddress()
	if err != nil {
		return "", 0, err
	}
	var answer bytes.Buffer
	answer.WriteString("HTTP/1.1 200 OK\r\n")
	if err := head.Write(&answer); err != nil {
		return "", 0, err
	}
	answer.WriteString("\r\n")
	answer.Write(body)
	cmd, err := m.spawn(name, nil, &answer, "bench", "gateway", "bare", address)
	if err != nil {
		return "", 0, err
	}
	return "http://" + address, cmd.Process.Pid, m.answers(ctx, "http://"+address)
}

// fetch is the body that an address answers with.
func (m *gatewayMeasure) fetch(ctx context.Context, url string) ([]byte, error) {
	_, b, err := m.ask(ctx, url)
	return b, err
}

func (m *gatewayMeasure) ask(ctx context.Context, url string) (http.Header, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+m.token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %d %s", url, res.StatusCode, b)
	}
	return res.Header, b, err
}

// counters reads the gateway's metrics that have no labels, and the buckets of the wait by their bound.
func (m *gatewayMeasure) counters(ctx context.Context) map[string]float64 {
	out := map[string]float64{}
	b, err := m.fetch(ctx, m.base+"/metrics")
	if err != nil {
		return out
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if x, err := strconv.ParseFloat(value, 64); err == nil {
			name = strings.TrimSuffix(strings.Replace(name, `docstream_view_wait_seconds_bucket{le="`, "wait ", 1), `"}`)
			out[name] = x
		}
	}
	return out
}

// waitP99 names the bucket of the wait in which the 99th percentile lies.
func waitP99(before, after map[string]float64, n float64) string {
	best := 0.0
	for name := range after {
		text, is := strings.CutPrefix(name, "wait ")
		bound, err := strconv.ParseFloat(text, 64)
		if is && err == nil && after[name]-before[name] >= .99*n && (best == 0 || bound < best) {
			best = bound
		}
	}
	return fmt.Sprintf("at most %gms", best*1000)
}

// startPeer starts Redis and FastAPI, or says what is missing.
func (m *gatewayMeasure) startPeer(ctx context.Context, body string, workers int) (url string, pids []int, err error) {
	if m.python == "" {
		return "", nil, errors.New("--python names no interpreter (a virtual environment with ops/bench/lookup-requirements.txt)")
	}
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		return "", nil, errors.New("redis-server is missing (package redis-server on Debian)")
	}
	if err := exec.CommandContext(ctx, m.python, "-c", "import fastapi, uvicorn, redis").Run(); err != nil {
		return "", nil, fmt.Errorf("%s lacks fastapi, uvicorn or redis (ops/bench/lookup-requirements.txt)", m.python)
	}
	given := filepath.Join(m.dir, "peer.json")
	if err := writeJSON(given, map[string]string{"house": m.cfg.HouseKey.Secret, "token": m.token, "tenant": "bench", "job": m.ended, "body": body}); err != nil {
		return "", nil, err
	}
	var ports [2]string
	for i := range ports {
		address, err := freeAddress()
		if err != nil {
			return "", nil, err
		}
		_, ports[i], _ = net.SplitHostPort(address)
	}
	store, err := m.run(fmt.Sprintf("redis-%d", workers), nil, nil, redis, "--bind", "127.0.0.1", "--port", ports[0], "--save", "", "--appendonly", "no", "--dir", m.dir)
	if err != nil {
		return "", nil, err
	}
	if err := untilDone(ctx, func() (bool, error) { return !free("127.0.0.1:" + ports[0]), nil }); err != nil {
		return "", nil, err
	}
	peer, err := m.run(fmt.Sprintf("peer-%d", workers), nil, nil, m.python, m.peer, ports[0], ports[1], given, strconv.Itoa(workers))
	if err != nil {
		return "", nil, err
	}
	url = "http://127.0.0.1:" + ports[1] + "/api/v1/jobs/" + m.ended
	return url, []int{store.Process.Pid, peer.Process.Pid}, m.answers(ctx, url)
}

// submits measures those of 100 KB beside what none can do without: one PUT and one produce, both durable.
func (m *gatewayMeasure) submits(ctx context.Context) error {
	const size = 100 << 10
	objects, err := blob.Open(m.cfg.Objects, telemetry.NewRegistry("bench"))
	if err != nil {
		return err
	}
	client, err := m.cfg.Kafka.Client(kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer client.Close()
	topic, document := m.cfg.Topics.Name(topology.Documents.All()[0].Topic), page(size)
	bare := func(ctx context.Context) int {
		key := rand.Text()
		body := append([]byte(unlike()), document...)[:size]
		if err := objects.Put(ctx, "work/bench/"+key+"/0/bare", body, blob.Options{MediaType: "text/plain"}); err != nil {
			slog.Debug("bare put", "error", err)
			return 0
		}
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte(key), Value: document[:600]}).FirstErr(); err != nil {
			return 0
		}
		return http.StatusAccepted
	}
	for _, n := range m.clients {
		u := newUploader(service{API: m.base, APIKey: m.token}, size, n)
		rates := m.inTurn(ctx, "submits", n, []contender{{name: "gateway", good: http.StatusAccepted, do: u.do, pids: []int{m.pid}}, {name: "PUT and produce", good: http.StatusAccepted, do: bare}})
		samples := pace.Open(ctx, max(1, rates[0].rate/2), pace.Bounds{InFlight: n, Time: 2 * m.duration, Count: 1_000_000}, u.do)
		s := pace.Summarize(samples, http.StatusAccepted, 2*m.duration)
		m.report.Submits = append(m.report.Submits, submitsOf{n, rates[0].rate, rates[1].rate, rates[0].rate / max(rates[1].rate, 1e-9), s.P99})
		m.say("submits, %d clients, at half of the rate: %d of %d accepted, p99 %s", n, s.Accepted, s.Count, milliseconds(s.P99))
	}
	return ctx.Err()
}

// follow opens many streams of a job that does not end and reads them.
func (m *gatewayMeasure) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &m.report.Follow
	r.Followers, r.Before = m.followers, m.memory()
	client := &http.Client{Transport: &http.Transport{}}
	var open, all sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range m.followers {
		open.Add(1)
		all.Go(func() {
			err := m.listen(ctx, client, open.Done)
			mu.Lock()
			defer mu.Unlock()
			if ctx.Err() == nil {
				failed = errors.Join(failed, err)
			}
		})
	}
	open.Wait()
	r.After = m.memory()
	wait(ctx, 2*m.duration)
	r.Later = m.memory()
	m.say("%d followers: %d MB before, %d MB with them, %d MB later", m.followers, r.Before>>20, r.After>>20, r.Later>>20)
	cancel()
	all.Wait()
	return failed
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// listen opens one stream, says so at its first line, and reads until ctx ends.
func (m *gatewayMeasure) listen(ctx context.Context, client *http.Client, opened func()) error {
	once := sync.OnceFunc(opened)
	defer once()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, m.base+"/api/v1/jobs/"+m.live+"/events", nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+m.token)
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("a stream of events: status %d", res.StatusCode)
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		once()
	}
	return errors.New("a stream of events ended by itself")
}

// freeAddress is one on loopback that nobody listens on now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
