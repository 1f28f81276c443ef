package mutants

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// How a rule is dropped.
const (
	never  = "never true"
	always = "always true"
	left   = "left out"
)

// switches is the file that the copy gets in addition.
const switches = `package %s

import (
	"os"
	"strconv"
)

var mutantOff, _ = strconv.Atoi(os.Getenv("%s"))

func mutantKept[T any](rule int, v T) T {
	if rule == mutantOff {
		var none T
		return none
	}
	return v
}
`

// rewrite writes a copy of the package with its rules behind switches into the folder out, and says which file stands for which.
func rewrite(dir, out string) (rules []Rule, over map[string]string, err error) {
	over = map[string]string{}
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, nil, err
	}
	name := ""
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, err
		}
		w := &writer{set: token.NewFileSet(), src: src, rules: rules}
		f, err := parser.ParseFile(w.set, path, src, parser.SkipObjectResolution)
		if err != nil {
			return nil, nil, err
		}
		name = f.Name.Name
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				w.fn = fn.Name.Name
				w.block(fn.Body)
			}
		}
		rules = w.rules
		to := filepath.Join(out, filepath.Base(path))
		if err := os.WriteFile(to, w.text(), 0o600); err != nil {
			return nil, nil, err
		}
		over[path] = to
	}
	extra := filepath.Join(out, "mutant_switches.go")
	over[filepath.Join(dir, "mutant_switches.go")] = extra
	return rules, over, os.WriteFile(extra, fmt.Appendf(nil, switches, name, variable), 0o600)
}

// writer rewrites one file by insertions alone, so that what stays is what was written.
type writer struct {
	set    *token.FileSet
	src    []byte
	fn     string
	rules  []Rule
	insert []insertion
}

type insertion struct {
	at, seq int
	after   bool // ends something: comes before what begins at the same place, the innermost first
	text    string
}

func (w *writer) offset(p token.Pos) int { return w.set.Position(p).Offset }

func (w *writer) said(n ast.Node) string { return string(w.src[w.offset(n.Pos()):w.offset(n.End())]) }

// rule notes a rule and returns its number.
func (w *writer) rule(text, drop string) int {
	r := Rule{Func: w.fn, Text: strings.Join(strings.Fields(text), " "), Drop: drop, ID: len(w.rules) + 1}
	w.rules = append(w.rules, r)
	return r.ID
}

// around puts text around a node; of two around the same, the one put first is the outer one.
func (w *writer) around(n ast.Node, before, after string) {
	seq := len(w.insert)
	w.insert = append(w.insert, insertion{w.offset(n.Pos()), seq, false, before}, insertion{w.offset(n.End()), seq, true, after})
}

func (w *writer) text() []byte {
	slices.SortStableFunc(w.insert, func(a, b insertion) int {
		if a.at != b.at {
			return cmp.Compare(a.at, b.at)
		}
		switch {
		case a.after != b.after:
			if a.after {
				return -1
			}
			return 1
		case a.after:
			return cmp.Compare(b.seq, a.seq)
		}
		return cmp.Compare(a.seq, b.seq)
	})
	var out bytes.Buffer
	last := 0
	for _, i := range w.insert {
		out.Write(w.src[last:i.at])
		out.WriteString(i.text)
		last = i.at
	}
	out.Write(w.src[last:])
	return out.Bytes()
}

// block rewrites statements and what is inside them.
func (w *writer) block(n ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt:
			w.whole(n.Cond)
			if n.Init != nil {
				w.inside(n.Init)
			}
			w.block(n.Body)
			if n.Else != nil {
				w.block(n.Else)
			}
			return false
		case *ast.ForStmt:
			w.block(n.Body) // its head is how the loop ends
			return false
		case *ast.SwitchStmt:
			w.cases(n.Body, n.Tag == nil)
			return false
		case *ast.TypeSwitchStmt:
			w.cases(n.Body, false)
			return false
		case *ast.AssignStmt:
			w.assign(n)
		case *ast.IncDecStmt, *ast.ExprStmt:
			w.around(n, fmt.Sprintf("if mutantOff != %d { ", w.rule(w.said(n), left)), " }")
		case ast.Expr:
			w.expr(n)
			return false
		}
		return true
	})
}

