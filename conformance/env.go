package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/woodpecker-wal/woodpecker/backends"
)

// Env is what a check works with: clients, keys and bodies of its own, and the
// ways to end. Keys given to its stores are relative to the check's prefix.
//
// Methods that end the check (those without an error result) do so by a panic
// that [Run] recovers; they belong in the goroutine of the check's Run. Other
// goroutines use the stores themselves.
type Env struct {
	Profile Profile

	run    *runner
	prefix string // of this attempt, below the run's prefix
	tally  tally
	rng    *rand.Rand // guarded by mu
	keys   int        // guarded by mu
	mu     sync.Mutex

	evidence []string // guarded by mu
	held     []Held   // still open; guarded by mu
}

// ended carries a finding out of a check.
type ended struct{ finding Finding }

// End ends the check with f.
func (e *Env) End(f Finding) { panic(ended{f}) }

// Key makes a key that was never used, with a name for the reader of a trace.
func (e *Env) Key(name string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.keys++
	return fmt.Sprintf("%s-%05d", name, e.keys)
}

// Body makes size bytes that nobody else writes.
func (e *Env) Body(size int) []byte { return e.BodyOf(0, 0, size) }

// BodyOf is Body that names its writer and round.
func (e *Env) BodyOf(writer, round, size int) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return newBody(e.rng, writer, round, size)
}

// Intn is a number below n from the run's seed.
func (e *Env) Intn(n int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rng.IntN(n)
}

// Evidence keeps a line for whoever has to find the defect.
func (e *Env) Evidence(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.evidence) < 50 {
		e.evidence = append(e.evidence, fmt.Sprintf(format, args...))
	}
}

// Note records a measured capability in the report.
func (e *Env) Note(name string, value any) { e.run.note(name, value) }

