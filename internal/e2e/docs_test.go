package e2e_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"docstream/internal/testenv"
)

// The pages of ops/docs are tests. In every page, in order, against one running platform: a block fenced as sh is run by bash, one fenced as
// sql is asked of ClickHouse, and where a block fenced as output follows, the answer must be that one. In an output … stands for anything
// within a line, and a line that is only … for any lines. What a block assigns is known to the blocks after it. A block that cannot run here
// is fenced as console, and notRun holds how many a page has, so that their number does not grow unseen.

// notRun is how many console blocks each page has; a page that is not named has none.
var notRun = map[string]int{"contributing.md": 1, "deploy.md": 5, "operate.md": 3, "rest.md": 1, "sql.md": 1}

// shown are the fences that are neither run nor commands: data and code, which tests of their own hold.
var shown = []string{"output", "console", "json", "yaml", "text", "mermaid", "python", "java", "go", "avro", "xml", "promql", "nginx", "hcl"}

var updateDocs = flag.Bool("update-docs", false, "write the tables of columns in ops/docs/sql.md anew")

// blockPatience bounds one block.
const blockPatience = 3 * time.Minute

// rowPatience is how long an answer of ClickHouse is asked for again: rows follow the result by a moment.
const rowPatience = time.Minute

// block is one fenced block of a page.
type block struct {
	lang, text string
	line       int
	want       string // of the output block that follows
	compared   bool
}

// blocks takes a page apart. A fence it does not know and an indented block are errors: a command must not hide in them.
func blocks(page string) (out []block, err error) {
	lines := strings.Split(page, "\n")
	for i := 0; i < len(lines); i++ {
		if strings.HasPrefix(lines[i], "    ") && i > 0 && lines[i-1] == "" {
			return nil, fmt.Errorf("line %d: an indented block; fence it", i+1)
		}
		lang, fenced := strings.CutPrefix(lines[i], "```")
		if !fenced {
			continue
		}
		b := block{lang: lang, line: i + 1}
		end := i + 1
		for ; end < len(lines) && lines[end] != "```"; end++ {
		}
		if end == len(lines) {
			return nil, fmt.Errorf("line %d: the block does not end", i+1)
		}
		b.text = strings.Join(lines[i+1:end], "\n")
		i = end
		switch last := len(out) - 1; {
		case lang == "sh" || lang == "sql":
		case !slices.Contains(shown, lang):
			return nil, fmt.Errorf("line %d: the fence %q is none of sh, sql, %s", b.line, lang, strings.Join(shown, ", "))
		case lang == "output":
			if last < 0 || (out[last].lang != "sh" && out[last].lang != "sql") || out[last].compared {
				return nil, fmt.Errorf("line %d: the output follows no command", b.line)
			}
			out[last].want, out[last].compared = b.text, true
			continue
		}
		out = append(out, b)
	}
	return out, nil
}

// matches reports whether got is the stated output.
func matches(want, got string) bool {
	var re strings.Builder
	re.WriteString(`\A`)
	for line := range strings.SplitSeq(trimmed(want), "\n") {
		if line == "…" {
			re.WriteString(`(?:[^\n]*\n)*?`)
			continue
		}
		for i, part := range strings.Split(line, "…") {
			if i > 0 {
				re.WriteString(`[^\n]*`)
			}
			re.WriteString(regexp.QuoteMeta(part))
		}
		re.WriteString(`\n`)
	}
	re.WriteString(`\z`)
	return regexp.MustCompile(re.String()).MatchString(trimmed(got) + "\n")
}

