package backends

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Options are what a program, not an address, says about how to open a store.
type Options struct {
	// Transport, if set, carries every HTTP request of the store instead of a
	// transport of its own; it must not retry. Stores that speak no HTTP ignore
	// it. Conformance uses it to hold, cut and count single requests.
	Transport http.RoundTripper

	// Step, if set, is called by stores that publish in steps of their own
	// (mem, file), in the goroutine of the Put, right before each step takes
	// effect. It may block, and the process may be killed in it: whatever the
	// moment, the object must be whole or absent. The steps of a Put are "body"
	// (nothing is stored yet), "publish" (the body is complete, the condition
	// not yet decided) and "acknowledge" (decided and durable).
	Step func(step string, key string)
}

// A Scheme opens the addresses of one URL scheme.
type Scheme struct {
	Name string   // "s3"
	Keys []string // query keys it understands
	HTTP bool     // whether it speaks HTTP, so that Options.Transport works
	// Open opens the store that a names, rooted at its prefix. It should not
	// need the network; the first operation tells whether the store is there.
	Open func(ctx context.Context, a Address, o Options) (Store, error)
}

// A Registry maps URL schemes to openers. It is an ordinary value, filled
// before use: a program lists in it the adapters that it links.
type Registry []Scheme

// Lookup returns the scheme of a after checking a's query keys against it.
// Errors are for a user: they name what is known.
func (r Registry) Lookup(a Address) (Scheme, error) {
	i := slices.IndexFunc(r, func(s Scheme) bool { return s.Name == a.Scheme })
	if i < 0 {
		var names []string
		for _, s := range r {
			names = append(names, s.Name+"://")
		}
		return Scheme{}, fmt.Errorf("unknown scheme %s://; known are %s", a.Scheme, strings.Join(names, ", "))
	}
	if err := a.checkKeys(r[i].Keys); err != nil {
		return Scheme{}, err
	}
	return r[i], nil
}

// Open opens the store at address. Every error it returns itself is one of
// usage; what the network or the disk says comes from the scheme's opener.
func (r Registry) Open(ctx context.Context, address string, o Options) (Store, error) {
	a, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	s, err := r.Lookup(a)
	if err != nil {
		return nil, err
	}
	return s.Open(ctx, a, o)
}
