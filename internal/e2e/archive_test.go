package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/testenv"
	"docstream/internal/topology"
	"docstream/ops/sample"
)

// views are ClickHouse's public names.
var views = []string{"jobs", "runs", "pages", "usage", "stages", "dead_letters"}

// ask returns what ClickHouse answers, an error included.
func (p *platform) ask(query string) string {
	res, err := http.Get(p.dev.ClickHouse + "/?query=" + url.QueryEscape(query))
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(b))
}

// checksum is that of every row of every view of a database.
func (p *platform) checksum(database string) string {
	var out strings.Builder
	for _, v := range views {
		sum := p.ask("SELECT count(), sum(cityHash64(toString(tuple(*)))) FROM " + database + "." + v)
		if strings.Contains(sum, "Exception") || v != "dead_letters" && strings.HasPrefix(sum, "0\t") {
			p.t.Errorf("%s.%s: %s", database, v, sum)
		}
		fmt.Fprintf(&out, "%s %s\n", v, sum)
	}
	return out.String()
}

// archived waits until every fact, job event and usage record that the topics hold is archived, and returns how many that are.
func (p *platform) archived(s map[string]string) string {
	p.t.Helper()
	from := func(topic string) string {
		return fmt.Sprintf("(SELECT count() FROM s3('%s/%s/archive/%s/dt=*/p=*/*.avro', '%s', '%s', 'Avro'))", s["S3"], s["BUCKET"], topic, s["ACCESS_KEY"], s["SECRET_KEY"])
	}
	query := "SELECT " + from("facts") + ", " + from("job-events") + ", " + from("usage")
	last, since := "", time.Now()
	p.eventually(90*time.Second, "the archive to come to rest", func() bool {
		now := p.ask(query)
		if now != last || strings.Contains(now, "Exception") {
			last, since = now, time.Now()
		}
		return time.Since(since) > 12*time.Second // longer than a killed sink takes to be back in its group; several ages of a file
	})
	return last
}

// variables are what the page about the archive has names for.
func (p *platform) variables() map[string]string {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, "dev.json"))
	if err != nil {
		p.t.Fatal(err)
	}
	var d map[string]any
	if err := json.Unmarshal(b, &d); err != nil {
		p.t.Fatal(err)
	}
	text := func(name string) string { return fmt.Sprint(d[name]) }
	return map[string]string{"S3": text("s3"), "BUCKET": text("s3_bucket"), "ACCESS_KEY": text("s3_access_key"), "SECRET_KEY": text("s3_secret_key"),
		"ARCHIVE": filepath.Join(p.dir, "s3", "buckets", text("s3_bucket"), "archive"), "PREFIX": text("topics_prefix")}
}

