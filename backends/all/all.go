// Package all promises a registry with every adapter of this module. Programs
// that need one adapter import that one instead, and link no other SDK.
package all

import (
	"github.com/woodpecker-wal/woodpecker/backends"
	"github.com/woodpecker-wal/woodpecker/backends/local"
	"github.com/woodpecker-wal/woodpecker/backends/mem"
	"github.com/woodpecker-wal/woodpecker/backends/minio"
	"github.com/woodpecker-wal/woodpecker/backends/s3"
)

// Registry lists every scheme.
func Registry() backends.Registry {
	return backends.Registry{local.Scheme(), mem.Scheme(), s3.Scheme(), minio.Scheme()}
}
