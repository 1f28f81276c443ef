package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"docstream/gateway/keys"
	"docstream/ops/bench"
	"docstream/ops/bench/pace"
	"docstream/schemas"
)

// gatewayBench are the flags of bench gateway.
type gatewayBench struct {
	clients   []int
	duration  time.Duration
	rounds    int
	followers int
	only      []string
	python    string
	peer      string
}

func (p *program) benchGatewayCommand() *cobra.Command {
	var o gatewayBench
	c := &cobra.Command{Use: "gateway", Short: "Measure one gateway beside what it stands on", Args: cobra.NoArgs,
		Long: "Start a gateway of its own beside the running one-machine service, on topics of its own that nobody works on, and measure it in turn\n" +
			"with what it stands on: look-ups of a job that has ended beside a bare HTTP handler that returns the same body, also with all that our head\n" +
			"says, and beside FastAPI with Redis (--python names an interpreter with ops/bench/lookup-requirements.txt; without it, or without\n" +
			"redis-server, it is left out and said so); submits of 100 KB beside a bare PUT and a bare produce; its memory under followers. Everything\n" +
			"stays on this machine.",
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case o.duration < time.Second || o.duration > time.Minute || o.rounds < 1 || o.rounds > 10:
				return fail(exitUsage, "--duration must be from 1s to 1m, --rounds from 1 to 10")
			case slices.ContainsFunc(o.only, func(s string) bool { return !slices.Contains(gatewaySteps, s) }):
				return fail(exitUsage, "--only names some of %s", strings.Join(gatewaySteps, ", "))
			case o.followers < 0 || o.followers > 4000 || slices.ContainsFunc(o.clients, func(n int) bool { return n < 1 || n > 1000 }):
				return fail(exitUsage, "--followers must be at most 4000, --clients from 1 to 1000")
			}
			return p.benchGateway(c.Context(), o)
		}}
	f := c.Flags()
	f.IntSliceVar(&o.clients, "clients", []int{100, 400}, "clients that submit at once, each number by itself")
	f.DurationVar(&o.duration, "duration", 5*time.Second, "of one measurement, up to 1m")
	f.IntVar(&o.rounds, "rounds", 3, "measurements of each, in turn, up to 10")
	f.IntVar(&o.followers, "followers", 1000, "streams of events at once")
	f.StringSliceVar(&o.only, "only", gatewaySteps, "what to measure")
	f.StringVar(&o.python, "python", "", "Python with FastAPI and Redis' client; empty: without that peer")
	f.StringVar(&o.peer, "peer", "ops/bench/lookup_peer.py", "the peer's program")
	bare := &cobra.Command{Use: "bare ADDRESS", Hidden: true, Args: cobra.ExactArgs(1), Short: "Answer every request with what stands on standard input",
		RunE: func(c *cobra.Command, args []string) error { return serveBare(p.stdin, args[0]) }}
	c.AddCommand(bare)
	return c
}

// gatewaySteps are what bench gateway measures, in order.
var gatewaySteps = []string{"lookups", "submits", "followers"}

// serveBare is the least that answers: what a look-up is held against. The answer, head and body, comes as HTTP has it.
func serveBare(in io.Reader, address string) error {
	answer, err := http.ReadResponse(bufio.NewReader(in), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	return (&http.Server{Addr: address, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), answer.Header)
		_, _ = w.Write(body)
	})}).ListenAndServe()
}

// gatewayReport is what bench gateway prints. Rates are accepted answers a second, each the median of its rounds.
type gatewayReport struct {
	Lookup struct {
		Ours, Bare        lookUpCost
		OverBare          float64       `json:"rate_over_bare"`
		CPUOverBare       float64       `json:"bare_cpu_over_ours"`
		Headed            lookUpCost    // bare, but with the fields that the head of our answer has
		OverHeaded        float64       `json:"rate_over_headed"`
		CPUOverHeaded     float64       `json:"headed_cpu_over_ours"`
		Peers             []lookUpPeer  `json:"peers"`
		PeerMissing       string        `json:"peer_missing,omitempty"`
		HalfP99           time.Duration `json:"p99_at_half_rate"`
		LookupsPerRequest float64       `json:"lookups_of_the_log_per_request"`
		WaitP99           string        `json:"wait_p99"` // the bucket it lies in
	} `json:"lookup"`
	Submits []submitsOf `json:"submits"`
	Follow  struct {
		Followers     int
		Before, After int64 // resident bytes of the gateway
		Later         int64 // after they have followed for a while
	} `json:"follow"`
}

