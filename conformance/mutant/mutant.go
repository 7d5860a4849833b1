// Package mutant promises stores that are each broken in exactly one way, and
// the checks that must catch them: it is how the checks themselves are tested.
package mutant

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/woodpecker-wal/woodpecker/backends"
	"github.com/woodpecker-wal/woodpecker/backends/mem"
	"github.com/woodpecker-wal/woodpecker/conformance"
)

// A Mutant is a store with one defect.
type Mutant struct {
	Name   string
	Defect string   // what is wrong, in one sentence
	Caught []string // ids of checks that must fail on it, or be refused
	build  func(ref *mem.Store) func(backends.Options) backends.Store
}

// Target is a fresh store of this mutant.
func (m Mutant) Target() conformance.Target {
	ref := mem.New()
	client := m.build(ref)
	open := func(_ context.Context, o backends.Options) (backends.Store, error) { return client(o), nil }
	return conformance.Target{Open: open, Hold: conformance.StepHolder(open),
		Description: conformance.Description{Scheme: "mem", Adapter: "mutant", Provider: m.Name}}
}

// altered is a Store some of whose methods were replaced.
type altered struct {
	backends.Store
	put    func(ctx context.Context, s backends.Store, key string, body []byte, cond backends.Condition) (backends.Version, error)
	get    func(ctx context.Context, s backends.Store, key string, r backends.Range) (io.ReadCloser, backends.Info, error)
	head   func(ctx context.Context, s backends.Store, key string) (backends.Info, error)
	list   func(ctx context.Context, s backends.Store, prefix, after string, limit int) (backends.Page, error)
	delete func(ctx context.Context, s backends.Store, key string) error
}

func (a *altered) Put(ctx context.Context, key string, body []byte, cond backends.Condition) (backends.Version, error) {
	if a.put == nil {
		return a.Store.Put(ctx, key, body, cond)
	}
	return a.put(ctx, a.Store, key, body, cond)
}

func (a *altered) Get(ctx context.Context, key string, r backends.Range) (io.ReadCloser, backends.Info, error) {
	if a.get == nil {
		return a.Store.Get(ctx, key, r)
	}
	return a.get(ctx, a.Store, key, r)
}

func (a *altered) Head(ctx context.Context, key string) (backends.Info, error) {
	if a.head == nil {
		return a.Store.Head(ctx, key)
	}
	return a.head(ctx, a.Store, key)
}

func (a *altered) List(ctx context.Context, prefix, after string, limit int) (backends.Page, error) {
	if a.list == nil {
		return a.Store.List(ctx, prefix, after, limit)
	}
	return a.list(ctx, a.Store, prefix, after, limit)
}

func (a *altered) Delete(ctx context.Context, key string) error {
	if a.delete == nil {
		return a.Store.Delete(ctx, key)
	}
	return a.delete(ctx, a.Store, key)
}

func (a *altered) Versioning(ctx context.Context) (backends.Versioning, error) {
	return backends.VersioningOf(ctx, a.Store)
}

// with builds a mutant from replaced methods.
func with(a altered) func(*mem.Store) func(backends.Options) backends.Store {
	return func(ref *mem.Store) func(backends.Options) backends.Store {
		return func(o backends.Options) backends.Store {
			b := a
			b.Store = ref.With(o)
			return &b
		}
	}
}

func fails(op backends.Op, key string, c backends.Class) error {
	return &backends.Error{Op: op, Store: "mutant", Key: key, Class: c}
}

func isAbsentTest(cond backends.Condition) bool { return cond.IsAbsent() }

func isSwapTest(cond backends.Condition) bool { _, ok := cond.Version(); return ok }

// ignoring drops the condition of puts for which when holds.
func ignoring(when func(key string, body []byte, cond backends.Condition) bool) altered {
	return altered{put: func(ctx context.Context, s backends.Store, key string, body []byte, cond backends.Condition) (backends.Version, error) {
		if when(key, body, cond) {
			cond = backends.Always()
		}
		return s.Put(ctx, key, body, cond)
	}}
}

// refusing answers puts for which when holds with a class.
func refusing(c backends.Class, when func(key string, body []byte, cond backends.Condition) bool) altered {
	return altered{put: func(ctx context.Context, s backends.Store, key string, body []byte, cond backends.Condition) (backends.Version, error) {
		if when(key, body, cond) {
			return "", fails(backends.OpPut, key, c)
		}
		return s.Put(ctx, key, body, cond)
	}}
}

