// Package mem promises the contract of [backends.Store] as a program: one lock,
// a version for every state, and nothing lost until the process ends. It is the
// reference that other stores are compared with.
package mem

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/woodpecker-wal/woodpecker/backends"
)

// data is what handles of one store share.
type data struct {
	mu      sync.Mutex
	objects map[string]object // guarded by mu
	keys    []string          // sorted; guarded by mu
	clock   uint64            // counts states, so that no version repeats; guarded by mu
}

type object struct {
	body    []byte
	version uint64
	written time.Time
}

// Store is a handle on a reference store.
type Store struct {
	d    *data
	step func(step, key string)
}

// New makes an empty store.
func New() *Store { return &Store{d: &data{objects: map[string]object{}}} }

// With returns another handle on the same objects, with the given options.
func (s *Store) With(o backends.Options) *Store { return &Store{d: s.d, step: o.Step} }

// Scheme opens mem://name: the stores of one name in one process are one store,
// which lives as long as the process.
func Scheme() backends.Scheme {
	var mu sync.Mutex
	named := map[string]*Store{}
	return backends.Scheme{Name: "mem", Open: func(_ context.Context, a backends.Address, o backends.Options) (backends.Store, error) {
		if a.Host == "" {
			return nil, fmt.Errorf("mem:// address: it needs a name, like mem://name")
		}
		mu.Lock()
		defer mu.Unlock()
		if named[a.Host] == nil {
			named[a.Host] = New()
		}
		return backends.Prefix(named[a.Host].With(o), a.Path), nil
	}}
}

func fail(op backends.Op, key string, class backends.Class, err error) error {
	return &backends.Error{Op: op, Store: "mem", Key: key, Class: class, Err: err}
}

// check refuses invalid keys and ended contexts.
func check(ctx context.Context, op backends.Op, key string) error {
	if err := backends.CheckKey(key); err != nil {
		return fail(op, key, backends.Unsupported, err)
	}
	if err := ctx.Err(); err != nil {
		return fail(op, key, backends.Unavailable, err)
	}
	return nil
}

func token(v uint64) backends.Version { return backends.Version(fmt.Sprintf("g%d", v)) }

func (o object) info(key string) backends.Info {
	return backends.Info{Key: key, Size: int64(len(o.body)), Version: token(o.version), ModTime: o.written}
}

func (s *Store) at(step, key string) {
	if s.step != nil {
		s.step(step, key)
	}
}

// Put implements [backends.Store].
func (s *Store) Put(ctx context.Context, key string, body []byte, cond backends.Condition) (backends.Version, error) {
	cond.Check()
	if err := check(ctx, backends.OpPut, key); err != nil {
		return "", err
	}
	s.at("body", key)
	body = bytes.Clone(body)
	s.at("publish", key)
	v, err := s.d.put(key, body, cond)
	if err != nil {
		return "", err
	}
	s.at("acknowledge", key)
	return v, nil
}

func (d *data) put(key string, body []byte, cond backends.Condition) (backends.Version, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old, found := d.objects[key]
	if found && cond.IsAbsent() {
		return "", fail(backends.OpPut, key, backends.Exists, nil)
	}
	if want, ok := cond.Version(); ok && (!found || token(old.version) != want) {
		return "", fail(backends.OpPut, key, backends.VersionMismatch, nil)
	}
	d.store(key, body, found)
	return token(d.clock), nil
}

// store replaces the object under key; d.mu is held.
func (d *data) store(key string, body []byte, found bool) {
	d.clock++
	d.objects[key] = object{body: body, version: d.clock, written: time.Now()}
	if !found {
		i, _ := slices.BinarySearch(d.keys, key)
		d.keys = slices.Insert(d.keys, i, key)
	}
}

// Get implements [backends.Store].
func (s *Store) Get(ctx context.Context, key string, r backends.Range) (io.ReadCloser, backends.Info, error) {
	if err := check(ctx, backends.OpGet, key); err != nil {
		return nil, backends.Info{}, err
	}
	s.d.mu.Lock()
	o, found := s.d.objects[key]
	s.d.mu.Unlock()
	if !found {
		return nil, backends.Info{}, fail(backends.OpGet, key, backends.NotFound, nil)
	}
	from, to, ok := r.Resolve(int64(len(o.body)))
	if !ok {
		return nil, backends.Info{}, fail(backends.OpGet, key, backends.InvalidRange, fmt.Errorf("%+v of %d bytes", r, len(o.body)))
	}
	// Stored bodies are never changed, so readers may share them.
	return io.NopCloser(bytes.NewReader(o.body[from:to])), o.info(key), nil
}

// Head implements [backends.Store].
func (s *Store) Head(ctx context.Context, key string) (backends.Info, error) {
	if err := check(ctx, backends.OpHead, key); err != nil {
		return backends.Info{}, err
	}
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	o, found := s.d.objects[key]
	if !found {
		return backends.Info{}, fail(backends.OpHead, key, backends.NotFound, nil)
	}
	return o.info(key), nil
}

// List implements [backends.Store].
func (s *Store) List(ctx context.Context, prefix, startAfter string, limit int) (backends.Page, error) {
	if err := ctx.Err(); err != nil {
		return backends.Page{}, fail(backends.OpList, prefix, backends.Unavailable, err)
	}
	if limit <= 0 || limit > 1000 {
		limit = 1000
	}
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	var page backends.Page
	i := sort.SearchStrings(s.d.keys, prefix)
	if startAfter >= prefix && startAfter != "" {
		i = sort.Search(len(s.d.keys), func(i int) bool { return s.d.keys[i] > startAfter })
	}
	for ; i < len(s.d.keys) && strings.HasPrefix(s.d.keys[i], prefix); i++ {
		if len(page.Objects) == limit {
			page.More = true
			break
		}
		key := s.d.keys[i]
		page.Objects = append(page.Objects, s.d.objects[key].info(key))
	}
	return page, nil
}

// Delete implements [backends.Store].
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := check(ctx, backends.OpDelete, key); err != nil {
		return err
	}
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	s.d.remove(key)
	return nil
}

// remove deletes key if it is there; d.mu is held.
func (d *data) remove(key string) {
	if i, found := slices.BinarySearch(d.keys, key); found {
		d.keys = slices.Delete(d.keys, i, i+1)
		delete(d.objects, key)
	}
}

// DeleteIf implements [backends.ConditionalDeleter].
func (s *Store) DeleteIf(ctx context.Context, key string, v backends.Version) error {
	if err := check(ctx, backends.OpDelete, key); err != nil {
		return err
	}
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if o, found := s.d.objects[key]; !found || token(o.version) != v {
		return fail(backends.OpDelete, key, backends.VersionMismatch, nil)
	}
	s.d.remove(key)
	return nil
}

// Append implements [backends.Appender].
func (s *Store) Append(ctx context.Context, key string, offset int64, more []byte) error {
	if err := check(ctx, backends.OpAppend, key); err != nil {
		return err
	}
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	o, found := s.d.objects[key]
	if int64(len(o.body)) != offset {
		return fail(backends.OpAppend, key, backends.VersionMismatch, fmt.Errorf("the object has %d bytes, not %d", len(o.body), offset))
	}
	s.d.store(key, slices.Concat(o.body, more), found)
	return nil
}

// Versioning implements [backends.Versioner]: there is none.
func (s *Store) Versioning(context.Context) (backends.Versioning, error) {
	return backends.VersioningOff, nil
}

// Close implements [backends.Store]; the objects stay for other handles.
func (s *Store) Close() error { return nil }
