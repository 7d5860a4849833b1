package backends

import (
	"context"
	"errors"
	"io"
	"strings"
)

// Prefix returns a Store that is the sub-tree of s below prefix: its keys are
// s's keys with "prefix/" in front. Closing it closes s. An empty prefix is s
// itself.
func Prefix(s Store, prefix string) Store {
	prefix = strings.Trim(prefix, "/")
	if prefix == "" {
		return s
	}
	return &prefixed{inner: s, prefix: prefix + "/"}
}

type prefixed struct {
	inner  Store
	prefix string // ends with "/"
}

// local turns an error of the inner store into one that names our own key.
func (p *prefixed) local(err error) error {
	var e *Error
	if err == nil || !errors.As(err, &e) || !strings.HasPrefix(e.Key, p.prefix) {
		return err
	}
	own := *e
	own.Key = strings.TrimPrefix(e.Key, p.prefix)
	return &own
}

func (p *prefixed) localInfo(i Info) Info {
	i.Key = strings.TrimPrefix(i.Key, p.prefix)
	return i
}

func (p *prefixed) Put(ctx context.Context, key string, body []byte, cond Condition) (Version, error) {
	v, err := p.inner.Put(ctx, p.prefix+key, body, cond)
	return v, p.local(err)
}

func (p *prefixed) Get(ctx context.Context, key string, r Range) (io.ReadCloser, Info, error) {
	rc, info, err := p.inner.Get(ctx, p.prefix+key, r)
	return rc, p.localInfo(info), p.local(err)
}

func (p *prefixed) Head(ctx context.Context, key string) (Info, error) {
	info, err := p.inner.Head(ctx, p.prefix+key)
	return p.localInfo(info), p.local(err)
}

func (p *prefixed) List(ctx context.Context, prefix, startAfter string, limit int) (Page, error) {
	// Everything below the prefix is greater than the prefix itself, so a start
	// is only passed on where there is one.
	if startAfter != "" {
		startAfter = p.prefix + startAfter
	}
	page, err := p.inner.List(ctx, p.prefix+prefix, startAfter, limit)
	for i := range page.Objects {
		page.Objects[i] = p.localInfo(page.Objects[i])
	}
	return page, p.local(err)
}

func (p *prefixed) Delete(ctx context.Context, key string) error {
	return p.local(p.inner.Delete(ctx, p.prefix+key))
}

func (p *prefixed) Append(ctx context.Context, key string, offset int64, data []byte) error {
	return p.local(Append(ctx, p.inner, p.prefix+key, offset, data))
}

func (p *prefixed) Versioning(ctx context.Context) (Versioning, error) {
	return VersioningOf(ctx, p.inner)
}

func (p *prefixed) DeleteIf(ctx context.Context, key string, v Version) error {
	return p.local(DeleteIf(ctx, p.inner, p.prefix+key, v))
}

func (p *prefixed) Close() error { return p.inner.Close() }