// checkFirst decides conditions when the request begins, and then writes
// whatever has happened meanwhile.
func checkFirst(which func(backends.Condition) bool) func(*mem.Store) func(backends.Options) backends.Store {
	return func(ref *mem.Store) func(backends.Options) backends.Store {
		return func(o backends.Options) backends.Store {
			inner := ref.With(o)
			return &altered{Store: inner, put: func(ctx context.Context, s backends.Store, key string, body []byte, cond backends.Condition) (backends.Version, error) {
				if !which(cond) {
					return s.Put(ctx, key, body, cond)
				}
				info, err := ref.Head(ctx, key)
				if cond.IsAbsent() && err == nil {
					return "", fails(backends.OpPut, key, backends.Exists)
				}
				if v, ok := cond.Version(); ok && (err != nil || info.Version != v) {
					return "", fails(backends.OpPut, key, backends.VersionMismatch)
				}
				return s.Put(ctx, key, body, backends.Always())
			}}
		}
	}
}

// listing changes every page.
func listing(change func(prefix, after string, p backends.Page) backends.Page) altered {
	return altered{list: func(ctx context.Context, s backends.Store, prefix, after string, limit int) (backends.Page, error) {
		p, err := s.List(ctx, prefix, after, limit)
		if err != nil {
			return p, err
		}
		return change(prefix, after, p), nil
	}}
}

// reading changes every body that is read.
func reading(change func(r backends.Range, body []byte, info backends.Info) ([]byte, backends.Info)) altered {
	return altered{get: func(ctx context.Context, s backends.Store, key string, r backends.Range) (io.ReadCloser, backends.Info, error) {
		rc, info, err := s.Get(ctx, key, r)
		if err != nil {
			return nil, info, err
		}
		body, err := io.ReadAll(rc)
		if err != nil {
			return nil, info, err
		}
		body, info = change(r, bytes.Clone(body), info)
		return io.NopCloser(bytes.NewReader(body)), info, nil
	}}
}

