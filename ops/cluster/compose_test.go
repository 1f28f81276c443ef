package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

const root = "../.."

// project reads the compose file with fresh secrets and every profile, as Docker Compose would.
func project(t *testing.T) *types.Project {
	t.Helper()
	env := filepath.Join(t.TempDir(), "env")
	if out, err := exec.Command(filepath.Join(root, "ops", "docker", "secrets.sh"), env).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	p, err := load(t.Context(), dir, env, "gpu")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// program is the path of our own program, built; it is no less than the thing that runs in the containers.
func program(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, "bin", "docstream"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("missing in CI: bin/docstream (make build)")
		}
		t.Skip("missing: bin/docstream (make build)")
	}
	return path
}

// isOurs reports whether a service runs our own program.
func isOurs(s types.ServiceConfig) bool { return repository(s.Image) == ours }

func TestEveryServiceOfTheFileIsThere(t *testing.T) {
	p := project(t)
	want := map[string]int{"kafka-1": 1, "kafka-2": 1, "kafka-3": 1, "registry": 1, "clickhouse": 1, "s3": 1, "nginx": 1, "gateway": 3, "prepare": 1, "fetch": 1, "ocr": 2,
		"track": 1, "ocr-gpu": 2, "sink": 1, "archive": 1, "connector": 1, "prometheus": 1, "alertmanager": 1, "grafana": 1,
		"topics": 1, "bucket": 1, "inbox": 1, "notifications": 1}
	got := map[string]int{}
	for name, s := range p.Services {
		got[name] = s.GetScale()
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("services %v, want %v", got, want)
	}
	if gpu := p.Services["ocr-gpu"]; !slices.Equal(gpu.Profiles, []string{"gpu"}) || len(gpu.Deploy.Resources.Reservations.Devices) != 1 {
		t.Errorf("ocr-gpu has the profiles %v and asks for no GPU", gpu.Profiles)
	}
	cpus := 0
	for _, s := range p.Services {
		if len(s.Command) > 0 && s.Command[0] == "processor" && s.Name != "fetch" && len(s.Profiles) == 0 { // fetch only waits for strangers
			cpus += s.GetScale()
		}
	}
	if cpus != 4 {
		t.Errorf("%d processors on CPUs", cpus)
	}
}

// exact is a tag that names one build: a version of at least two numbers.
var exact = regexp.MustCompile(`^v?[0-9]+\.[0-9]+(\.[0-9]+)*([.-][A-Za-z0-9.]+)*$`)

func TestImagesArePinned(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "ops", "docs", "deploy.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for name, s := range project(t).Services {
		_, tag, _ := strings.Cut(s.Image, ":")
		if isOurs(s) {
			if s.Build == nil || !strings.HasPrefix(tag, "local") {
				t.Errorf("%s: our own image %s is not built from here", name, s.Image)
			}
			continue
		}
		if !exact.MatchString(tag) || s.Build != nil {
			t.Errorf("%s: the image %s is not pinned to a version", name, s.Image)
		}
		if !strings.Contains(page, "`"+s.Image+"`") {
			t.Errorf("%s: ops/docs/deploy.md does not say what of %s was run", name, s.Image)
		}
	}
}

