//go:build !linux

package local

import (
	"context"
	"os"

	"github.com/woodpecker-wal/woodpecker/backends"
)

// Other systems sync directories and lock files in other ways, or not at all;
// until each is proven Open refuses them here.
var errSystem = &backends.Error{Class: backends.Unsupported}

func (s *Store) syncFile(*os.File) error { return errSystem }
func (s *Store) syncDir(string) error    { return errSystem }
func tryLock(*os.File) bool              { return false }
func linked(*os.File) bool               { return false }

func (s *Store) lock(context.Context, string) (func(), error) { return nil, errSystem }

func fileSystem(string) (string, bool, error) { return "", false, errSystem }