// All lists the mutants.
func All() []Mutant {
	return []Mutant{
		{"ignore-if-none-match", "creates overwrite what is there", []string{"put.if-absent.honest", "put.if-absent.exists", "put.if-absent.race",
			"put.if-absent.exists.empty", "put.if-absent.exists.large", "put.if-absent.every-path", "put.if-absent.keys", "put.if-absent.unconditional-first", "vis.refused-has-no-effect", "lin.wal.append-fence"},
			with(ignoring(func(_ string, _ []byte, c backends.Condition) bool { return isAbsentTest(c) }))},
		{"refuse-if-none-match", "creates are honestly refused", []string{"put.if-absent.honest", "put.if-absent.fresh"},
			with(refusing(backends.Unsupported, func(_ string, _ []byte, c backends.Condition) bool { return isAbsentTest(c) }))},
		{"create-refuses-fresh", "creates on free keys are refused", []string{"put.if-absent.fresh"},
			with(refusing(backends.Exists, func(_ string, _ []byte, c backends.Condition) bool { return isAbsentTest(c) }))},
		{"large-drops-condition", "creates of 4 MiB and more ignore the condition", []string{"put.if-absent.exists.large", "put.if-absent.every-path"},
			with(ignoring(func(_ string, b []byte, c backends.Condition) bool { return isAbsentTest(c) && len(b) >= 4<<20 }))},
		{"odd-keys-drop-condition", "creates on keys with a percent sign ignore the condition", []string{"put.if-absent.keys"},
			with(ignoring(func(k string, _ []byte, c backends.Condition) bool {
				return isAbsentTest(c) && strings.Contains(k, "%")
			}))},
		{"empty-is-absent", "empty objects do not stop a create", []string{"put.if-absent.exists.empty"}, with(altered{put: emptyIsAbsent})},
		{"dedup-same-bytes", "a create with the bytes that are there is acknowledged", []string{"put.if-absent.exists.same-bytes"}, with(altered{put: dedup})},
		{"check-first-create", "the condition of creates is decided when they begin", []string{"put.if-absent.held-open", "put.if-absent.race.slow-body"}, checkFirst(isAbsentTest)},
		{"check-first-swap", "the condition of swaps is decided when they begin", []string{"put.if-match.held-open", "put.if-match.race.slow-body"}, checkFirst(isSwapTest)},
		{"tombstones-block", "deleted keys stay blocked for creates", []string{"put.if-absent.after-delete"}, tombstones},
		{"conflict-for-ever", "creates over existing objects are answered with conflict for ever", []string{"put.if-absent.race.settles"}, with(altered{put: conflictForever})},
		{"exists-unclassified", "existing objects are answered with a class that no writer understands", []string{"err.precondition.class"}, with(altered{put: existsAs(backends.Denied)})},
		{"unsupported-as-outage", "creates fail as if the store were down", []string{"err.unsupported.class"},
			with(refusing(backends.Unavailable, func(_ string, _ []byte, c backends.Condition) bool { return isAbsentTest(c) }))},
		{"ignore-if-match", "swaps overwrite whatever is there", []string{"put.if-match.stale", "put.if-match.garbage-token", "put.if-match.missing", "put.if-match.deleted", "put.if-match.race", "put.if-match.counter", "put.if-match.aba.fast-rewrite"},
			with(ignoring(func(_ string, _ []byte, c backends.Condition) bool { return isSwapTest(c) }))},
		{"refuse-if-match", "swaps are honestly refused", []string{"put.if-match.current"},
			with(refusing(backends.Unsupported, func(_ string, _ []byte, c backends.Condition) bool { return isSwapTest(c) }))},
		{"if-match-creates-missing", "a swap on a missing key creates it", []string{"put.if-match.missing", "put.if-match.deleted"}, with(altered{put: swapCreates})},
		{"bit-flip", "one bit of large objects is flipped on the way back", []string{"put.roundtrip", "integrity.readback", "size.wal-max"},
			with(reading(func(_ backends.Range, b []byte, i backends.Info) ([]byte, backends.Info) {
				if i.Size > 100_000 && len(b) > 0 {
					b[len(b)/2] ^= 1
				}
				return b, i
			}))},
		{"range-off-by-one", "ranges begin one byte late", []string{"range.basic"}, with(altered{get: offByOne})},
		{"no-suffix", "suffix ranges are refused", []string{"range.suffix"}, with(altered{get: noSuffix})},
		{"eof-is-empty", "ranges past the end are answered with nothing", []string{"range.start-at-eof", "range.empty-object"}, with(altered{get: eofEmpty})},
		{"range-size", "the size that comes with a range is that of the range", []string{"range.total-size"},
			with(altered{get: rangeSize})},
		{"missing-denied", "missing objects are answered as denied", []string{"get.missing"}, with(altered{get: missingDenied, head: missingDeniedHead})},
		{"no-token", "objects have no version", []string{"put.token.present"}, with(altered{put: noToken, head: noTokenHead, get: noTokenGet})},
		{"token-differs", "head gives another version than put", []string{"put.token.agree", "head.equals-get"}, with(altered{head: otherToken})},
		{"head-size", "head tells one byte too many", []string{"put.length.exact", "head.equals-get", "consist.head-get-list-agree"}, with(altered{head: headSize})},
		{"delete-nothing", "deletes are acknowledged and do nothing", []string{"delete.basic", "clean.prefix", "consist.read-after-delete", "consist.list-after-delete"},
			with(altered{delete: func(context.Context, backends.Store, string) error { return nil }})},
		{"delete-missing-fails", "deleting a missing object fails", []string{"delete.idempotent"}, with(altered{delete: deleteMissing})},
		{"delete-prefix", "a delete takes keys with the same beginning along", []string{"delete.only-that"}, with(altered{delete: deletePrefix})},
		{"unsorted-list", "pages are listed backwards", []string{"list.order.bytewise", "list.order.zero-padded"},
			with(listing(func(_, _ string, p backends.Page) backends.Page { slices.Reverse(p.Objects); return p }))},
		{"drop-last-of-page", "full pages lose their last key", []string{"list.page.exact-once", "list.page.boundary"}, with(altered{list: dropLast})},
		{"start-after-inclusive", "a listing shows the key it should start after", []string{"list.start-after.exclusive"}, with(altered{list: inclusive})},
		{"start-after-skips", "a listing that starts after a missing key skips one", []string{"list.start-after.absent"}, with(altered{list: skips})},
		{"prefix-is-directory", "a prefix lists only whole components", []string{"list.prefix.partial"}, with(altered{list: directories})},
		{"phantom-key", "empty listings show a key", []string{"list.prefix.no-match", "conn.prefix.empty"},
			with(listing(func(prefix, after string, p backends.Page) backends.Page {
				if len(p.Objects) == 0 && after == "" && strings.Contains(prefix, "~") == false && strings.Count(prefix, "/") >= 3 {
					p.Objects = []backends.Info{{Key: prefix + "phantom"}}
				}
				return p
			}))},
		{"list-no-sizes", "listings tell no sizes", []string{"list.fields", "consist.list-after-overwrite", "vis.list.atomic"},
			with(listing(func(_, _ string, p backends.Page) backends.Page {
				for i := range p.Objects {
					p.Objects[i].Size = 0
				}
				return p
			}))},
		{"fold-case", "keys that differ in case are one", []string{"key.case"}, foldCase},
		{"short-keys", "keys of more than 300 bytes are refused", []string{"key.length"},
			with(refusing(backends.Unsupported, func(k string, _ []byte, _ backends.Condition) bool { return len(k) > 300 }))},
		{"small-only", "objects of more than 10 MiB are refused", []string{"size.wal-max"},
			with(refusing(backends.Unsupported, func(_ string, b []byte, _ backends.Condition) bool { return len(b) > 10<<20 }))},
		{"no-empty", "empty objects are read as missing", []string{"put.empty", "size.zero-vs-missing", "range.empty-object"}, with(altered{get: noEmpty})},
		{"negative-cache", "a key that was missing once stays missing for a while", []string{"get.negative-cache"}, negativeCache},
		{"stale-read", "every seventh read of an overwritten object gives the state before", []string{"consist.read-after-overwrite", "put.overwrite"}, staleRead},
		{"publish-on-abort", "a put that is cut off is published", []string{"vis.aborted-put", "vis.aborted-then-create", "vis.aborted-overwrite"}, publishEarly(false)},
		{"publish-growing", "half of a body is visible before the put ends", []string{"vis.create.atomic"}, publishEarly(true)},
	}
}