// Pause waits d, or until ctx ends. A planned run does not wait.
func (e *Env) Pause(ctx context.Context, d time.Duration) {
	if e.run.opts.Plan {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Raw is client number i, with a connection of its own, over every known
// endpoint in turn. It makes one attempt at everything.
func (e *Env) Raw(i int) backends.Store { return e.scoped(e.run.client(i)) }

// Steady is client number i behind [backends.Retry]: what a program would use,
// for everything that is not itself under test.
func (e *Env) Steady(i int) backends.Store {
	return backends.Retry(e.Raw(i), e.run.retry)
}

// scoped counts the requests of s for this check and roots it at its prefix.
func (e *Env) scoped(s backends.Store) backends.Store {
	return backends.Prefix(&meter{inner: s, run: e.run.account, check: &e.tally, timeout: e.run.opts.RequestTimeout}, e.prefix)
}

// Begin begins a put that stops before the last keep bytes of its request have
// left; see [Holder]. What the check leaves open is abandoned when it ends.
func (e *Env) Begin(ctx context.Context, key string, body []byte, cond backends.Condition, keep int) Held {
	h, err := e.run.target.Hold.Begin(ctx, e.scoped, key, body, cond, keep)
	if err != nil {
		e.Stop(err, "holding a put open")
	}
	t := &trackedHeld{Held: h}
	e.mu.Lock()
	e.held = append(e.held, t)
	e.mu.Unlock()
	return t
}

// trackedHeld remembers whether it was ended.
type trackedHeld struct {
	Held
	once sync.Once
}

func (t *trackedHeld) Finish(ctx context.Context) (v backends.Version, err error) {
	t.once.Do(func() { v, err = t.Held.Finish(ctx) })
	return v, err
}

func (t *trackedHeld) Abandon() { t.once.Do(t.Held.Abandon) }

// release abandons what the check left open.
func (e *Env) release() {
	e.mu.Lock()
	held := e.held
	e.held = nil
	e.mu.Unlock()
	for _, h := range held {
		h.Abandon()
	}
}

// Stop ends the check because err, met while doing something that is not under
// test, leaves it no way on.
func (e *Env) Stop(err error, doing string) {
	switch backends.ClassOf(err) {
	case backends.Unsupported:
		e.End(Refused("%s: %v", doing, err))
	case backends.Throttled, backends.Ambiguous, backends.Unavailable, backends.Conflict:
		e.End(Undecided("%s: %v", doing, err))
	case backends.Corrupt:
		e.End(Failed(Corruption, "%s: %v", doing, err))
	case backends.NotFound, backends.Exists, backends.VersionMismatch, backends.InvalidRange:
		e.End(Failed(Other, "%s: %v", doing, err))
	case backends.Denied:
		e.End(Finding{Outcome: Errored, Detail: fmt.Sprintf("%s: %v", doing, err)})
	default:
		if backends.IsDone(err) {
			e.End(Undecided("%s: %v", doing, err))
		}
		e.End(Failed(WrongClass, "%s: the error has no class a log could act on: %v", doing, err))
	}
}

// decided reports whether err (nil included) is an answer of the store, as
// opposed to an attempt that decided nothing.
func decided(err error) bool {
	switch backends.ClassOf(err) {
	case backends.Throttled, backends.Ambiguous, backends.Unavailable, backends.Conflict:
		return false
	}
	return err == nil || !backends.IsDone(err)
}

// Ask repeats attempt, which must be harmless to repeat, until the store gives
// an answer of its own, and returns that answer. It ends the check as undecided
// if none comes.
func (e *Env) Ask(ctx context.Context, doing string, attempt func(try int) error) error {
	var err error
	for try := range e.run.opts.Tries {
		if err = attempt(try); decided(err) {
			return err
		}
		if ctx.Err() != nil || errors.Is(err, errBudget) {
			break
		}
		e.Pause(ctx, e.run.waitAfter(try, err))
	}
	e.End(Undecided("%s: no answer decided anything: %v", doing, err))
	return err
}

// Create creates key through client 0, settling lost answers.
func (e *Env) Create(ctx context.Context, key string, body []byte) backends.Version {
	return e.put(ctx, key, body, backends.IfAbsent(), "creating an object")
}

// Overwrite puts key whatever is there.
func (e *Env) Overwrite(ctx context.Context, key string, body []byte) backends.Version {
	return e.put(ctx, key, body, backends.Always(), "putting an object")
}

// Swap puts key if it still has version v.
func (e *Env) Swap(ctx context.Context, key string, v backends.Version, body []byte) backends.Version {
	if v == "" {
		e.End(Refused("the store gives objects no version token, so nothing can be compared"))
	}
	return e.put(ctx, key, body, backends.IfVersion(v), "compare-and-swap with the current version")
}

func (e *Env) put(ctx context.Context, key string, body []byte, cond backends.Condition, doing string) backends.Version {
	v, err := e.Steady(0).Put(ctx, key, body, cond)
	if err != nil {
		e.Stop(err, doing)
	}
	return v
}

// Delete deletes key, settling lost answers.
func (e *Env) Delete(ctx context.Context, key string) {
	if err := e.Steady(0).Delete(ctx, key); err != nil {
		e.Stop(err, "deleting an object")
	}
}

// Read reads all of key through client i; found is false if there is none.
func (e *Env) Read(ctx context.Context, i int, key string) (body []byte, info backends.Info, found bool) {
	err := e.Ask(ctx, "reading an object", func(int) (err error) {
		body, info, err = backends.ReadAll(ctx, e.Raw(i), key, backends.All())
		return err
	})
	return body, info, e.present(err, "reading an object")
}

// ReadRange reads a part of key through client i and gives the store's answer.
func (e *Env) ReadRange(ctx context.Context, i int, key string, r backends.Range) (body []byte, info backends.Info, err error) {
	err = e.Ask(ctx, "reading a range", func(int) (err error) {
		body, info, err = backends.ReadAll(ctx, e.Raw(i), key, r)
		return err
	})
	return body, info, err
}

// Head describes key through client i; found is false if there is none.
func (e *Env) Head(ctx context.Context, i int, key string) (info backends.Info, found bool) {
	err := e.Ask(ctx, "asking for an object's size and version", func(int) (err error) {
		info, err = e.Raw(i).Head(ctx, key)
		return err
	})
	return info, e.present(err, "asking for an object's size and version")
}

// present turns the answer to a read into found, ending the check on any other
// error.
func (e *Env) present(err error, doing string) bool {
	if err != nil && backends.ClassOf(err) != backends.NotFound {
		e.Stop(err, doing)
	}
	return err == nil
}

// List is one page of a listing through client i.
func (e *Env) List(ctx context.Context, i int, prefix, after string, limit int) (page backends.Page) {
	err := e.Ask(ctx, "listing", func(int) (err error) {
		page, err = e.Raw(i).List(ctx, prefix, after, limit)
		return err
	})
	if err != nil {
		e.Stop(err, "listing")
	}
	return page
}

// ListAll walks a listing page by page without trusting its order; most bounds
// the number of pages, so that an endless listing ends.
func (e *Env) ListAll(ctx context.Context, i int, prefix string, limit, most int) (objects []backends.Info, complete bool) {
	after := ""
	for range most {
		page := e.List(ctx, i, prefix, after, limit)
		objects = append(objects, page.Objects...)
		if !page.More {
			return objects, true
		}
		if n := len(page.Objects); n > 0 {
			after = page.Objects[n-1].Key
		}
	}
	return objects, false
}

// Expect ends the check as a failure unless key holds exactly want. what says
// whose bytes they are.
func (e *Env) Expect(ctx context.Context, i int, key string, want []byte, what string) backends.Info {
	got, info, found := e.Read(ctx, i, key)
	if !found {
		e.End(Failed(LostUpdate, "%s: the object is gone", what))
	}
	if d := differ(got, want); d != "" {
		if id, err := readBody(got); err == nil {
			e.End(Failed(LostUpdate, "%s: the object holds what writer %d wrote in round %d (%s)", what, id.writer, id.round, d))
		}
		e.End(Failed(Corruption, "%s: %s", what, d))
	}
	return info
}

// Each runs fn for 0 to n-1 at the same time and waits for all. fn must not end
// the check.
func Each(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

// Together is Each with a starting gun: all are released at once, after every
// goroutine is ready.
func Together(n int, fn func(i int)) {
	var ready sync.WaitGroup
	ready.Add(n)
	gun := make(chan struct{})
	go func() { ready.Wait(); close(gun) }()
	Each(n, func(i int) {
		ready.Done()
		<-gun
		fn(i)
	})
}

// tryPut puts key plainly and returns the store's answer.
func (e *Env) tryPut(ctx context.Context, key string, body []byte) error {
	return e.Ask(ctx, "putting an object", func(int) error {
		_, err := e.Raw(0).Put(ctx, key, body, backends.Always())
		return err
	})
}
