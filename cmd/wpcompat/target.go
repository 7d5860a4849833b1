package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/woodpecker-wal/woodpecker/backends"
	"github.com/woodpecker-wal/woodpecker/conformance"
)

type opener = func(ctx context.Context, o backends.Options) (backends.Store, error)

func openerOf(address string) opener {
	return func(ctx context.Context, o backends.Options) (backends.Store, error) {
		return registry.Open(ctx, address, o)
	}
}

// targetOf describes the target that address and more endpoints of it name.
func targetOf(address string, more []string, versioned string) (conformance.Target, error) {
	a, scheme, err := parse(address)
	if err != nil {
		return conformance.Target{}, err
	}
	open := openerOf(address)
	t := conformance.Target{Open: open, Secrets: secrets(), Description: describe(a)}
	for _, m := range more {
		b, _, err := parse(m)
		if err != nil {
			return t, err
		}
		if b.Scheme != a.Scheme {
			return t, fmt.Errorf("further endpoints must name the same bucket by the same scheme: %s:// after %s://", b.Scheme, a.Scheme)
		}
		t.More = append(t.More, openerOf(m))
		t.Description.Endpoints = append(t.Description.Endpoints, describe(b).Endpoints...)
	}
	if versioned != "" {
		if _, _, err := parse(versioned); err != nil {
			return t, err
		}
		t.Versioned = openerOf(versioned)
	}
	switch {
	case scheme.HTTP:
		t.Hold = conformance.WireHolder(open)
		t.Missing = func(ctx context.Context) (backends.Store, error) {
			return registry.Open(ctx, elsewhere(a).String(), backends.Options{})
		}
	case a.Scheme == "file":
		t.Process = func(ctx context.Context) (*conformance.Process, error) { return startProcess(ctx, address) }
		t.Hold = conformance.ProcessHolder(t.Process)
		t.Missing = func(ctx context.Context) (backends.Store, error) {
			b := a
			b.Path += "/wpcompat-no-such-directory"
			return registry.Open(ctx, b.String(), backends.Options{})
		}
	default:
		t.Hold = conformance.StepHolder(open)
	}
	if a.Scheme == "s3" && a.Get("checksum", "") != "when_supported" && a.Get("endpoint", "") != "" {
		b := a
		b.Query = url.Values{}
		for k, v := range a.Query {
			b.Query[k] = v
		}
		b.Query.Set("checksum", "when_supported")
		t.Defaults = func(ctx context.Context) (backends.Store, error) {
			return registry.Open(ctx, b.String(), backends.Options{})
		}
	}
	return t, nil
}

func parse(address string) (backends.Address, backends.Scheme, error) {
	a, err := backends.ParseAddress(address)
	if err != nil {
		return a, backends.Scheme{}, usageError{err}
	}
	s, err := registry.Lookup(a)
	if err != nil {
		return a, s, usageError{err}
	}
	return a, s, nil
}

// elsewhere is a at a bucket that does not exist.
func elsewhere(a backends.Address) backends.Address {
	const missing = "wpcompat-no-such-bucket-7f3a"
	if a.Scheme == "minio" {
		a.Path = "/" + missing
	} else {
		a.Host, a.Path = missing, ""
	}
	return a
}

// describe says what the address tells of the target, without its bucket.
func describe(a backends.Address) conformance.Description {
	d := conformance.Description{Scheme: a.Scheme, Adapter: a.Scheme, Region: a.Get("region", ""), Endpoints: []string{}}
	switch a.Scheme {
	case "minio":
		bucket, _, _ := strings.Cut(strings.Trim(a.Path, "/"), "/")
		d.Endpoints, d.BucketHash = []string{a.Host}, conformance.HashBucket(bucket)
		d.TLS = a.Get("tls", "true") == "true"
		d.Provider = "minio"
	case "s3":
		d.BucketHash = conformance.HashBucket(a.Host)
		d.Provider, d.TLS = "aws", true
		if u, err := url.Parse(a.Get("endpoint", "")); err == nil && u.Host != "" {
			d.Provider, d.Endpoints, d.TLS = "s3-compatible", []string{u.Host}, u.Scheme == "https"
		}
	case "file":
		d.BucketHash, d.Provider = conformance.HashBucket(a.Path), "file system"
	default:
		d.BucketHash, d.Provider = conformance.HashBucket(a.Host), "reference"
	}
	return d
}

// startProcess starts this program once more as a writer of its own.
func startProcess(ctx context.Context, address string) (*conformance.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	return conformance.StartProcess(ctx, exec.Command(self, "process", address))
}

// processCommand is the other end of startProcess.
func processCommand() *cobra.Command {
	return &cobra.Command{Use: "process ADDRESS", Hidden: true, Args: args(1, 1), RunE: func(c *cobra.Command, a []string) error {
		return conformance.ServeProcess(context.Background(), openerOf(a[0]), os.Stdin, os.Stdout)
	}}
}

func flagNames(c *cobra.Command) []string {
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	slices.Sort(names)
	return names
}