func emptyIsAbsent(ctx context.Context, s backends.Store, key string, body []byte, cond backends.Condition) (backends.Version, error) {
	if info, err := s.Head(ctx, key); err == nil && info.Size == 0 && cond.IsAbsent() {
		cond = backends.Always()
	}
	return s.Put(ctx, key, body, cond)
}

func dedup(ctx context.Context, s backends.Store, key string, body []byte, cond backends.Condition) (backends.Version, error) {
	v, err := s.Put(ctx, key, body, cond)
	if backends.ClassOf(err) == backends.Exists {
		if got, info, rerr := backends.ReadAll(ctx, s, key, backends.All()); rerr == nil && bytes.Equal(got, body) {
			return info.Version, nil
		}
	}
	return v, err
}

func conflictForever(ctx context.Context, s backends.Store, key string, body []byte, cond backends.Condition) (backends.Version, error) {
	v, err := s.Put(ctx, key, body, cond)
	// Only losers of a race meet it, so that the plain refusal still stands.
	if backends.ClassOf(err) == backends.Exists && strings.Contains(key, "settles-") {
		if _, again := conflicted.LoadOrStore(string(body), true); again {
			return "", fails(backends.OpPut, key, backends.Conflict)
		}
	}
	return v, err
}

var conflicted sync.Map

func existsAs(c backends.Class) func(context.Context, backends.Store, string, []byte, backends.Condition) (backends.Version, error) {
	return func(ctx context.Context, s backends.Store, key string, body []byte, cond backends.Condition) (backends.Version, error) {
		v, err := s.Put(ctx, key, body, cond)
		if backends.ClassOf(err) == backends.Exists {
			err = fails(backends.OpPut, key, c)
		}
		return v, err
	}
}

func swapCreates(ctx context.Context, s backends.Store, key string, body []byte, cond backends.Condition) (backends.Version, error) {
	if _, swap := cond.Version(); swap {
		if _, err := s.Head(ctx, key); backends.ClassOf(err) == backends.NotFound {
			cond = backends.Always()
		}
	}
	return s.Put(ctx, key, body, cond)
}

func tombstones(ref *mem.Store) func(backends.Options) backends.Store {
	var gone sync.Map
	return with(altered{
		delete: func(ctx context.Context, s backends.Store, key string) error {
			gone.Store(key, true)
			return s.Delete(ctx, key)
		},
		put: func(ctx context.Context, s backends.Store, key string, body []byte, cond backends.Condition) (backends.Version, error) {
			if _, dead := gone.Load(key); dead && cond.IsAbsent() {
				return "", fails(backends.OpPut, key, backends.Exists)
			}
			return s.Put(ctx, key, body, cond)
		},
	})(ref)
}