// lookUpCost is a rate, and what a look-up costs its server's processes, in microseconds of CPU: the rate of a machine whose processors serve and
// ask at once says less. The brokers' part of ours, [gatewayReport].Lookup.LookupsPerRequest questions, is not in it; Redis' part of the peer's is.
type lookUpCost struct {
	Rate float64 `json:"rate"`
	CPU  float64 `json:"cpu_microseconds"`
}

// lookUpPeer is FastAPI with Redis on so many processes.
type lookUpPeer struct {
	Workers int `json:"workers"`
	lookUpCost
	RateUnder float64 `json:"our_rate_over_its"`
	CPUOver   float64 `json:"its_cpu_over_ours"`
}

type submitsOf struct {
	Clients    int
	Ours, Bare float64
	Ratio      float64
	P99        time.Duration `json:"p99_at_half_rate"`
}

// gatewayMeasure is a measurement under way.
type gatewayMeasure struct {
	*program
	gatewayBench
	dir      string
	cfg      Config
	base     string // of the gateway
	pid      int
	token    string
	ended    string // a job that has ended
	live     string // one that has not
	children []*exec.Cmd
	report   gatewayReport
}

func (p *program) benchGateway(ctx context.Context, o gatewayBench) (err error) {
	d, err := p.service()
	if err != nil {
		return err
	}
	if !loopback(d.API) || !loopback("http://"+strings.Split(d.Kafka, ",")[0]) {
		return fail(exitUsage, "the service is not on this machine: one of others is not to be saturated")
	}
	m := &gatewayMeasure{program: p, gatewayBench: o, cfg: defaults()}
	if m.dir, err = os.MkdirTemp("", "docstream-bench-"); err != nil {
		return err
	}
	defer func() { m.stop(); err = errors.Join(err, os.RemoveAll(m.dir)) }()
	c := &m.cfg
	c.HouseKey = HouseKey{ID: houseKeyID, Secret: random(32)}
	c.Kafka.Brokers, c.Kafka.Registry, c.Topics.Prefix = strings.Split(d.Kafka, ","), d.Registry, "bench-"+random(4)+"."
	c.Objects.Endpoint, c.Objects.PathStyle, c.Objects.Bucket, c.Objects.AccessKey, c.Objects.SecretKey = d.S3, true, d.S3Bucket, d.S3AccessKey, d.S3SecretKey
	c.View.Dir, c.Telemetry.Metrics = filepath.Join(m.dir, "view"), ""
	if err := m.prepare(ctx); err != nil {
		return err
	}
	steps := map[string]func(context.Context) error{"lookups": m.lookUps, "submits": m.submits, "followers": m.follow}
	for _, name := range gatewaySteps {
		if !slices.Contains(o.only, name) {
			continue
		}
		if err := steps[name](ctx); err != nil {
			return err
		}
	}
	if p.json {
		return p.print(m.report)
	}
	m.table()
	return nil
}