// trimmed drops what cannot be seen: blanks at the ends of lines and empty lines around all.
func trimmed(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t\r")
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

func TestTheRunnerOfThePages(t *testing.T) {
	for _, c := range []struct {
		want, got string
		same      bool
	}{
		{"a\nb", "a  \nb\n", true},
		{"a\nb", "a\nc", false},
		{"job_… done", "job_01x done", true},
		{"job_… done", "job_01x\n done", false},
		{"a\n…\nz", "a\nb\nc\nz", true},
		{"a\n…\nz", "a\nz", true},
		{"a\n…", "a\nb\nc", true},
		{"a\n…", "b", false},
		{"1 (x) [y]", "1 (x) [y]", true},
		{"", "something", false},
	} {
		if matches(c.want, c.got) != c.same {
			t.Errorf("%q against %q: want %v", c.want, c.got, c.same)
		}
	}
	for page, wrong := range map[string]string{
		"x\n\n    make\n":      "indented",
		"```bash\nmake\n```\n": "none of sh",
		"```\nmake\n```\n":     "none of sh",
		"```sh\nmake\n":        "does not end",
		"```output\nx\n```\n":  "follows no command",
		"```sh\na\n```\n\n```output\n```\n```output\n```\n": "follows no command",
	} {
		if _, err := blocks(page); err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: %v", page, err)
		}
	}
	got, err := blocks("# T\n```sh\na\nb\n```\n\n```output\nc\n```\ntext\n```console\nd\n```\n")
	if err != nil || len(got) != 2 || got[0].text != "a\nb" || got[0].want != "c" || got[0].line != 2 || got[1].lang != "console" {
		t.Errorf("%+v %v", got, err)
	}
}

// page is one page being run.
type page struct {
	p     *platform
	dir   string
	state string // file of what the blocks so far have assigned
}

// sh runs a block; what it assigns is exported to the blocks that follow.
func (g page) sh(t *testing.T, text string) (string, error) {
	t.Helper()
	script := "set -eu -o pipefail -a\n[ ! -f \"$DOCSTREAM_TEST_STATE\" ] || . \"$DOCSTREAM_TEST_STATE\"\n" + text + "\nexport -p >\"$DOCSTREAM_TEST_STATE\"\n"
	ctx, cancel := context.WithTimeout(t.Context(), blockPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir, cmd.WaitDelay = g.dir, 5*time.Second
	cmd.Env = []string{"PATH=" + filepath.Join(testenv.Root(t), "bin") + ":" + os.Getenv("PATH"), "HOME=" + g.dir, "LANG=C.UTF-8", "DOCSTREAM_CACHE=" + testenv.CacheDir(),
		"DOCSTREAM_DATA=" + g.p.dir, "DOCSTREAM_SERVER=" + g.p.watched(), "DOCSTREAM_API_KEY=" + g.p.dev.APIKey,
		"DOCSTREAM_TEST_STATE=" + g.state}
	var out, noise bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &noise
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%w\n%s", err, tail(noise.Bytes(), 2000))
	}
	return out.String(), nil
}

// sql asks one statement until the answer is the stated one. $NAME in it is what a block before has assigned.
func (g page) sql(t *testing.T, b block) (got string, err error) {
	t.Helper()
	known, _ := os.ReadFile(g.state) // none where no block has run yet
	query := os.Expand(b.text, func(name string) string {
		m := regexp.MustCompile(`(?m)^declare -x ` + name + `="(.*)"$`).FindSubmatch(known)
		if m == nil {
			t.Fatalf("line %d: no block assigns $%s", b.line, name)
		}
		return string(m[1])
	})
	if err := os.WriteFile(filepath.Join(g.dir, "query.sql"), []byte(query), 0o600); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(rowPatience); ; time.Sleep(500 * time.Millisecond) {
		got, err = g.sh(t, `docstream sql "$(<query.sql)"`)
		if (err == nil && (!b.compared || matches(b.want, got))) || time.Now().After(deadline) {
			return got, err
		}
	}
}

// runElsewhere names the pages whose commands need a service of their own, and the tests that run them there.
var runElsewhere = map[string]any{
	"archive.md":   TestThePageAboutTheArchiveIsTrue,
	"producers.md": TestUpstreamProducersAreServed,
	"replay.md":    TestJobsAreReplayedOnceWhateverDies,
}

