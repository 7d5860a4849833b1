// Package policy promises that the rules of the repository's structure hold: it
// has only tests.
package policy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"strings"
	"testing"
)

const module = "github.com/woodpecker-wal/woodpecker"

// arrows: a package, and what it may import of this module. A package that is
// not here has no place yet.
const arrows = `
backends:
backends/mem: backends
backends/local: backends
backends/s3: backends internal/s3common
backends/minio: backends internal/s3common
backends/all: backends backends/mem backends/local backends/s3 backends/minio
internal/s3common: backends
internal/testserver:
internal/testserver/fetch: internal/testserver
internal/policy:
conformance: backends
conformance/render: conformance
conformance/mutant: backends backends/mem conformance
cmd/wpcompat: backends backends/all backends/mem conformance conformance/render conformance/mutant
`

// outside: the modules that a package may import beside the standard library.
const outside = `
backends/local: golang.org/x/sys
backends/s3: github.com/aws/
backends/minio: github.com/minio/minio-go
cmd/wpcompat: github.com/spf13/ github.com/schollz/progressbar golang.org/x/term
`

type pkg struct {
	ImportPath, Doc string
	Standard        bool
	Imports, Deps   []string
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Doc,Standard,Imports,Deps"}, args...)...)
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var pkgs []pkg
	d := json.NewDecoder(bytes.NewReader(out))
	for {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func table(text string) map[string][]string {
	m := map[string][]string{}
	for line := range strings.Lines(strings.TrimSpace(text)) {
		name, allowed, _ := strings.Cut(line, ":")
		m[name] = strings.Fields(allowed)
	}
	return m
}

// violations says which imports of p the tables do not allow.
func violations(p pkg, own, others map[string][]string) []string {
	name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
	allowed, known := own[name]
	if !known {
		return []string{name + " has no place in the arrows: add it"}
	}
	var bad []string
	for _, imp := range p.Imports {
		short, inside := strings.CutPrefix(imp, module+"/")
		switch {
		case inside && !has(allowed, short):
			bad = append(bad, name+" may not import "+short)
		case !inside && strings.Contains(strings.Split(imp, "/")[0], ".") && !hasPrefix(others[name], imp):
			bad = append(bad, name+" may not import "+imp)
		}
	}
	return bad
}

func has(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func hasPrefix(prefixes []string, s string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

func TestArrows(t *testing.T) {
	own, others := table(arrows), table(outside)
	for _, p := range list(t, "./...") {
		for _, v := range violations(p, own, others) {
			t.Error(v)
		}
		if name := path.Base(p.ImportPath); !strings.HasPrefix(p.Doc, "Package "+name+" ") && !strings.HasPrefix(p.Doc, "Command "+name+" ") && name != "policy" {
			t.Errorf("%s does not say what it promises", p.ImportPath)
		}
	}
}

// The rules can fail.
func TestArrowsCanFail(t *testing.T) {
	own, others := table(arrows), table(outside)
	for want, p := range map[string]pkg{
		"conformance may not import backends/s3":      {ImportPath: module + "/conformance", Imports: []string{"fmt", module + "/backends/s3"}},
		"backends may not import github.com/aws/x":    {ImportPath: module + "/backends", Imports: []string{"github.com/aws/x"}},
		"surprise has no place in the arrows: add it": {ImportPath: module + "/surprise"},
	} {
		if v := violations(p, own, others); len(v) != 1 || v[0] != want {
			t.Errorf("%q instead of %q", v, want)
		}
	}
}

// Who imports one adapter links no other vendor's SDK.
func TestOneSDKEach(t *testing.T) {
	sdks := map[string]string{"s3": "github.com/aws/", "minio": "github.com/minio/minio-go"}
	for _, adapter := range []string{"local", "mem", "s3", "minio"} {
		for _, dep := range list(t, "./backends/"+adapter)[0].Deps {
			for owner, sdk := range sdks {
				if owner != adapter && strings.HasPrefix(dep, sdk) {
					t.Errorf("backends/%s links %s", adapter, dep)
				}
			}
		}
	}
}
