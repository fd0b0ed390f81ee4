package kubernetes

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	storagetesting "k8s.io/apiserver/pkg/storage/testing"
)

// TestSuiteIsComplete holds this package to its claim: every exported test of the suite is named in one of its files.
func TestSuiteIsComplete(t *testing.T) {
	source, _ := runtime.FuncForPC(reflect.ValueOf(storagetesting.RunTestGet).Pointer()).FileLine(0)
	folder := filepath.Dir(source)
	used := map[string]bool{}
	for _, file := range parse(t, ".", otherVersion) {
		ast.Inspect(file, func(node ast.Node) bool {
			if selector, ok := node.(*ast.SelectorExpr); ok {
				used[selector.Sel.Name] = true
			}
			return true
		})
	}
	count := 0
	for _, file := range parse(t, folder, "") {
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Recv != nil || !strings.HasPrefix(function.Name.Name, "Run") || strings.HasPrefix(function.Name.Name, "RunBenchmark") {
				continue
			}
			count++
			if !used[function.Name.Name] {
				t.Errorf("%s is not run", function.Name.Name)
			}
		}
	}
	if count < 50 {
		t.Fatalf("only %d tests were found in %s: does it name them otherwise now?", count, folder)
	}
}

func parse(t *testing.T, folder, without string) []*ast.File {
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, path := range paths {
		if filepath.Base(path) == without {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}