// inside rewrites only the expressions of a statement that must stay.
func (w *writer) inside(s ast.Stmt) {
	if a, ok := s.(*ast.AssignStmt); ok {
		for _, x := range a.Rhs {
			w.expr(x)
		}
	}
}

// cases rewrites the cases of a switch: conditions where it has no tag, else the whole case, whose work is then left out.
func (w *writer) cases(body *ast.BlockStmt, conditions bool) {
	for _, s := range body.List {
		c := s.(*ast.CaseClause)
		if conditions {
			for _, x := range c.List {
				w.whole(x)
			}
		} else if len(c.List) > 0 && len(c.Body) > 0 {
			what := "case " + w.said(c.List[0])
			w.around(c.Body[0], fmt.Sprintf("if mutantOff == %d { break }; ", w.rule(what, left)), "")
		}
		for _, s := range c.Body {
			w.block(s)
		}
	}
}

// assign leaves the targets of an assignment out, each by itself; a definition stays.
func (w *writer) assign(n *ast.AssignStmt) {
	if n.Tok == token.DEFINE {
		return
	}
	if len(n.Lhs) == 1 {
		w.around(n, fmt.Sprintf("if mutantOff != %d { ", w.rule(w.said(n), left)), " }")
		return
	}
	values := string(w.src[w.offset(n.TokPos):w.offset(n.End())])
	before := ""
	for i, x := range n.Lhs {
		targets := make([]string, len(n.Lhs))
		for j, y := range n.Lhs {
			if targets[j] = w.said(y); i == j {
				targets[j] = "_"
			}
		}
		text := w.said(x)
		if len(n.Rhs) == len(n.Lhs) {
			text += " = " + w.said(n.Rhs[i])
		}
		before += fmt.Sprintf("if mutantOff == %d { %s %s } else ", w.rule(text, left), strings.Join(targets, ", "), values)
	}
	w.around(n, before+"{ ", " }")
}

// whole rewrites a condition: dropped whole in both directions, then part by part.
func (w *writer) whole(x ast.Expr) {
	w.around(x, fmt.Sprintf("(mutantOff != %d && (mutantOff == %d || (", w.rule(w.said(x), never), w.rule(w.said(x), always)), ")))")
	w.expr(x)
}

// expr rewrites what an expression says: each part of && and ||, each field of a record, each part of a joined text.
func (w *writer) expr(x ast.Expr) {
	ast.Inspect(x, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			w.block(n.Body)
			return false
		case *ast.BinaryExpr:
			w.parts(n)
		case *ast.CompositeLit:
			for _, e := range n.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok && !number(kv.Value) {
					if _, field := kv.Key.(*ast.Ident); field {
						w.around(kv.Value, fmt.Sprintf("mutantKept(%d, ", w.rule(w.said(kv), left)), ")")
					}
				}
			}
		}
		return true
	})
}

func (w *writer) parts(n *ast.BinaryExpr) {
	for _, x := range []ast.Expr{n.X, n.Y} {
		switch inner, _ := x.(*ast.BinaryExpr); {
		case inner != nil && inner.Op == n.Op:
		case n.Op == token.LAND:
			w.around(x, fmt.Sprintf("(mutantOff == %d || (", w.rule(w.said(x), always)), "))")
		case n.Op == token.LOR:
			w.around(x, fmt.Sprintf("(mutantOff != %d && (", w.rule(w.said(x), never)), "))")
		case n.Op == token.ADD && joined(n) && !text(x):
			w.around(x, fmt.Sprintf("mutantKept(%d, ", w.rule(w.said(x), left)), ")")
		}
	}
}

// joined reports whether a sum joins texts, which one of its parts shows.
func joined(n *ast.BinaryExpr) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		b, ok := n.(*ast.BinaryExpr)
		if ok && b.Op == token.ADD {
			found = found || text(b.X) || text(b.Y)
		}
		return ok
	})
	return found
}

func text(x ast.Expr) bool { l, ok := x.(*ast.BasicLit); return ok && l.Kind == token.STRING }

func number(x ast.Expr) bool { l, ok := x.(*ast.BasicLit); return ok && l.Kind == token.INT }