func TestDockerfilesArePinnedSlimAndWithoutRoot(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "ops", "docker", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	stages := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^FROM (\S+) AS (\S+)$`).FindAllStringSubmatch(text, -1) {
		if _, tag, _ := strings.Cut(m[1], ":"); !exact.MatchString(tag) {
			t.Errorf("the base %s is not pinned to a version", m[1])
		}
		stages[m[2]] = text[strings.Index(text, m[0]):]
	}
	for name, s := range project(t).Services {
		if s.Build == nil {
			continue
		}
		stage, ok := stages[s.Build.Target]
		if !ok {
			t.Errorf("%s is built from the stage %s, which is not there", name, s.Build.Target)
			continue
		}
		if next := strings.Index(stage[1:], "\nFROM "); next >= 0 {
			stage = stage[:next+1]
		}
		if !strings.Contains(stage, "\nUSER 10001:10001\n") || strings.LastIndex(stage, "\nRUN ") > strings.Index(stage, "\nUSER ") {
			t.Errorf("the stage %s does not end as a user without rights", s.Build.Target)
		}
		for _, never := range []string{"docstream-parts", "libchdb", "ops/dev", "go build"} {
			if strings.Contains(stage, never) {
				t.Errorf("the stage %s carries %s", s.Build.Target, never)
			}
		}
	}
	ignored, err := os.ReadFile(filepath.Join(root, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{".env", ".git", "ops/dev"} {
		if !slices.Contains(strings.Split(string(ignored), "\n"), line) {
			t.Errorf(".dockerignore lets %s in", line)
		}
	}
}

// TestProductionCarriesNoEmbeddedPart asks Go what our program is made of.
func TestProductionCarriesNoEmbeddedPart(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "./cmd/docstream")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"franz-go/pkg/kfake", "pkg/sr/srfake", "versity/versitygw", "ebitengine/purego", "compose-spec/compose-go", "docstream/ops/cluster"} {
		if bytes.Contains(out, []byte(part)) {
			t.Errorf("the program carries %s", part)
		}
	}
}

func TestPortsAreFreeOfEachOtherAndOnLoopback(t *testing.T) {
	seen := map[string]string{}
	for name, s := range project(t).Services {
		for _, p := range s.Ports {
			if other, twice := seen[p.Published]; twice {
				t.Errorf("%s and %s publish port %s", name, other, p.Published)
			}
			seen[p.Published] = name
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes port %s on %q, which is more than this host", name, p.Published, p.HostIP)
			}
			if s.GetScale() > 1 {
				t.Errorf("%s has replicas and publishes a port", name)
			}
		}
	}
	for service, port := range map[string]string{"nginx": "8080", "kafka-1": "19092", "kafka-2": "29092", "kafka-3": "39092", "registry": "8081", "clickhouse": "8123", "s3": "7070", "prometheus": "9090", "alertmanager": "9093", "grafana": "3000"} {
		if seen[port] != service {
			t.Errorf("port %s leads to %q, not to %s", port, seen[port], service)
		}
	}
}

// durable says where each service writes what must outlive its container.
var durable = map[string]string{"kafka-1": "/var/lib/kafka/data", "kafka-2": "/var/lib/kafka/data", "kafka-3": "/var/lib/kafka/data", "s3": "/data",
	"clickhouse": "/var/lib/clickhouse", "prometheus": "/prometheus", "alertmanager": "/alertmanager", "grafana": "/var/lib/grafana"}

func TestVolumesKeepWhatMustLast(t *testing.T) {
	p := project(t)
	used := map[string]string{}
	for name, s := range p.Services {
		at := ""
		for _, v := range s.Volumes {
			switch {
			case v.Type == "bind":
				if _, err := os.Stat(v.Source); err != nil || !v.ReadOnly {
					t.Errorf("%s sees %s, which must be a file of the repository, read-only: %v", name, v.Source, err)
				}
			case v.Source != "":
				if other, twice := used[v.Source]; twice {
					t.Errorf("%s and %s write the volume %s", name, other, v.Source)
				}
				used[v.Source], at = name, v.Target
				if s.GetScale() > 1 {
					t.Errorf("the replicas of %s share the volume %s", name, v.Source)
				}
			}
		}
		if at != durable[name] {
			t.Errorf("%s keeps %q, want %q", name, at, durable[name])
		}
	}
	if len(used) != len(p.Volumes) {
		t.Errorf("%d volumes are declared, %d used", len(p.Volumes), len(used))
	}
}

func TestEveryServiceIsAskedWhetherItIsWell(t *testing.T) {
	for name, s := range project(t).Services {
		if s.Restart == types.RestartPolicyOnFailure {
			continue // a task: it ends
		}
		if s.Restart != types.RestartPolicyUnlessStopped {
			t.Errorf("%s is restarted %q", name, s.Restart)
		}
		if s.HealthCheck == nil || s.HealthCheck.Disable || s.HealthCheck.Interval == nil || s.HealthCheck.Retries == nil || s.HealthCheck.StartPeriod == nil {
			t.Errorf("%s has no whole health check: %+v", name, s.HealthCheck)
			continue
		}
		if _, err := questionOf(s.HealthCheck.Test); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if isOurs(s) && !slices.Equal(s.HealthCheck.Test[:3], []string{"CMD", "docstream", "ready"}) {
			t.Errorf("%s is asked by %v; its image has no shell tools", name, s.HealthCheck.Test)
		}
	}
}

func TestWhatIsOursIsConfined(t *testing.T) {
	for name, s := range project(t).Services {
		if !isOurs(s) {
			continue
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || s.Privileged || s.User != "" {
			t.Errorf("%s may do more than it needs", name)
		}
	}
}

// ask runs our program with a service's environment.
func ask(t *testing.T, env map[string]*string, change map[string]string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t), args...)
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	for name, value := range env {
		v := *value
		if other, ok := change[name]; ok {
			v = other
		}
		cmd.Env = append(cmd.Env, name+"="+v)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// TestEveryVariableIsAKeyOfTheProgram gives each service's environment to the program itself, which refuses what it does not know, and
// finds every value again in what it would run with.
func TestEveryVariableIsAKeyOfTheProgram(t *testing.T) {
	for name, s := range project(t).Services {
		if !isOurs(s) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			out, errs, code := ask(t, s.Environment, nil, "config", "--json")
			if code != 0 {
				t.Fatalf("the program refuses the environment: %s", errs)
			}
			values := map[string]any{}
			if err := json.Unmarshal([]byte(out), &values); err != nil {
				t.Fatal(err)
			}
			effective := map[string]string{}
			for key, v := range values {
				effective["DOCSTREAM_"+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))] = fmt.Sprint(v)
			}
			for variable, want := range s.Environment {
				got, known := effective[variable]
				switch {
				case !known:
					t.Errorf("%s is no key of the program", variable)
				case strings.HasSuffix(variable, "SECRET") || strings.HasSuffix(variable, "PASSWORD") || strings.HasSuffix(variable, "SECRET_KEY"):
					if got != "***" {
						t.Errorf("%s is printed", variable)
					}
				case alike(got) != alike(*want):
					t.Errorf("%s is %q for the program, %q in the file", variable, got, *want)
				}
			}
		})
	}
}

// alike is a value without what only its spelling differs in: lists of entries are the same whatever the blanks and the order of keys.
func alike(value string) string {
	var entries []map[string]any
	if json.Unmarshal([]byte(value), &entries) == nil && entries != nil {
		b, _ := json.Marshal(entries) // what was just read
		return string(b)
	}
	return value
}

// TestAWrongVariableIsSeen: the test above can fail.
func TestAWrongVariableIsSeen(t *testing.T) {
	value := "3"
	if _, errs, code := ask(t, map[string]*string{"DOCSTREAM_TOPICS_REPLICAS": &value}, nil, "config", "--json"); code != 2 || !strings.Contains(errs, "DOCSTREAM_TOPICS_REPLICAS") {
		t.Errorf("exit %d, %s", code, errs)
	}
}

// TestEveryCommandLineIsUnderstood runs each command line as it stands with no house key: a role reads its whole command line and its whole
// configuration before it misses the key, and nothing is started.
func TestEveryCommandLineIsUnderstood(t *testing.T) {
	for name, s := range project(t).Services {
		if !isOurs(s) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			_, errs, code := ask(t, s.Environment, map[string]string{"DOCSTREAM_HOUSE_KEY_SECRET": ""}, s.Command...)
			want := "house_key.secret is not set"
			if s.Restart == types.RestartPolicyOnFailure {
				// A task needs no house key; its names cannot be looked up here.
				want = "lookup "
				if code == 0 || code == 2 {
					t.Errorf("%v: exit %d: %s", s.Command, code, errs)
				}
			} else if code != 2 {
				t.Errorf("%v: exit %d: %s", s.Command, code, errs)
			}
			if !strings.Contains(errs, want) {
				t.Errorf("%v: %s", s.Command, errs)
			}
		})
	}
}

func TestRolesAgreeOnWhatTheyMustShare(t *testing.T) {
	shared := []string{"DOCSTREAM_HOUSE_KEY_SECRET", "DOCSTREAM_KAFKA_BROKERS", "DOCSTREAM_KAFKA_REGISTRY", "DOCSTREAM_TOPICS_REPLICATION", "DOCSTREAM_TOPICS_MIN_INSYNC"}
	p := project(t)
	for name, s := range p.Services {
		if !isOurs(s) || s.Command[0] == "bucket" {
			continue
		}
		for _, v := range shared {
			if got, want := s.Environment[v], p.Services["gateway"].Environment[v]; got == nil || *got != *want || *got == "" {
				t.Errorf("%s: %s is not what the gateway has", name, v)
			}
		}
	}
	if v := p.Services["topics"].Environment; *v["DOCSTREAM_TOPICS_REPLICATION"] != "3" || *v["DOCSTREAM_TOPICS_MIN_INSYNC"] != "2" {
		t.Error("the topics are not laid with three replicas, two in sync")
	}
	// Who does not move bytes or write rows has no business with those keys.
	for name, without := range map[string][]string{"sink": {"DOCSTREAM_OBJECTS_SECRET_KEY"}, "topics": {"DOCSTREAM_OBJECTS_SECRET_KEY", "DOCSTREAM_CLICKHOUSE_PASSWORD"},
		"gateway": {"DOCSTREAM_CLICKHOUSE_PASSWORD"}, "ocr": {"DOCSTREAM_CLICKHOUSE_PASSWORD"}, "bucket": {"DOCSTREAM_HOUSE_KEY_SECRET"}} {
		for _, v := range without {
			if _, has := p.Services[name].Environment[v]; has {
				t.Errorf("%s holds %s", name, v)
			}
		}
	}
}

func TestNoSecretIsCommitted(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, composeFile))
	if err != nil {
		t.Fatal(err)
	}
	secret := regexp.MustCompile(`(?i)^\s*[A-Z_]*(SECRET|PASSWORD|ACCESS_KEY|CLUSTER_ID)[A-Z_]*:\s*(.*)$`)
	n := 0
	for _, line := range strings.Split(string(b), "\n") {
		if m := secret.FindStringSubmatch(line); m != nil {
			n++
			if !regexp.MustCompile(`^\$\{[A-Z0-9_]+:\?run make secrets first\}$`).MatchString(m[2]) {
				t.Errorf("%s: a value, or a variable that may be empty", strings.TrimSpace(line))
			}
		}
	}
	if n < 8 {
		t.Errorf("only %d secrets were found", n)
	}
	example, err := os.ReadFile(filepath.Join(root, "ops", "docker", "env.example"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\$\{([A-Z0-9_]+)`).FindAllStringSubmatch(string(b), -1) {
		if !strings.Contains(string(example), m[1]+"=") {
			t.Errorf("ops/docker/env.example does not name %s", m[1])
		}
	}
	if set := regexp.MustCompile(`(?m)^[A-Z0-9_]+=.+$`).FindString(string(example)); set != "" {
		t.Errorf("ops/docker/env.example sets %s", set)
	}
}

