package conformance_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/woodpecker-wal/woodpecker/backends"
	"github.com/woodpecker-wal/woodpecker/conformance"
)

// lossy is a correct store behind a bad connection: it loses a share of the
// requests, half of them after they took effect, and throttles another share.
type lossy struct {
	backends.Store
	lose, throttle float64
	mu             *sync.Mutex
	rng            *rand.Rand // guarded by mu
}

// fate decides about one request: whether it reaches the store, and the class
// that the client sees instead of an answer.
func (l lossy) fate(op backends.Op) (reaches bool, class backends.Class) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := backends.Unavailable
	if op == backends.OpPut || op == backends.OpDelete {
		lost = backends.Ambiguous
	}
	switch x := l.rng.Float64(); {
	case x < l.lose/2:
		return true, lost
	case x < l.lose:
		return false, lost
	case x < l.lose+l.throttle:
		return false, backends.Throttled
	default:
		return true, backends.Unknown
	}
}

func lost(op backends.Op, key string, c backends.Class) error {
	return &backends.Error{Op: op, Store: "lossy", Key: key, Class: c}
}

func (l lossy) Put(ctx context.Context, key string, body []byte, cond backends.Condition) (v backends.Version, err error) {
	reaches, class := l.fate(backends.OpPut)
	if reaches {
		v, err = l.Store.Put(ctx, key, body, cond)
	}
	if class != backends.Unknown {
		return "", lost(backends.OpPut, key, class)
	}
	return v, err
}

func (l lossy) Get(ctx context.Context, key string, r backends.Range) (io.ReadCloser, backends.Info, error) {
	if _, class := l.fate(backends.OpGet); class != backends.Unknown {
		return nil, backends.Info{}, lost(backends.OpGet, key, class)
	}
	return l.Store.Get(ctx, key, r)
}

func (l lossy) Head(ctx context.Context, key string) (backends.Info, error) {
	if _, class := l.fate(backends.OpHead); class != backends.Unknown {
		return backends.Info{}, lost(backends.OpHead, key, class)
	}
	return l.Store.Head(ctx, key)
}

func (l lossy) List(ctx context.Context, prefix, after string, limit int) (backends.Page, error) {
	if _, class := l.fate(backends.OpList); class != backends.Unknown {
		return backends.Page{}, lost(backends.OpList, prefix, class)
	}
	return l.Store.List(ctx, prefix, after, limit)
}

func (l lossy) Delete(ctx context.Context, key string) (err error) {
	reaches, class := l.fate(backends.OpDelete)
	if reaches {
		err = l.Store.Delete(ctx, key)
	}
	if class != backends.Unknown {
		return lost(backends.OpDelete, key, class)
	}
	return err
}

// A correct store behind a bad connection is never called unsafe: it is
// supported, or undecided.
func TestBadConnectionIsNotUnsafe(t *testing.T) {
	for _, c := range []struct{ lose, throttle float64 }{{0.2, 0}, {0, 0.5}, {0, 0.9}, {0.5, 0}, {1, 0}} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("lose=%v,throttle=%v,seed=%d", c.lose, c.throttle, seed), func(t *testing.T) {
				t.Parallel()
				mu, rng := &sync.Mutex{}, rand.New(rand.NewPCG(seed, 1))
				target, _ := memTarget(func(s backends.Store) backends.Store {
					return lossy{Store: s, lose: c.lose, throttle: c.throttle, mu: mu, rng: rng}
				})
				rep, err := conformance.Run(t.Context(), target, conformance.Options{Profile: conformance.Quick, Writers: 4, Rounds: 2, Seed: seed + 1, Plan: true})
				if err != nil {
					t.Log(err) // not connecting at all is honest too
					return
				}
				for _, r := range rep.Checks {
					if r.Outcome == conformance.Fail || r.Outcome == conformance.Errored {
						t.Errorf("%s: %s %s: %s", r.ID, r.Outcome, r.Class, r.Detail)
					}
				}
				t.Log(rep.Verdict, rep.Reason)
			})
		}
	}
}