// prepare lays topics, a key, a job that has ended and one that has not, and starts the gateway.
func (m *gatewayMeasure) prepare(ctx context.Context) error {
	if _, err := applyTopics(ctx, m.cfg); err != nil {
		return err
	}
	house := schemas.SigningKey{ID: houseKeyID, Secret: []byte(m.cfg.HouseKey.Secret)}
	token, key, err := keys.New(house, "bench", "bench gateway", []string{keys.Documents}, time.Time{})
	if err != nil {
		return err
	}
	m.token = token
	now := time.Now().UTC().Truncate(time.Microsecond)
	job := func(status string) *schemas.JobSnapshot {
		id := schemas.NewJobID(now)
		s := &schemas.JobSnapshot{Head: schemas.Head{EventID: "evt_" + id, Tenant: "bench", JobID: id, At: now, SubmittedAt: now}, Version: 9, Status: status,
			Stage: "pages", Class: "cpu", Priority: "normal", OpenedAt: now, PagesTotal: 4, PagesExpected: 4, PagesDone: 2, Options: schemas.Options{OCR: "auto"},
			Source: schemas.Source{Key: "sources/bench/x", Size: 100 << 10, MediaType: "application/pdf", Filename: "bench.pdf", SHA256: strings.Repeat("0", 64)}}
		if schemas.Terminal(status) {
			s.Stage, s.EndedAt, s.PagesDone = "done", now.Add(time.Second), 4
			for _, f := range []string{"markdown", "json", "html", "csv", "text"} {
				s.Outputs = append(s.Outputs, schemas.Output{Format: f, Key: "results/bench/" + id + "/0/document." + f, Size: 1000, SHA256: strings.Repeat("0", 64)})
			}
		}
		return s
	}
	ended, live := job(schemas.Completed), job(schemas.Processing)
	m.ended, m.live = ended.JobID, live.JobID
	if err := publish(ctx, m.cfg, key, ended, live); err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	m.cfg.Gateway.Listen, m.base = address, "http://"+address
	cmd, err := m.spawn("gateway", environment(m.cfg), nil, "gateway")
	if err != nil {
		return err
	}
	m.pid = cmd.Process.Pid
	return m.answers(ctx, m.base+"/readyz")
}

// spawn starts our own program; what it says goes to a file.
func (m *gatewayMeasure) spawn(name string, env []string, in io.Reader, args ...string) (*exec.Cmd, error) {
	exe, err := self()
	if err != nil {
		return nil, err
	}
	return m.run(name, env, in, exe, args...)
}

func (m *gatewayMeasure) run(name string, env []string, in io.Reader, program string, args ...string) (*exec.Cmd, error) {
	log, err := os.Create(filepath.Join(m.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), in, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // uvicorn's workers go with it
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	m.children = append(m.children, cmd)
	return cmd, nil
}

func (m *gatewayMeasure) stop() {
	for _, cmd := range m.children {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}
}

// answers waits until an address answers with 200.
func (m *gatewayMeasure) answers(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := untilDone(ctx, func() (bool, error) { return m.get(url)(ctx) == http.StatusOK, nil })
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", url, err)
	}
	return nil
}

// get returns what asks for an address with the key, over connections that stay open.
func (m *gatewayMeasure) get(url string) pace.Do {
	client := &http.Client{Timeout: uploadPatience, Transport: &http.Transport{MaxIdleConns: 1000, MaxIdleConnsPerHost: 1000, DisableCompression: true}}
	return func(ctx context.Context) int {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return 0
		}
		r.Header.Set("Authorization", "Bearer "+m.token)
		res, err := client.Do(r)
		if err != nil {
			return 0
		}
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return 0
		}
		return res.StatusCode
	}
}

func (m *gatewayMeasure) say(format string, a ...any) {
	fmt.Fprintf(m.stderr, "docstream: "+format+"\n", a...)
}

// measured is a contender's rate of good answers a second and, where its processes are known, their CPU time for one, in microseconds.
type measured struct{ rate, cpu float64 }

// rate saturates with so many clients; good answers count after a quarter of the time.
func (m *gatewayMeasure) rate(ctx context.Context, clients int, c contender) measured {
	before := c.spent()
	samples := pace.Closed(ctx, pace.Bounds{InFlight: clients, Time: m.duration, Count: 10_000_000}, c.do)
	spent, good := c.spent()-before, 0
	for _, s := range samples {
		if s.Status == c.good {
			good++
		}
	}
	return measured{pace.Throughput(samples, c.good, m.duration/4, m.duration), float64(spent.Microseconds()) / max(1, float64(good))}
}

