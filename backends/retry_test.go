package backends_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/woodpecker-wal/woodpecker/backends"
	"github.com/woodpecker-wal/woodpecker/backends/mem"
)

// script is a store whose puts fail as told, before or after taking effect.
type script struct {
	backends.Store
	steps []step
	puts  int
}

type step struct {
	class   backends.Class // Unknown: no failure
	applied bool           // whether the put takes effect before it fails
}

func (s *script) Put(ctx context.Context, key string, body []byte, cond backends.Condition) (backends.Version, error) {
	now := step{}
	if s.puts < len(s.steps) {
		now = s.steps[s.puts]
	}
	s.puts++
	if now.class == backends.Unknown {
		return s.Store.Put(ctx, key, body, cond)
	}
	if now.applied {
		// Whether the condition held is what the lost answer would have told.
		_, _ = s.Store.Put(ctx, key, body, cond)
	}
	return "", &backends.Error{Op: backends.OpPut, Key: key, Class: now.class}
}

func nonce(string, []byte) backends.Range { return backends.Span(0, 4) }

// Every sequence of three failures, with and without effect, on a key that is
// free or taken: a success that Retry reports is the caller's own, a loss is
// somebody else's, and what cannot be told is ambiguous.
func TestRetryTellsTheTruth(t *testing.T) {
	kinds := []step{{}, {backends.Ambiguous, false}, {backends.Ambiguous, true}, {backends.Throttled, false}, {backends.Throttled, true},
		{backends.Conflict, false}, {backends.Unavailable, false}}
	synctest.Test(t, func(t *testing.T) {
		n := 0
		for _, a := range kinds {
			for _, b := range kinds {
				for _, c := range kinds {
					for _, taken := range []bool{false, true} {
						for _, swap := range []bool{false, true} {
							for _, withNonce := range []bool{true, false} {
								n++
								oneRetry(t, []step{a, b, c}, taken, swap, withNonce)
							}
						}
					}
				}
			}
		}
		t.Logf("%d sequences", n)
	})
}

func oneRetry(t *testing.T, steps []step, taken, swap, withNonce bool) {
	ctx := context.Background()
	ref := mem.New()
	mine, theirs, old := []byte("mine and no other's"), []byte("them and their bytes"), []byte("old bytes")
	cond := backends.IfAbsent()
	if swap {
		v, err := ref.Put(ctx, "k", old, backends.Always())
		if err != nil {
			t.Fatal(err)
		}
		cond = backends.IfVersion(v)
	}
	if taken {
		if _, err := ref.Put(ctx, "k", theirs, backends.Always()); err != nil {
			t.Fatal(err)
		}
	}
	o := backends.RetryOptions{Attempts: len(steps)}
	if withNonce {
		o.Nonce = nonce
	}
	v, err := backends.Retry(&script{Store: ref, steps: steps}, o).Put(ctx, "k", mine, cond)
	name := fmt.Sprintf("%v taken %t swap %t nonce %t", steps, taken, swap, withNonce)
	got, info, rerr := backends.ReadAll(ctx, ref, "k", backends.All())
	if rerr != nil && !errors.Is(rerr, backends.NotFound) {
		t.Fatal(rerr)
	}
	switch backends.ClassOf(err) {
	case backends.Unknown:
		if err != nil || !bytes.Equal(got, mine) || v != info.Version {
			t.Errorf("%s: success, but the key holds %q of %s, not %s (%v)", name, got, info.Version, v, err)
		}
	case backends.Exists, backends.VersionMismatch:
		if bytes.Equal(got, mine) {
			t.Errorf("%s: a loss, but the caller's bytes are there", name)
		}
	case backends.Conflict, backends.Unavailable:
		if bytes.Equal(got, mine) {
			t.Errorf("%s: nothing was written, it says, but the caller's bytes are there", name)
		}
	case backends.Ambiguous:
	default:
		t.Errorf("%s: %v", name, err)
	}
}

// Without a nonce an answer "exists" after a lost one is never taken for a loss
// or a win.
func TestRetryDoesNotGuess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := backends.Retry(&script{Store: mem.New(), steps: []step{{backends.Ambiguous, true}}}, backends.RetryOptions{})
		if _, err := s.Put(t.Context(), "k", []byte("x"), backends.IfAbsent()); !errors.Is(err, backends.Ambiguous) {
			t.Error(err)
		}
	})
}

// Addresses never hold a credential, and a complaint never repeats one.
func TestAddressesKeepSecrets(t *testing.T) {
	for _, a := range []string{"s3://u:hunter22@b/p", "s3://b/p?secret_key=hunter22", "s3://b?AccessKey=hunter22", "s3://hunter22:%zz@b", "hunter22", "s3://b/p?x=1#hunter22"} {
		if _, err := backends.ParseAddress(a); err == nil || bytes.Contains([]byte(err.Error()), []byte("hunter22")) {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestRangeResolve(t *testing.T) {
	for _, c := range []struct {
		r        backends.Range
		size     int64
		from, to int64
		ok       bool
	}{
		{backends.All(), 0, 0, 0, true}, {backends.All(), 5, 0, 5, true},
		{backends.Span(1, 2), 5, 1, 3, true}, {backends.Span(1, 20), 5, 1, 5, true}, {backends.Span(4, 0), 5, 4, 5, true},
		{backends.Span(5, 1), 5, 0, 0, false}, {backends.Span(0, 1), 0, 0, 0, false},
		{backends.Suffix(2), 5, 3, 5, true}, {backends.Suffix(9), 5, 0, 5, true}, {backends.Suffix(1), 0, 0, 0, false},
		{backends.Span(1, 1<<62), 5, 1, 5, true}, {backends.Span(1<<62, 1<<62), 5, 0, 0, false},
	} {
		from, to, ok := c.r.Resolve(c.size)
		if ok != c.ok || (ok && (from != c.from || to != c.to)) {
			t.Errorf("%+v of %d: %d, %d, %t", c.r, c.size, from, to, ok)
		}
	}
}