func offByOne(ctx context.Context, s backends.Store, key string, r backends.Range) (io.ReadCloser, backends.Info, error) {
	if r.Offset > 0 && r.Length > 1 {
		if info, err := s.Head(ctx, key); err == nil && r.Offset+r.Length < info.Size {
			r.Offset++
		}
	}
	return s.Get(ctx, key, r)
}

func noSuffix(ctx context.Context, s backends.Store, key string, r backends.Range) (io.ReadCloser, backends.Info, error) {
	if r.Offset < 0 {
		return nil, backends.Info{}, fails(backends.OpGet, key, backends.Unsupported)
	}
	return s.Get(ctx, key, r)
}

func eofEmpty(ctx context.Context, s backends.Store, key string, r backends.Range) (io.ReadCloser, backends.Info, error) {
	rc, info, err := s.Get(ctx, key, r)
	if backends.ClassOf(err) == backends.InvalidRange {
		return nil, info, fails(backends.OpGet, key, backends.Corrupt)
	}
	return rc, info, err
}

func rangeSize(ctx context.Context, s backends.Store, key string, r backends.Range) (io.ReadCloser, backends.Info, error) {
	rc, info, err := s.Get(ctx, key, r)
	if err == nil && r.Offset > 0 && r.Length == 10 {
		info.Size = r.Offset + r.Length
	}
	return rc, info, err
}

func missingDenied(ctx context.Context, s backends.Store, key string, r backends.Range) (io.ReadCloser, backends.Info, error) {
	rc, info, err := s.Get(ctx, key, r)
	if backends.ClassOf(err) == backends.NotFound && strings.Contains(key, "get.missing") {
		err = fails(backends.OpGet, key, backends.Denied)
	}
	return rc, info, err
}

func missingDeniedHead(ctx context.Context, s backends.Store, key string) (backends.Info, error) {
	info, err := s.Head(ctx, key)
	if backends.ClassOf(err) == backends.NotFound && strings.Contains(key, "get.missing") {
		err = fails(backends.OpHead, key, backends.Denied)
	}
	return info, err
}

func noToken(ctx context.Context, s backends.Store, key string, body []byte, cond backends.Condition) (backends.Version, error) {
	_, err := s.Put(ctx, key, body, cond)
	return "", err
}

func noTokenHead(ctx context.Context, s backends.Store, key string) (backends.Info, error) {
	info, err := s.Head(ctx, key)
	info.Version = ""
	return info, err
}

func noTokenGet(ctx context.Context, s backends.Store, key string, r backends.Range) (io.ReadCloser, backends.Info, error) {
	rc, info, err := s.Get(ctx, key, r)
	info.Version = ""
	return rc, info, err
}

func otherToken(ctx context.Context, s backends.Store, key string) (backends.Info, error) {
	info, err := s.Head(ctx, key)
	info.Version += "-h"
	return info, err
}

func headSize(ctx context.Context, s backends.Store, key string) (backends.Info, error) {
	info, err := s.Head(ctx, key)
	info.Size++
	return info, err
}

func deleteMissing(ctx context.Context, s backends.Store, key string) error {
	if _, err := s.Head(ctx, key); err != nil {
		return err
	}
	return s.Delete(ctx, key)
}

func deletePrefix(ctx context.Context, s backends.Store, key string) error {
	if strings.Contains(key, "delete.only-that") {
		page, err := s.List(ctx, key, "", 0)
		if err != nil {
			return err
		}
		for _, o := range page.Objects {
			if err := s.Delete(ctx, o.Key); err != nil {
				return err
			}
		}
	}
	return s.Delete(ctx, key)
}

func dropLast(ctx context.Context, s backends.Store, prefix, after string, limit int) (backends.Page, error) {
	p, err := s.List(ctx, prefix, after, limit)
	if limit > 1 && len(p.Objects) == limit {
		// The key is skipped for good: the next page starts behind it.
		p.Objects = append(slices.Clone(p.Objects[:limit-2]), p.Objects[limit-1])
	}
	return p, err
}

func inclusive(ctx context.Context, s backends.Store, prefix, after string, limit int) (backends.Page, error) {
	p, err := s.List(ctx, prefix, after, limit)
	if err == nil && after != "" && strings.HasPrefix(after, prefix) && strings.Contains(prefix, "start-after.exclusive") {
		if info, herr := s.Head(ctx, after); herr == nil {
			p.Objects = append([]backends.Info{info}, p.Objects...)
		}
	}
	return p, err
}

