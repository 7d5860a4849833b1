package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/woodpecker-wal/woodpecker/backends"
	"github.com/woodpecker-wal/woodpecker/conformance"
	"github.com/woodpecker-wal/woodpecker/internal/testserver"
)

// asProgram makes the test binary behave as wpcompat.
const asProgram = "WPCOMPAT_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run())
	}
	os.Exit(m.Run())
}

// wpcompat runs the command and returns what it printed and its exit code.
func wpcompat(t *testing.T, args ...string) (out, errOut string, code int) {
	t.Helper()
	cmd := command(t, args...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// A newcomer's first command: no address, a fresh directory, a verdict.
func TestCheckWithoutAddress(t *testing.T) {
	out, errOut, code := wpcompat(t, "check", "--profile", "quick")
	if code != 0 || !strings.Contains(out, "SUPPORTED for mode fenced") {
		t.Errorf("exit code %d\n%s%s", code, out, errOut)
	}
	for _, line := range strings.Split(out, "\n") {
		if n := len([]rune(line)); n > 100 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

// The verdicts on real MinIO: supported by both adapters, and the build of
// 2024-06 is caught creating missing objects on If-Match.
func TestMinIO(t *testing.T) {
	for _, c := range []struct {
		version, mode string
		code          int
		reason        string
	}{
		{testserver.MinIOCurrent, "fenced", 0, "a log with fenced writers is safe"},
		{testserver.MinIOCurrent, "cas", 0, "safe on this store"},
		{testserver.MinIO202406, "fenced", 0, "a log with fenced writers is safe"},
		{testserver.MinIO202406, "cas", 1, "unsafe: a swap on a missing key creates it"},
	} {
		s := testserver.MinIO(t, c.version)
		bucket := s.Bucket(t)
		for _, address := range []string{
			fmt.Sprintf("minio://%s/%s/p?tls=false", s.Endpoint, bucket),
			fmt.Sprintf("s3://%s/p?endpoint=http://%s", bucket, s.Endpoint),
		} {
			t.Run(c.version+"/"+c.mode+"/"+address[:5], func(t *testing.T) {
				out, errOut, code := wpcompat(t, "check", "--profile", "quick", "--mode", c.mode, "--json", address)
				rep, err := conformance.DecodeReport([]byte(out))
				if err != nil {
					t.Fatalf("%v\n%s", err, errOut)
				}
				if code != c.code || !strings.Contains(rep.Reason, c.reason) {
					t.Errorf("exit code %d, %s\n%s", code, rep.Reason, errOut)
				}
				if strings.Contains(out+errOut, s.SecretKey) || strings.Contains(out, bucket) {
					t.Error("the output holds the secret or the bucket's name")
				}
				plan, _, _ := wpcompat(t, "plan", "--profile", "quick", address)
				var planned int64
				if _, err := fmt.Sscanf(plan, "check --profile quick would send about %d", &planned); err != nil {
					t.Fatalf("%v in %q", err, plan)
				}
				if sent := rep.Cost.Requests.Total(); sent < planned*9/10 || sent > planned*11/10 {
					t.Errorf("%d requests were planned and %d sent", planned, sent)
				}
				empty(t, address)
			})
		}
	}
}

// empty fails the test unless the store at address holds nothing.
func empty(t *testing.T, address string) {
	t.Helper()
	store, err := registry.Open(t.Context(), address, backends.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	page, err := store.List(t.Context(), "", "", 0)
	if err != nil || len(page.Objects) > 0 {
		t.Errorf("left behind: %v, %v", page.Objects, err)
	}
}

// Every mistake ends in one line that says what to do, with the contract's exit
// code, and never repeats a secret.
func TestMistakes(t *testing.T) {
	const poison = "s3cr3tPoison"
	dir := "file://" + t.TempDir()
	s := testserver.MinIO(t, testserver.MinIOCurrent)
	good := s.Bucket(t)
	for _, c := range []struct {
		name string
		args []string
		env  string
		code int
		says string
	}{
		{"credential", []string{"check", "s3://user:" + poison + "@bucket/p"}, "", 2, "credential"},
		{"credential key", []string{"check", "s3://bucket/p?secret_key=" + poison}, "", 2, "credential"},
		{"flag", []string{"check", "--profil", "quick", dir}, "", 2, "did you mean --profile?"},
		{"query key", []string{"check", "s3://bucket/p?regoin=x"}, "", 2, `did you mean "region"?`},
		{"scheme", []string{"check", "s4://bucket"}, "", 2, "unknown scheme"},
		{"profile", []string{"check", "--profile", "fast", dir}, "", 2, "unknown profile"},
		{"mode", []string{"check", "--mode", "fence", dir}, "", 2, "unknown mode"},
		{"glob", []string{"check", "--only", "nothing", dir}, "", 2, "names no check"},
		{"missing directory", []string{"check", dir + "/missing"}, "", 5, "create it or correct the address"},
		{"missing bucket", []string{"check", "s3://no-such-bucket/p?endpoint=http://" + s.Endpoint}, "", 5, "the bucket does not exist"},
		{"wrong key", []string{"check", "s3://" + good + "/p?endpoint=http://" + s.Endpoint}, "AWS_SECRET_ACCESS_KEY=" + poison, 5, "credentials"},
		{"wrong endpoint", []string{"check", "s3://" + good + "/p?endpoint=http://127.0.0.1:1"}, "", 5, "connection refused"},
		{"tls", []string{"check", "minio://" + s.Endpoint + "/" + good + "/p"}, "", 5, "tls=false"},
		{"gcs by s3", []string{"check", "s3://bucket/p?endpoint=https://storage.googleapis.com"}, "", 2, "unsafe"},
		{"explain", []string{"explain", "put.if-absent.rase"}, "", 2, "put.if-absent.race"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := command(t, c.args...)
			if c.env != "" {
				cmd.Env = append(cmd.Env, c.env)
			}
			var o, e bytes.Buffer
			cmd.Stdout, cmd.Stderr = &o, &e
			_ = cmd.Run() // its exit code is looked at
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("exit code %d instead of %d", code, c.code)
			}
			if strings.Count(e.String(), "\n") != 1 || !strings.Contains(e.String(), c.says) || o.Len() > 0 {
				t.Errorf("it says:\n%s%s", o.String(), e.String())
			}
			if strings.Contains(e.String()+o.String(), poison) {
				t.Error("it repeats the secret")
			}
		})
	}
}

// A run that is killed leaves a prefix that clean removes, and nothing else.
func TestCleanAfterKill(t *testing.T) {
	dir := t.TempDir()
	address := "file://" + dir
	store, err := registry.Open(t.Context(), address, backends.Options{})
	if err != nil {
		t.Fatal(err)
	}
	foreign := map[string]string{"mine": "data", "wpcompat/notes": "x", "wpcompat/20250101t000000z-00000000/object": "no manifest"}
	for k, v := range foreign {
		if _, err := store.Put(t.Context(), k, []byte(v), backends.IfAbsent()); err != nil {
			t.Fatal(err)
		}
	}
	for _, after := range []time.Duration{20, 80, 200, 400} {
		cmd := command(t, "check", "--profile", "quick", address)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-time.After(after * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if out, errOut, code := wpcompat(t, "clean", address); code != 0 {
			t.Fatalf("clean: exit code %d\n%s%s", code, out, errOut)
		}
		var left []string
		if err := backends.ListAll(t.Context(), store, "", func(o backends.Info) error {
			left = append(left, o.Key)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if len(left) != len(foreign) {
			t.Errorf("killed after %v: left are %v", after*time.Millisecond, left)
		}
	}
}

// A prefix in use is refused, a run that is out of budget is undecided, and the
// files of --out are there.
func TestRefusalsAndFiles(t *testing.T) {
	dir := t.TempDir()
	address := "file://" + dir
	if _, errOut, code := wpcompat(t, "check", "--profile", "quick", "--run-id", "one", "--keep", "--only", "conn.*", address); code != 4 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	if _, errOut, code := wpcompat(t, "check", "--profile", "quick", "--run-id", "one", address); code != 2 || !strings.Contains(errOut, "not empty") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
	if out, errOut, code := wpcompat(t, "check", "--profile", "quick", "--budget", "requests=50", "-q", address); code != 4 || !strings.Contains(out, "budget") {
		t.Errorf("exit code %d: %s%s", code, out, errOut)
	}
	files := filepath.Join(t.TempDir(), "out")
	if _, errOut, code := wpcompat(t, "check", "--profile", "quick", "-q", "--out", files, address); code != 0 {
		t.Errorf("exit code %d: %s", code, errOut)
	}
	data, err := os.ReadFile(filepath.Join(files, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(data) {
		t.Error("report.json is not JSON")
	}
	if md, err := os.ReadFile(filepath.Join(files, "report.md")); err != nil || !bytes.Contains(md, []byte("supported")) {
		t.Errorf("report.md: %v", err)
	}
	if _, _, code := wpcompat(t, "check", "--profile", "quick", "-q", "--baseline", filepath.Join(files, "report.json"), address); code != 0 {
		t.Errorf("against its own baseline: exit code %d", code)
	}
}
