package backends

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// RetryOptions tunes [Retry]. Zero fields take the defaults.
type RetryOptions struct {
	// Nonce tells where in a body its nonce stands: bytes that no other put of
	// the same key has. A Range without Length means that this body has none.
	// Without a nonce a lost answer stays Ambiguous: Retry does not guess.
	Nonce func(key string, body []byte) Range

	Attempts int           // at most so many requests for one operation; default 8
	MaxWait  time.Duration // at most so long between two; default 2 s
	MinWait  time.Duration // before the second attempt; default 20 ms; doubles from there
}

func (o RetryOptions) withDefaults() RetryOptions {
	if o.Attempts == 0 {
		o.Attempts = 8
	}
	if o.MinWait == 0 {
		o.MinWait = 20 * time.Millisecond
	}
	if o.MaxWait == 0 {
		o.MaxWait = 2 * time.Second
	}
	return o
}

// Retry returns s with retries, the only place in a stack of stores where they
// happen. Reads, deletes and unconditional puts are repeated while they are
// Throttled, Unavailable, Ambiguous or in Conflict. A conditional put is
// repeated with unchanged bytes, and whenever an earlier attempt may have taken
// effect, an answer "exists" or "version mismatch" is settled by reading the
// object: with its own nonce in it the put has succeeded. A success that Retry
// reports is therefore the caller's own, and so is a loss somebody else's;
// what cannot be settled is Ambiguous.
func Retry(s Store, o RetryOptions) Store {
	return &retrying{inner: s, o: o.withDefaults()}
}

type retrying struct {
	inner Store
	o     RetryOptions
}

// retryable reports whether another attempt may help.
func retryable(c Class) bool {
	return c == Throttled || c == Unavailable || c == Ambiguous || c == Conflict
}