func skips(ctx context.Context, s backends.Store, prefix, after string, limit int) (backends.Page, error) {
	p, err := s.List(ctx, prefix, after, limit)
	if err == nil && strings.HasSuffix(after, "-") && len(p.Objects) > 1 {
		p.Objects = p.Objects[1:]
	}
	return p, err
}

func directories(ctx context.Context, s backends.Store, prefix, after string, limit int) (backends.Page, error) {
	p, err := s.List(ctx, prefix, after, limit)
	kept := p.Objects[:0:0]
	for _, o := range p.Objects {
		rest := strings.TrimPrefix(o.Key, prefix)
		if strings.HasSuffix(prefix, "/") || rest == "" || strings.HasPrefix(rest, "/") {
			kept = append(kept, o)
		}
	}
	p.Objects = kept
	return p, err
}

func foldCase(ref *mem.Store) func(backends.Options) backends.Store {
	fold := func(k string) string {
		if strings.Contains(k, "key.case") {
			return strings.ToLower(k)
		}
		return k
	}
	return with(altered{
		put: func(ctx context.Context, s backends.Store, key string, body []byte, cond backends.Condition) (backends.Version, error) {
			return s.Put(ctx, fold(key), body, cond)
		},
		get: func(ctx context.Context, s backends.Store, key string, r backends.Range) (io.ReadCloser, backends.Info, error) {
			return s.Get(ctx, fold(key), r)
		},
	})(ref)
}

func noEmpty(ctx context.Context, s backends.Store, key string, r backends.Range) (io.ReadCloser, backends.Info, error) {
	if info, err := s.Head(ctx, key); err == nil && info.Size == 0 {
		return nil, backends.Info{}, fails(backends.OpGet, key, backends.NotFound)
	}
	return s.Get(ctx, key, r)
}

func negativeCache(ref *mem.Store) func(backends.Options) backends.Store {
	var missed sync.Map
	return with(altered{get: func(ctx context.Context, s backends.Store, key string, r backends.Range) (io.ReadCloser, backends.Info, error) {
		rc, info, err := s.Get(ctx, key, r)
		if n, cached := missed.Load(key); cached && err == nil && n.(*atomic.Int32).Add(-1) > 0 {
			return nil, backends.Info{}, fails(backends.OpGet, key, backends.NotFound)
		}
		if backends.ClassOf(err) == backends.NotFound {
			left := &atomic.Int32{}
			left.Store(4)
			missed.Store(key, left)
		}
		return rc, info, err
	}})(ref)
}

func staleRead(ref *mem.Store) func(backends.Options) backends.Store {
	type state struct {
		body []byte
		info backends.Info
	}
	var mu sync.Mutex
	before := map[string]state{}
	return with(altered{
		put: func(ctx context.Context, s backends.Store, key string, body []byte, cond backends.Condition) (backends.Version, error) {
			if old, info, err := backends.ReadAll(ctx, s, key, backends.All()); err == nil {
				mu.Lock()
				before[key] = state{old, info}
				mu.Unlock()
			}
			return s.Put(ctx, key, body, cond)
		},
		get: func(ctx context.Context, s backends.Store, key string, r backends.Range) (io.ReadCloser, backends.Info, error) {
			mu.Lock()
			old, ok := before[key]
			mu.Unlock()
			if ok && r.IsAll() && (strings.Contains(key, "consist.") || strings.Contains(key, "put.overwrite")) {
				return io.NopCloser(bytes.NewReader(old.body)), old.info, nil
			}
			return s.Get(ctx, key, r)
		},
	})(ref)
}

// publishEarly makes a body visible, whole or by half, before the put has ended.
func publishEarly(half bool) func(*mem.Store) func(backends.Options) backends.Store {
	return func(ref *mem.Store) func(backends.Options) backends.Store {
		return func(o backends.Options) backends.Store {
			inner := ref.With(o)
			return &altered{Store: inner, put: func(ctx context.Context, s backends.Store, key string, body []byte, cond backends.Condition) (backends.Version, error) {
				if o.Step == nil {
					return s.Put(ctx, key, body, cond)
				}
				part := body
				if half {
					part = body[:len(body)/2]
				}
				v, err := ref.Put(ctx, key, part, cond)
				if err != nil {
					return "", err
				}
				o.Step("publish", key)
				if half {
					return ref.Put(ctx, key, body, backends.Always())
				}
				return v, nil
			}}
		}
	}
}
