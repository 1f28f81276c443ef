// Package docstream_test holds the house to its plan: which room may import which, and what every room owes its readers.
package docstream_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "docstream"

// only says which packages may import a library or package; anybody else may not. Tests may import what they like.
var only = map[string][]string{
	"github.com/twmb/franz-go/pkg/kgo":         {"internal/stream", "internal/testenv", "producers", "connectors/s3", "gateway/view", "ops", "cmd/docstream"},
	"github.com/twmb/franz-go/pkg/kadm":        {"internal/stream", "gateway/view", "producers/replay", "ops"},
	"github.com/gin-gonic/gin":                 {"gateway"},
	"github.com/go-jose/go-jose/v4":            {"gateway/issuers"},
	"github.com/yalue/onnxruntime_go":          {"internal/engine"},
	"github.com/ClickHouse/clickhouse-go/v2":   {"sinks/clickhouse"},
	"github.com/aws/aws-sdk-go-v2/service/s3":  {"internal/blob", "connectors/s3"},
	"github.com/klippa-app/go-pdfium":          {"processors/prepare"},
	"github.com/linkedin/goavro/v2":            {"schemas"},
	"github.com/aws/aws-sdk-go-v2/service/sqs": {"connectors/s3"},
	"github.com/twmb/franz-go/pkg/kfake":       {"internal/testenv"},
	"testing":                                  {"internal/testenv"},
	module + "/internal/testenv":               {"internal/testenv"},
	module + "/cmd/docstream":                  {},
}

// rooms says what of the house a room may import. A room that is not listed may import nothing of the house.
var rooms = map[string][]string{
	"schemas":            {},
	"internal/fault":     {"schemas"},
	"internal/failpoint": {},
	"internal/topology":  {"schemas"},
	"internal/telemetry": {"schemas"},
	"internal/media":     {},
	"internal/outbound":  {},
	"internal/seal":      {"schemas"},
	"internal/blob":      {"schemas", "internal/fault"},
	"internal/turn":      {},
	"internal/pause":     {},
	"internal/engine":    {"schemas", "internal/fault", "internal/turn"},
	"internal/retention": {"internal/blob", "internal/pause"},
	"internal/proof":     {"schemas", "internal/fault", "internal/topology", "internal/seal"},
	"internal/stream":    {"schemas", "internal/fault", "internal/failpoint", "internal/topology", "internal/telemetry", "internal/turn", "internal/proof", "internal/pause"},
	"internal/testenv":   {"internal/blob", "internal/stream", "internal/topology", "schemas"},

	"internal/testenv/models": {"internal/engine", "internal/testenv"},

	"producers":          {"schemas", "internal/fault", "internal/stream"},
	"producers/clients":  {"schemas"},
	"producers/holder":   {"internal/stream"},
	"producers/replay":   {"schemas", "internal/fault", "internal/blob", "internal/stream", "internal/topology", "internal/proof", "producers/holder", "producers/ended", "producers", "internal/pause"},
	"processors/prepare": {"schemas", "internal/fault", "internal/failpoint", "internal/blob", "internal/engine", "internal/media"},
	"processors/fetch":   {"schemas", "internal/fault", "internal/blob", "internal/media", "internal/outbound"},
	"processors/layout":  {"schemas", "internal/fault", "internal/blob", "internal/engine"},
	"processors/ocr":     {"schemas", "internal/fault", "internal/blob", "internal/engine"},
	"processors/compose": {"schemas", "internal/fault", "internal/failpoint", "internal/blob", "internal/turn"},
	"processors/track":   {"schemas", "internal/fault"},
	"processors/tally":   {"schemas"},
	"processors/deliver": {"schemas", "internal/fault", "internal/failpoint", "internal/blob", "internal/outbound", "internal/seal"},
	"connectors/s3":      {"schemas", "internal/fault", "internal/blob", "internal/stream", "internal/topology", "internal/telemetry", "internal/pause"},
	"sinks/clickhouse":   {"schemas", "internal/fault", "internal/failpoint"},
	"sinks/s3":           {"schemas", "internal/fault", "internal/blob"},
	"sinks/jobs":         {"schemas", "internal/failpoint", "internal/blob"},
	"gateway":            {"schemas", "internal/fault", "internal/failpoint", "internal/blob", "internal/stream", "internal/topology", "internal/telemetry", "internal/media", "internal/outbound", "internal/proof", "internal/seal", "producers", "internal/pause"},
	"gateway/clients":    {},
	"ops":                {"schemas", "internal/topology", "internal/stream"},
	"ops/doctor":         {"schemas", "internal/topology", "internal/stream", "internal/blob", "ops"},
	"ops/docs":           {"schemas", "internal/topology", "internal/telemetry"},
	"ops/sample":         {},
	"cmd/docstream":      {"schemas", "internal", "producers", "processors", "sinks", "connectors", "gateway", "ops"},
	"internal/e2e":       {},

	"producers/deadletters": {"schemas", "internal/fault", "internal/stream", "internal/topology", "producers", "producers/ended"},
	"producers/ended":       {"schemas", "internal/fault", "internal/blob"},
	"ops/verify":            {"schemas", "internal/topology", "internal/stream"},
	"ops/bench/refold":      {"schemas", "internal/fault", "internal/topology", "internal/stream"},
}

// vague names say nothing about what is inside.
var vague = []string{"util", "utils", "common", "helper", "helpers", "manager", "base", "misc", "shared", "lib"}