// pause waits before the attempt after number try, with full jitter above half.
func (r *retrying) pause(ctx context.Context, try int, err error) error {
	d := r.o.MaxWait
	if try < 20 {
		d = min(r.o.MinWait<<try, r.o.MaxWait)
	}
	d = d/2 + rand.N(d/2+1)
	var e *Error
	if errors.As(err, &e) {
		d = max(d, min(e.RetryAfter, 30*time.Second))
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// repeat runs op, which may be repeated without harm, until it is answered.
func (r *retrying) repeat(ctx context.Context, op func() error) error {
	for try := 0; ; try++ {
		err := op()
		if err == nil || !retryable(ClassOf(err)) || try+1 >= r.o.Attempts || ctx.Err() != nil {
			return err
		}
		if r.pause(ctx, try, err) != nil {
			return err
		}
	}
}

func (r *retrying) Put(ctx context.Context, key string, body []byte, cond Condition) (v Version, err error) {
	cond.Check()
	if cond.IsAlways() {
		err = r.repeat(ctx, func() (err error) {
			v, err = r.inner.Put(ctx, key, body, cond)
			return err
		})
		return v, err
	}
	return r.conditional(ctx, key, body, cond)
}

// conditional makes attempts at a conditional put until one is decided.
func (r *retrying) conditional(ctx context.Context, key string, body []byte, cond Condition) (Version, error) {
	open := false // an earlier attempt may have taken effect, or may yet
	var last error
	for try := range r.o.Attempts {
		if try > 0 {
			if err := r.pause(ctx, try-1, last); err != nil {
				break
			}
		}
		v, err := r.inner.Put(ctx, key, body, cond)
		if err == nil {
			return v, nil
		}
		last = err
		switch c := ClassOf(err); {
		case c == Exists || c == VersionMismatch:
			// On a first attempt too: a gateway in between may have repeated
			// the request. It costs one read on the losing path.
			v, whose := r.whose(ctx, key, body)
			switch {
			case whose == mine:
				return v, nil
			case whose == theirs:
				return "", err
			case whose == noNonce && !open:
				return "", err
			case whose == nobodys && c == VersionMismatch && !open:
				return "", err // the object to be replaced is gone
			case whose == nobodys && c == Exists && !open:
				continue // deleted meanwhile
			default:
				return "", ambiguous(key, err, "the store says that an object is there, and whose it is cannot be read")
			}
		case retryable(c):
			open = open || c == Ambiguous || c == Throttled
		default:
			if open {
				return "", ambiguous(key, err, "an earlier attempt may have succeeded")
			}
			return "", err
		}
		if ctx.Err() != nil {
			break
		}
	}
	if !open {
		return "", last
	}
	// The last word can only be good news: an absent object may still arrive.
	if v, whose := r.whose(ctx, key, body); whose == mine {
		return v, nil
	}
	return "", ambiguous(key, last, "no attempt was answered")
}

func ambiguous(key string, err error, why string) error {
	return &Error{Op: OpPut, Key: key, Class: Ambiguous, Err: fmt.Errorf("%s: %w", why, err)}
}

type owner int

const (
	unread  owner = iota // the object could not be read
	noNonce              // the body has none
	nobodys              // there is no object
	mine
	theirs
)

// whose reads the nonce of the object under key. Nonce and version come from
// one read, so that they belong to one state.
func (r *retrying) whose(ctx context.Context, key string, body []byte) (Version, owner) {
	var at Range
	if r.o.Nonce != nil {
		at = r.o.Nonce(key, body)
	}
	if at.Length <= 0 {
		return "", noNonce
	}
	var got []byte
	var info Info
	err := r.repeat(ctx, func() (err error) {
		got, info, err = ReadAll(ctx, r.inner, key, at)
		return err
	})
	switch ClassOf(err) {
	case NotFound:
		return "", nobodys
	case InvalidRange: // too short to be ours
		return "", theirs
	}
	if err != nil {
		return "", unread
	}
	if info.Size == int64(len(body)) && bytes.Equal(got, body[at.Offset:at.Offset+at.Length]) {
		return info.Version, mine
	}
	return "", theirs
}

func (r *retrying) Get(ctx context.Context, key string, rng Range) (rc io.ReadCloser, info Info, err error) {
	err = r.repeat(ctx, func() (err error) {
		rc, info, err = r.inner.Get(ctx, key, rng)
		return err
	})
	return rc, info, err
}

func (r *retrying) Head(ctx context.Context, key string) (info Info, err error) {
	err = r.repeat(ctx, func() (err error) {
		info, err = r.inner.Head(ctx, key)
		return err
	})
	return info, err
}

func (r *retrying) List(ctx context.Context, prefix, startAfter string, limit int) (page Page, err error) {
	err = r.repeat(ctx, func() (err error) {
		page, err = r.inner.List(ctx, prefix, startAfter, limit)
		return err
	})
	return page, err
}

func (r *retrying) Delete(ctx context.Context, key string) error {
	return r.repeat(ctx, func() error { return r.inner.Delete(ctx, key) })
}

// Append is not repeated: whether an unanswered append took effect is told by
// the object's size, which its caller knows how to read.
func (r *retrying) Append(ctx context.Context, key string, offset int64, data []byte) error {
	return Append(ctx, r.inner, key, offset, data)
}

func (r *retrying) Versioning(ctx context.Context) (v Versioning, err error) {
	err = r.repeat(ctx, func() (err error) {
		v, err = VersioningOf(ctx, r.inner)
		return err
	})
	return v, err
}

// DeleteIf is repeated only while nothing can have been applied.
func (r *retrying) DeleteIf(ctx context.Context, key string, v Version) error {
	for try := 0; ; try++ {
		err := DeleteIf(ctx, r.inner, key, v)
		c := ClassOf(err)
		if (c != Unavailable && c != Conflict) || try+1 >= r.o.Attempts || r.pause(ctx, try, err) != nil {
			return err
		}
	}
}

func (r *retrying) Close() error { return r.inner.Close() }
