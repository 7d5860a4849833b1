// Package testserver promises tests a real server of their own: it obtains it
// with the Go tool, keeps the built program outside the tree, starts it on
// loopback and stops it by its process id.
package testserver

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The builds of MinIO that tests use. They are programs of their own, under the
// AGPL, and never linked.
const (
	MinIOCurrent = "v0.0.0-20260212201848-7aac2a2c5b7c"
	// MinIO202406 creates a missing object on If-Match.
	MinIO202406 = "v0.0.0-20240613225353-20960b6a2ddb"
)

// buildLimit bounds building a server, which takes five minutes on two cores.
const buildLimit = 20 * time.Minute

// Cache is the folder of built servers: WOODPECKER_TEST_CACHE, or one in the
// user's cache.
func Cache() (string, error) {
	if dir := os.Getenv("WOODPECKER_TEST_CACHE"); dir != "" {
		return filepath.Join(dir, "bin"), nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "woodpecker-tests", "bin"), err
}

// FetchMinIO builds a version unless the cache has it, and returns the program.
func FetchMinIO(version string) (string, error) {
	cache, err := Cache()
	if err != nil {
		return "", err
	}
	program := filepath.Join(cache, "minio-"+version)
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(cache, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	ctx, cancel := context.WithTimeout(context.Background(), buildLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "install", "-trimpath", "-ldflags", "-s -w", "github.com/minio/minio@"+version)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+tmp, "GOFLAGS=")
	cmd.Dir = tmp // outside any module
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building MinIO %s: %w\n%s", version, err, out)
	}
	// Renaming is atomic, so that two builds at once do no harm.
	return program, os.Rename(filepath.Join(tmp, "minio"), program)
}

// A Server is a running MinIO.
type Server struct {
	Endpoint             string // host:port
	AccessKey, SecretKey string

	program, dir string
	cmd          *exec.Cmd
}

// MinIO starts a server of the given build with a fresh, empty directory. It
// ends with the test, whose environment gets the credentials.
func MinIO(t testing.TB, version string) *Server {
	t.Helper()
	program, err := FetchMinIO(version)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{program: program, dir: t.TempDir(), AccessKey: "test" + random(4), SecretKey: random(16)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Endpoint = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", s.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s.SecretKey)
	t.Setenv("MINIO_ACCESS_KEY", s.AccessKey)
	t.Setenv("MINIO_SECRET_KEY", s.SecretKey)
	s.start(t)
	t.Cleanup(s.stop)
	return s
}

func (s *Server) start(t testing.TB) {
	log, err := os.CreateTemp(t.TempDir(), "minio-*.log")
	if err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command(s.program, "server", "--quiet", "--address", s.Endpoint, s.dir)
	s.cmd.Env = append(os.Environ(), "MINIO_ROOT_USER="+s.AccessKey, "MINIO_ROOT_PASSWORD="+s.SecretKey, "MINIO_UPDATE=off", "MINIO_BROWSER=off")
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(60 * time.Second)
	for {
		resp, err := http.Get("http://" + s.Endpoint + "/minio/health/ready")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("MinIO did not get ready: %v\n%s", err, text)
		}
		<-time.After(50 * time.Millisecond)
	}
}

func (s *Server) stop() {
	_ = s.cmd.Process.Kill() // it may be gone already
	_ = s.cmd.Wait()
}

// Bucket makes an empty bucket: a folder in the server's only drive, which is
// how MinIO keeps it.
func (s *Server) Bucket(t testing.TB) string {
	t.Helper()
	name := "bucket-" + random(4)
	if err := os.Mkdir(filepath.Join(s.dir, name), 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