// inTurn measures several, one after the other and again, and returns the medians of each.
func (m *gatewayMeasure) inTurn(ctx context.Context, what string, clients int, of []contender) []measured {
	rates, cpus := make([][]float64, len(of)), make([][]float64, len(of))
	for round := range m.rounds {
		for i, c := range of {
			r := m.rate(ctx, clients, c)
			rates[i], cpus[i] = append(rates[i], r.rate), append(cpus[i], r.cpu)
			cost := ""
			if len(c.pids) > 0 {
				cost = fmt.Sprintf(", %.0f µs of CPU each", r.cpu)
			}
			m.say("%s, %d clients, round %d: %s %.0f a second%s", what, clients, round+1, c.name, r.rate, cost)
		}
	}
	out := make([]measured, len(of))
	for i := range of {
		slices.Sort(rates[i])
		slices.Sort(cpus[i])
		out[i] = measured{rates[i][m.rounds/2], cpus[i][m.rounds/2]}
	}
	return out
}

// contender is one of those that are measured.
type contender struct {
	name string
	good int
	do   pace.Do
	pids []int // whose processes, with their descendants, do the work; none: not known

	workers int // of the peer
}

// spent is the CPU time of the contender's processes so far.
func (c contender) spent() (total time.Duration) {
	for _, pid := range c.pids {
		d, _ := bench.Tree(pid)
		total += d
	}
	return total
}

// table prints the report for people.
func (m *gatewayMeasure) table() {
	r, w := m.report, m.stdout
	if slices.Contains(m.only, "lookups") {
		m.lookUpTable()
	}
	for _, s := range r.Submits {
		fmt.Fprintf(w, "submits of 100 KB, %d clients, a second: gateway %.1f, bare PUT and produce %.1f (ratio %.2f); p99 at half of that rate %s\n", s.Clients, s.Ours, s.Bare, s.Ratio, milliseconds(s.P99))
	}
	if !slices.Contains(m.only, "followers") {
		return
	}
	fmt.Fprintf(w, "followers %d: gateway resident %d MB before, %d MB with them, %d MB after they followed for %s\n", r.Follow.Followers, r.Follow.Before>>20, r.Follow.After>>20, r.Follow.Later>>20, 2*m.duration)
}

// lookUpTable prints both ways to hold look-ups against others: by what a server spends, and by what the machine gets through with the asking beside.
func (m *gatewayMeasure) lookUpTable() {
	r, w := m.report.Lookup, m.stdout
	fmt.Fprintf(w, "look-ups of a job that has ended, %d clients\n", lookUpClients)
	fmt.Fprintf(w, "  gateway                     %6.0f µs of CPU, %6.0f a second\n", r.Ours.CPU, r.Ours.Rate)
	fmt.Fprintf(w, "  bare handler                %6.0f µs of CPU, %6.0f a second: ours is %.2f of it by CPU, %.2f by rate\n", r.Bare.CPU, r.Bare.Rate, r.CPUOverBare, r.OverBare)
	fmt.Fprintf(w, "  bare handler, whole head    %6.0f µs of CPU, %6.0f a second: ours is %.2f of it by CPU, %.2f by rate\n", r.Headed.CPU, r.Headed.Rate, r.CPUOverHeaded, r.OverHeaded)
	for _, p := range r.Peers {
		fmt.Fprintf(w, "  FastAPI + Redis, %2d workers %6.0f µs of CPU, %6.0f a second: ours is %.1f times it by CPU, %.1f by rate\n", p.Workers, p.CPU, p.Rate, p.CPUOver, p.RateUnder)
	}
	if r.PeerMissing != "" {
		fmt.Fprintf(w, "  FastAPI + Redis was not measured: %s\n", r.PeerMissing)
	}
	fmt.Fprintf(w, "p99 of a look-up at half of that rate %s; p99 of its wait for the log %s; %.3f questions to the brokers a request\n", milliseconds(r.HalfP99), r.WaitP99, r.LookupsPerRequest)
}

// memory is what the gateway holds now, in bytes.
func (m *gatewayMeasure) memory() int64 { return bench.Resident(m.pid) }

func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o600)
}