func TestEveryCommandOfThePages(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testenv.Root(t), "ops", "docs", "*.md"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%d pages: %v", len(files), err)
	}
	p := start(t, "--set", "archive.file_age=1s") // a page waits until nothing is left to do
	for _, file := range files {
		name := filepath.Base(file)
		if _, elsewhere := runElsewhere[name]; elsewhere {
			continue
		}
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all, err := blocks(string(text))
			if err != nil {
				t.Fatal(err)
			}
			g := page{p: p, dir: t.TempDir(), state: filepath.Join(t.TempDir(), "state")}
			console := 0
			for _, b := range all {
				if b.lang == "console" {
					console++
				}
				if !g.run(t, b) {
					return
				}
			}
			if console != notRun[name] {
				t.Errorf("%d console blocks, which nobody runs; notRun says %d", console, notRun[name])
			}
		})
	}
}

// asked are the commands of a runbook that change nothing.
var asked = regexp.MustCompile("`(docstream (?:sql|lag|doctor|topics list|topics apply --dry-run|config)\\b[^`]*)`")

// TestEveryQuestionOfTheRunbooks: what a runbook tells to ask can be asked. The doctor may find something: that is its work.
func TestEveryQuestionOfTheRunbooks(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testenv.Root(t), "ops", "runbooks", "*.md"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%d runbooks: %v", len(files), err)
	}
	p := start(t)
	g := page{p: p, dir: t.TempDir(), state: filepath.Join(t.TempDir(), "state")}
	if _, err := g.sh(t, "docstream sample --out scan.pdf --pages 1\ndocstream submit --wait scan.pdf"); err != nil {
		t.Fatal(err)
	}
	done := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range asked.FindAllStringSubmatch(string(text), -1) {
			if done[m[1]] {
				continue
			}
			done[m[1]] = true
			if out, err := g.sh(t, m[1]+" || { code=$?; [[ \""+strings.Fields(m[1])[1]+"\" == doctor && ( $code == 1 || $code == 8 ) ]]; }"); err != nil {
				t.Errorf("%s: %s: %v\n%s", filepath.Base(file), m[1], err, out)
			}
		}
	}
	if len(done) < 10 {
		t.Errorf("only %d questions were found", len(done))
	}
}

// run runs one block and reports whether the page can go on.
func (g page) run(t *testing.T, b block) bool {
	t.Helper()
	var got string
	var err error
	switch b.lang {
	case "sh":
		got, err = g.sh(t, b.text)
	case "sql":
		got, err = g.sql(t, b)
	default:
		return true
	}
	if err != nil {
		t.Errorf("line %d failed: %v\n%s\nsaid:\n%s", b.line, err, b.text, got)
		return false
	}
	if b.compared && !matches(b.want, got) {
		t.Errorf("line %d: the page states\n%s\nit is\n%s", b.line, b.want, got)
	}
	return true
}

// TestThePageOfTheViewsIsTheDatabase: every public view has its table in sql.md, every column with its type and meaning.
func TestThePageOfTheViewsIsTheDatabase(t *testing.T) {
	file := filepath.Join(testenv.Root(t), "ops", "docs", "sql.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t)
	ask := func(query string) string {
		a := p.get(p.dev.ClickHouse + "/?database=docstream&query=" + url.QueryEscape(query))
		if a.status != 200 {
			t.Fatalf("%s: %s", query, a.body)
		}
		return strings.TrimSpace(string(a.body))
	}
	now := string(text)
	for view := range strings.FieldsSeq(ask("SELECT name FROM system.tables WHERE database = 'docstream' AND engine = 'View' ORDER BY name")) {
		rows := ask("SELECT concat('| `', name, '` | ', type, ' | ', comment, ' |') FROM system.columns WHERE database = 'docstream' AND table = '" + view + "' ORDER BY position FORMAT TSVRaw")
		begin, end := "<!-- columns of "+view+" -->\n", "<!-- end of "+view+" -->"
		i, j := strings.Index(now, begin), strings.Index(now, end)
		if i < 0 || j < i {
			t.Errorf("the page has no table of the view %s between %q and %q", view, begin, end)
			continue
		}
		now = now[:i] + begin + "| column | type | meaning |\n|---|---|---|\n" + rows + "\n" + now[j:]
	}
	if *updateDocs && now != string(text) {
		if err := os.WriteFile(file, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if now != string(text) {
		t.Error("the views changed; if that is meant: go test ./internal/e2e -run PageOfTheViews -update-docs")
	}
}