// command runs a command line of the program on the platform.
func (p *platform) command(args ...string) (string, error) {
	cmd := exec.Command(testenv.Binary(p.t, "docstream"), append([]string{"--data", p.dir}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// forget removes every record of topics, as their retention would.
func (p *platform) forget(prefix string, topics ...string) {
	p.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(p.dev.Kafka, ",")...))
	if err != nil {
		p.t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	for _, topic := range topics {
		ends, err := adm.ListEndOffsets(p.t.Context(), prefix+topic)
		if err != nil {
			p.t.Fatal(err)
		}
		done, err := adm.DeleteRecords(p.t.Context(), ends.Offsets())
		if err == nil {
			err = done.Error()
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

// killAgain kills a role once it runs after the last time.
func (p *platform) killAgain(role string) {
	p.t.Helper()
	p.eventually(30*time.Second, role+" to run", func() bool { return p.reload() == nil && syscall.Kill(p.dev.PIDs[role], 0) == nil })
	p.kill(role)
}

func TestClickHouseIsRebuiltFromTheArchive(t *testing.T) {
	testenv.Cached(t, "libchdb.so")
	p := start(t, "--set", "archive.file_age=1s")
	scan, _ := made(t, sample.Options{Pages: 3, DPI: 100, Seed: 9})
	ids := []string{p.submit("scan.pdf", scan, nil)}
	for i := range 20 {
		ids = append(ids, p.submit("note.txt", fmt.Appendf(nil, "Note number %d.", i), map[string]string{"priority": []string{"high", "normal", "low"}[i%3]}))
		if i%7 == 3 {
			p.killAgain("sink") // in the middle of whatever it does
		}
	}
	for _, id := range ids {
		if j := p.wait(id, 3*time.Minute); j.Status != "completed" {
			t.Fatalf("the job ended as %+v", j)
		}
	}
	p.sql("SELECT countIf(status = 'completed') FROM jobs", fmt.Sprint(len(ids)))
	p.sql("SELECT count() FROM pages", fmt.Sprint(len(ids)-1+3))
	vars := p.variables()
	counts := p.archived(vars)
	before := p.checksum("docstream")

	t.Run("the archive has every record once", func(t *testing.T) {
		for _, topic := range []string{"facts", "job-events", "usage"} {
			got := p.ask(fmt.Sprintf("SELECT count() = uniqExact(partition, offset), count() = uniqExact(event_id) FROM s3('%s/%s/archive/%s/dt=*/p=*/*.avro', '%s', '%s', 'Avro')",
				vars["S3"], vars["BUCKET"], topic, vars["ACCESS_KEY"], vars["SECRET_KEY"]))
			if got != "1\t1" {
				t.Errorf("%s: %s of %s", topic, got, counts)
			}
		}
	})

	p.forget(vars["PREFIX"], "facts", "job-events", "usage")
	for _, args := range [][]string{{"--into", "fresh"}, {"--into", "fresh"}, {}, {"--empty"}, {"--empty"}} {
		t.Run("rebuild "+strings.Join(args, " "), func(t *testing.T) {
			out, err := p.command(append([]string{"rebuild", "clickhouse"}, args...)...)
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			t.Log(strings.TrimSpace(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]))
			database := "docstream"
			if len(args) > 1 {
				database = args[1]
			}
			if after := p.checksum(database); after != before {
				t.Errorf("rebuilt as\n%swas\n%s", after, before)
			}
		})
	}

	t.Run("live rows go on, none doubled", func(t *testing.T) {
		id := p.submit("note.txt", []byte("One more."), nil)
		p.wait(id, time.Minute)
		p.sql("SELECT countIf(status = 'completed') FROM jobs", fmt.Sprint(len(ids)+1))
		p.sql("SELECT count(), uniqExact(job_id, run, page) FROM pages", fmt.Sprintf("%d\t%d", len(ids)+3, len(ids)+3))
		p.sql("SELECT count() = uniqExact(event_id), count() = uniqExact(job_id, run, stage, page) FROM usage", "1\t1")
	})

	t.Run("a job is replayed once its submission is only in the archive", func(t *testing.T) {
		for _, lane := range topology.Documents.All() {
			p.forget(vars["PREFIX"], lane.Topic)
		}
		for n, again := range []string{"one new run", "said again"} {
			if out, err := p.command("replay", "--job", ids[1]); err != nil {
				t.Fatalf("%d: %v: %s", n, err, out)
			}
			if j := p.wait(ids[1], time.Minute); j.Run != 1 || j.Status != "completed" {
				t.Errorf("%s: %+v", again, j)
			}
		}
	})

	t.Run("a file that is gone is named", func(t *testing.T) {
		files, err := filepath.Glob(filepath.Join(vars["ARCHIVE"], "job-events", "dt=*", "p=*", "*.avro"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		if err := os.WriteFile(files[0], []byte("spoilt"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := p.command("rebuild", "clickhouse", "--into", "spoilt")
		var e *exec.ExitError
		if !asExit(err, &e) || e.ExitCode() != 5 || !strings.Contains(out, filepath.Base(files[0])) {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("wrong usage is refused", func(t *testing.T) {
		for _, args := range [][]string{{"--empty", "--since", "2026-01-01"}, {"--from", "tape"}, {"--since", "yesterday"}, {"--into", "a;b"}} {
			out, err := p.command(append([]string{"rebuild", "clickhouse"}, args...)...)
			var e *exec.ExitError
			if !asExit(err, &e) || e.ExitCode() != 2 {
				t.Errorf("%v: %v %s", args, err, out)
			}
		}
	})
}

func asExit(err error, e **exec.ExitError) bool {
	x, ok := err.(*exec.ExitError)
	*e = x
	return ok
}

// TestThePageAboutTheArchiveIsTrue runs every command and program that the page shows.
func TestThePageAboutTheArchiveIsTrue(t *testing.T) {
	testenv.Cached(t, "libchdb.so")
	page, err := os.ReadFile(filepath.Join(testenv.Root(t), "ops", "docs", "archive.md"))
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, "--set", "archive.file_age=1s")
	id := p.submit("note.txt", []byte("Four words on it."), nil)
	p.wait(id, time.Minute)
	scan, _ := made(t, sample.Options{Pages: 1, DPI: 100, Seed: 9})
	p.wait(p.submit("scan.pdf", scan, nil), 2*time.Minute)
	vars := p.variables()
	p.archived(vars)
	env := testenv.Python(t, filepath.Join(testenv.Root(t), "sinks", "s3", "testdata", "requirements.txt"))
	env = append(env, "PATH="+filepath.Join(testenv.Root(t), "bin")+":"+os.Getenv("PATH"), "DOCSTREAM_DATA="+p.dir)
	for k, v := range vars {
		env = append(env, k+"="+v)
	}
	said := map[string]string{"python": id, "FROM s3": "", "rebuild": " 0 refused"}
	ran := 0
	for i, block := range strings.Split(string(page), "\n```") {
		kind, text, _ := strings.Cut(block, "\n")
		if i%2 == 0 {
			continue
		}
		ran++
		var cmd *exec.Cmd
		switch kind {
		case "sh":
			cmd = exec.Command("bash", "-euc", text)
		case "python":
			cmd = exec.Command("python3", "-c", text)
		default:
			t.Fatalf("block %d is %q", i, kind)
		}
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s\n%v: %s", text, err, out)
		}
		for in, want := range said {
			if strings.Contains(block, in) && (!strings.Contains(string(out), want) || len(strings.TrimSpace(string(out))) == 0) {
				t.Errorf("%s\nsaid %s", text, out)
			}
		}
	}
	if ran < 6 {
		t.Errorf("the page has %d blocks", ran)
	}
}
