package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/woodpecker-wal/woodpecker/backends"
	"github.com/woodpecker-wal/woodpecker/backends/local"
)

// dieAt makes the test binary put one object and kill itself at a step.
const dieAt = "WOODPECKER_TEST_DIE_AT"

func TestMain(m *testing.M) {
	if spec := os.Getenv(dieAt); spec != "" {
		die(spec)
	}
	os.Exit(m.Run())
}

func die(spec string) {
	parts := strings.Split(spec, "|") // directory, step, condition, version
	s, err := local.Open(local.Config{Dir: parts[0], Step: func(step, _ string) {
		if step == parts[1] {
			_ = os.Stdout.Sync()
			p, _ := os.FindProcess(os.Getpid())
			_ = p.Kill()
			select {}
		}
	}})
	if err != nil {
		panic(err)
	}
	cond := backends.IfAbsent()
	switch parts[2] {
	case "always":
		cond = backends.Always()
	case "if-version":
		cond = backends.IfVersion(backends.Version(parts[3]))
	}
	_, err = s.Put(context.Background(), "deep/er/key", []byte("of the one that died"), cond)
	fmt.Println(err)
	os.Exit(0)
}

func open(t *testing.T, dir string) *local.Store {
	t.Helper()
	s, err := local.Open(local.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A process that is killed at any step of a put leaves the object whole, or as
// it was; nothing of it is listed, and the next one can go on.
func TestKilledAtEveryStep(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, cond := range []string{"if-absent", "always", "if-version"} {
		for _, step := range []string{"body", "publish", "acknowledge"} {
			t.Run(cond+"/"+step, func(t *testing.T) {
				dir := t.TempDir()
				s := open(t, dir)
				old := []byte("old")
				var v backends.Version
				if cond != "if-absent" {
					if v, err = s.Put(t.Context(), "deep/er/key", old, backends.Always()); err != nil {
						t.Fatal(err)
					}
				}
				cmd := exec.Command(self)
				cmd.Env = append(os.Environ(), dieAt+"="+strings.Join([]string{dir, step, cond, string(v)}, "|"))
				if out, err := cmd.CombinedOutput(); err == nil {
					t.Fatalf("it was not killed: %s", out)
				}
				got, _, err := backends.ReadAll(t.Context(), s, "deep/er/key", backends.All())
				want := old
				if cond == "if-absent" {
					want = nil
				}
				if step == "acknowledge" {
					want = []byte("of the one that died")
				}
				if (want == nil) != errors.Is(err, backends.NotFound) || !bytes.Equal(got, want) {
					t.Errorf("the object holds %q, %v", got, err)
				}
				page, err := s.List(t.Context(), "", "", 0)
				if err != nil || (want == nil) != (len(page.Objects) == 0) {
					t.Errorf("listed: %v, %v", page.Objects, err)
				}
				if _, err := s.Put(t.Context(), "deep/er/key", []byte("next"), backends.Always()); err != nil {
					t.Error(err)
				}
				if err := s.Delete(t.Context(), "deep/er/key"); err != nil {
					t.Error(err)
				}
				if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
					t.Errorf("left in the directory: %v, %v", left, err)
				}
			})
		}
	}
}

// A flipped bit anywhere in the file is told, and never delivered.
func TestFlippedBits(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	body := []byte("some bytes that matter")
	if _, err := s.Put(t.Context(), "k", body, backends.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "k~")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		if err := os.WriteFile(file, bad, 0o666); err != nil {
			t.Fatal(err)
		}
		if got, _, err := backends.ReadAll(t.Context(), s, "k", backends.All()); !errors.Is(err, backends.Corrupt) {
			t.Errorf("byte %d: %q, %v", i, got, err)
		}
	}
	for n := range good {
		if err := os.WriteFile(file, good[:n], 0o666); err != nil {
			t.Fatal(err)
		}
		if got, _, err := backends.ReadAll(t.Context(), s, "k", backends.All()); !errors.Is(err, backends.Corrupt) {
			t.Errorf("cut to %d bytes: %q, %v", n, got, err)
		}
	}
}

// A key and a key below it can both exist, and listings follow the keys' bytes.
func TestKeysAndFolders(t *testing.T) {
	s := open(t, t.TempDir())
	keys := []string{"a", "a!", "a-b", "a.b", "a/b", "a/b/c", "a0", "per%cent", "til~de", "tmp", "~tmp-x"}
	for _, k := range keys {
		if _, err := s.Put(t.Context(), k, []byte(k), backends.IfAbsent()); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	after := ""
	for {
		page, err := s.List(t.Context(), "", after, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Objects {
			got = append(got, o.Key)
			after = o.Key
		}
		if !page.More {
			break
		}
	}
	if strings.Join(got, " ") != strings.Join(keys, " ") {
		t.Errorf("listed %q", got)
	}
	if _, err := s.Put(t.Context(), strings.Repeat("x", 300), nil, backends.Always()); !errors.Is(err, backends.Unsupported) {
		t.Errorf("a component of 300 bytes: %v", err)
	}
}

// A missing directory is not an empty store.
func TestMissingDirectory(t *testing.T) {
	if _, err := local.Open(local.Config{Dir: filepath.Join(t.TempDir(), "missing")}); !errors.Is(err, backends.Denied) {
		t.Error(err)
	}
	dir := t.TempDir()
	s := open(t, dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Get(t.Context(), "k", backends.All()); !errors.Is(err, backends.Denied) {
		t.Errorf("get: %v", err)
	}
	if _, err := s.Put(t.Context(), "a/k", nil, backends.IfAbsent()); !errors.Is(err, backends.Denied) {
		t.Errorf("put: %v", err)
	}
	if _, err := s.List(t.Context(), "", "", 0); !errors.Is(err, backends.Denied) {
		t.Errorf("list: %v", err)
	}
}