// file is one parsed Go file of the main module.
type file struct {
	path, dir string
	test      bool
	ast       *ast.File
	lines     int
}

func house(t *testing.T) []file {
	t.Helper()
	var out []file
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			name := d.Name()
			if path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || nested(path)) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		f, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		out = append(out, file{path: path, dir: filepath.ToSlash(filepath.Dir(path)), test: strings.HasSuffix(path, "_test.go"), ast: f, lines: set.File(f.Pos()).LineCount()})
		return nil
	})
	if err != nil || len(out) < 20 {
		t.Fatalf("%d files: %v", len(out), err)
	}
	return out
}

// nested reports whether a folder is the root of a module of its own.
func nested(path string) bool {
	_, err := os.Stat(filepath.Join(path, "go.mod"))
	return err == nil
}

// within reports whether a package lies in a room: the room itself or below it.
func within(pkg, room string) bool { return pkg == room || strings.HasPrefix(pkg, room+"/") }

// roomOf returns the most specific listed room a package lies in.
func roomOf(pkg string) string {
	best := ""
	for r := range rooms {
		if within(pkg, r) && len(r) > len(best) {
			best = r
		}
	}
	return best
}

func TestArrowsPointOneWay(t *testing.T) {
	for _, f := range house(t) {
		if f.test || f.dir == "." {
			continue
		}
		room := roomOf(f.dir)
		if room == "" {
			t.Errorf("%s: %s is no room of the house; give it its arrows in house_test.go", f.path, f.dir)
			continue
		}
		for _, i := range f.ast.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			target, ours := strings.CutPrefix(path, module+"/")
			if ours && roomOf(target) != room && !slices.ContainsFunc(rooms[room], func(r string) bool { return within(target, r) }) {
				t.Errorf("%s: %s may not import %s", f.path, room, target)
			}
			for lib, allowed := range only {
				if within(path, lib) && !slices.ContainsFunc(allowed, func(r string) bool { return within(f.dir, r) }) {
					t.Errorf("%s: %s may not import %s", f.path, f.dir, path)
				}
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	said := map[string]bool{}
	for _, f := range house(t) {
		if !f.test || f.dir == "." {
			said[f.dir] = said[f.dir] || f.ast.Doc != nil
		}
	}
	for dir, ok := range said {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

func TestNamesSaySomething(t *testing.T) {
	for _, f := range house(t) {
		for part := range strings.SplitSeq(strings.TrimSuffix(f.path, ".go"), "/") {
			if slices.Contains(vague, strings.TrimSuffix(part, "_test")) {
				t.Errorf("%s: %q names nothing", f.path, part)
			}
		}
	}
}

func TestFilesAndFunctionsStayShort(t *testing.T) {
	set := token.NewFileSet()
	for _, f := range house(t) {
		generated := ast.IsGenerated(f.ast)
		if f.lines > 500 && !generated && !f.test {
			t.Errorf("%s has %d lines; 500 are enough", f.path, f.lines)
		}
		if f.test || generated {
			continue
		}
		parsed, err := parser.ParseFile(set, f.path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			if n := set.Position(fn.End()).Line - set.Position(fn.Pos()).Line + 1; n > 80 {
				t.Errorf("%s: %s has %d lines; 80 are enough", f.path, fn.Name.Name, n)
			}
		}
	}
}

func TestExportedNamesAreExplained(t *testing.T) {
	total, explained := 0, 0
	var bare []string
	for _, f := range house(t) {
		if f.test || ast.IsGenerated(f.ast) || f.ast.Name.Name == "main" {
			continue
		}
		for _, d := range f.ast.Decls {
			name, doc, ok := exported(d)
			if !ok {
				continue
			}
			total++
			if doc {
				explained++
			} else {
				bare = append(bare, f.path+": "+name)
			}
		}
	}
	if explained*100 < total*97 {
		t.Errorf("%d of %d exported names have a comment; these lack one:\n%s", explained, total, strings.Join(bare, "\n"))
	}
}

// exported returns the name of an exported function, method or type and whether it has a comment.
func exported(d ast.Decl) (name string, doc, ok bool) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv != nil && !exportedReceiver(d.Recv) {
			return "", false, false
		}
		return d.Name.Name, d.Doc != nil, d.Name.IsExported()
	case *ast.GenDecl:
		if d.Tok == token.TYPE {
			s := d.Specs[0].(*ast.TypeSpec)
			return s.Name.Name, d.Doc != nil || s.Doc != nil, s.Name.IsExported()
		}
	}
	return "", false, false
}

func exportedReceiver(r *ast.FieldList) bool {
	e := r.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

// TestTopicsAreNamedInOnePlace: no file but the plan writes a topic's name as a literal that reaches the broker.
func TestTopicsAreNamedInOnePlace(t *testing.T) {
	families := []string{"documents.", "splits.", "pages.cpu", "pages.gpu", "layouts.", "compositions.", "job-events", "dlq."}
	for _, f := range house(t) {
		if f.test || within(f.dir, "internal/topology") {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			s, _ := strconv.Unquote(lit.Value)
			for _, fam := range families {
				if strings.HasPrefix(s, fam) && !strings.ContainsAny(s, " \n") {
					t.Errorf("%s names the topic %q; only internal/topology may", f.path, s)
				}
			}
			return true
		})
	}
}
