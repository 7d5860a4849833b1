package local

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/woodpecker-wal/woodpecker/backends"
)

type syncMode uint8

const (
	syncFull syncMode = iota // fsync of files
	syncData                 // fdatasync of files
	syncNone                 // nothing: what was acknowledged dies with the machine
)

// Config says which directory to open and how.
type Config struct {
	Dir string // must exist
	// Sync is "full" (the default), "data" or "none". With none, acknowledged
	// objects survive the process and not the machine.
	Sync string
	// AllowNetwork opens directories on network file systems too, where locks
	// and durability depend on the server.
	AllowNetwork bool
	// Step is told of each step of a put; see [backends.Options].
	Step func(step, key string)
}

// Scheme opens file:///dir.
func Scheme() backends.Scheme {
	return backends.Scheme{
		Name: "file", Keys: []string{"sync", "append", "network"},
		Open: func(_ context.Context, a backends.Address, o backends.Options) (backends.Store, error) {
			if a.Host != "" || a.Path == "" {
				return nil, errors.New("file:// address: it needs an absolute path, like file:///var/lib/wal (three slashes)")
			}
			c := Config{Dir: a.Path, Step: o.Step}
			var err error
			if c.Sync, err = a.OneOf("sync", "full", "data", "none"); err != nil {
				return nil, err
			}
			// The log's local engine decides by it; objects are never appended to.
			if _, err = a.OneOf("append", "auto", "off"); err != nil {
				return nil, err
			}
			network, err := a.OneOf("network", "refuse", "allow")
			if err != nil {
				return nil, err
			}
			c.AllowNetwork = network == "allow"
			return Open(c)
		},
	}
}

// Open opens a store on a directory that must exist. A network file system is
// refused unless the configuration allows it.
func Open(c Config) (*Store, error) {
	modes := map[string]syncMode{"": syncFull, "full": syncFull, "data": syncData, "none": syncNone}
	mode, ok := modes[c.Sync]
	if !ok {
		return nil, fmt.Errorf("local: sync %q is not full, data or none", c.Sync)
	}
	root, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, err
	}
	s := &Store{root: root, sync: mode, step: c.Step}
	if err := s.alive(); err != nil {
		return nil, fail(backends.OpOpen, "", err)
	}
	name, network, err := fileSystem(root)
	if err != nil {
		return nil, fail(backends.OpOpen, "", err)
	}
	if network && !c.AllowNetwork {
		return nil, fail(backends.OpOpen, "", &backends.Error{Class: backends.Denied,
			Err: fmt.Errorf("%s is on a network file system (%s), where locks and durability depend on the server: add network=allow to use it all the same", root, name)})
	}
	return s, nil
}