func TestSecretsAreMadeOnceAndForTheirOwner(t *testing.T) {
	file := filepath.Join(t.TempDir(), ".env")
	run := func() string {
		if out, err := exec.Command(filepath.Join(root, "ops", "docker", "secrets.sh"), file).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	first := run()
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&fs.FileMode(0o077) != 0 {
		t.Errorf("others may read it: %v %v", info.Mode(), err)
	}
	if run() != first {
		t.Error("a second run made other secrets")
	}
	for _, m := range regexp.MustCompile(`(?m)^([A-Z0-9_]+)=(.*)$`).FindAllStringSubmatch(first, -1) {
		if len(m[2]) < 14 || strings.ContainsAny(m[2], "$\"' #") {
			t.Errorf("%s is short, or not plain", m[1])
		}
	}
}

func TestWithoutSecretsNothingStarts(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := load(context.Background(), dir, empty); err == nil || !strings.Contains(err.Error(), "run make secrets first") {
		t.Errorf("got %v", err)
	}
}

// TestOnlyBrokersAnswerToTheirSharedName: what asks for any broker must not be sent to something else.
func TestOnlyBrokersAnswerToTheirSharedName(t *testing.T) {
	var answer []string
	for name, s := range project(t).Services {
		for _, n := range s.Networks {
			if n != nil && slices.Contains(n.Aliases, "kafka") {
				answer = append(answer, name)
			}
		}
	}
	slices.Sort(answer)
	if !slices.Equal(answer, []string{"kafka-1", "kafka-2", "kafka-3"}) {
		t.Errorf("%v answer to kafka", answer)
	}
}
