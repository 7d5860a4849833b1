package backends

import (
	"context"
	"io"
	"time"
)

// An Event is one finished operation of a store.
type Event struct {
	Op       Op
	Key      string    // the object or, for a listing, the prefix
	Cond     Condition // of a put
	Bytes    int64     // of the body, sent or received
	Duration time.Duration
	Class    Class // Unknown if Err is nil
	Err      error
}

// A Hook is told of every operation. It is called from many goroutines and must
// be quick.
type Hook func(ctx context.Context, e Event)

// Observe returns s with hooks that are told of each operation when it ends; a
// get ends when its body is closed.
func Observe(s Store, hooks ...Hook) Store {
	if len(hooks) == 0 {
		return s
	}
	return &observed{inner: s, hooks: hooks}
}

type observed struct {
	inner Store
	hooks []Hook
}

func (o *observed) tell(ctx context.Context, start time.Time, e Event, err error) {
	e.Duration, e.Err = time.Since(start), err
	if err != nil {
		e.Class = ClassOf(err)
	}
	for _, h := range o.hooks {
		h(ctx, e)
	}
}

func (o *observed) Put(ctx context.Context, key string, body []byte, cond Condition) (Version, error) {
	start := time.Now()
	v, err := o.inner.Put(ctx, key, body, cond)
	o.tell(ctx, start, Event{Op: OpPut, Key: key, Cond: cond, Bytes: int64(len(body))}, err)
	return v, err
}

func (o *observed) Get(ctx context.Context, key string, r Range) (io.ReadCloser, Info, error) {
	start := time.Now()
	rc, info, err := o.inner.Get(ctx, key, r)
	if err != nil {
		o.tell(ctx, start, Event{Op: OpGet, Key: key}, err)
		return nil, info, err
	}
	return &observedBody{ReadCloser: rc, o: o, ctx: ctx, key: key, start: start}, info, nil
}

type observedBody struct {
	io.ReadCloser
	o     *observed
	ctx   context.Context
	key   string
	start time.Time
	n     int64
	err   error
	told  bool
}

func (b *observedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

func (b *observedBody) Close() error {
	err := b.ReadCloser.Close()
	if !b.told {
		b.told = true
		b.o.tell(b.ctx, b.start, Event{Op: OpGet, Key: b.key, Bytes: b.n}, b.err)
	}
	return err
}

func (o *observed) Head(ctx context.Context, key string) (Info, error) {
	start := time.Now()
	info, err := o.inner.Head(ctx, key)
	o.tell(ctx, start, Event{Op: OpHead, Key: key}, err)
	return info, err
}

func (o *observed) List(ctx context.Context, prefix, startAfter string, limit int) (Page, error) {
	start := time.Now()
	page, err := o.inner.List(ctx, prefix, startAfter, limit)
	o.tell(ctx, start, Event{Op: OpList, Key: prefix}, err)
	return page, err
}

func (o *observed) Delete(ctx context.Context, key string) error {
	start := time.Now()
	err := o.inner.Delete(ctx, key)
	o.tell(ctx, start, Event{Op: OpDelete, Key: key}, err)
	return err
}

func (o *observed) Append(ctx context.Context, key string, offset int64, data []byte) error {
	start := time.Now()
	err := Append(ctx, o.inner, key, offset, data)
	o.tell(ctx, start, Event{Op: OpAppend, Key: key, Bytes: int64(len(data))}, err)
	return err
}

func (o *observed) Versioning(ctx context.Context) (Versioning, error) {
	start := time.Now()
	v, err := VersioningOf(ctx, o.inner)
	o.tell(ctx, start, Event{Op: OpVersioning}, err)
	return v, err
}

func (o *observed) DeleteIf(ctx context.Context, key string, v Version) error {
	start := time.Now()
	err := DeleteIf(ctx, o.inner, key, v)
	o.tell(ctx, start, Event{Op: OpDelete, Key: key, Cond: IfVersion(v)}, err)
	return err
}

func (o *observed) Close() error { return o.inner.Close() }
