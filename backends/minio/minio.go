// Package minio promises the contract of [backends.Store] on MinIO, through the
// vendor's SDK. It makes one attempt at every request, and every put is a single
// request; [backends.Retry] owns the other attempts.
package minio

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/woodpecker-wal/woodpecker/backends"
	"github.com/woodpecker-wal/woodpecker/internal/s3common"
)

// Store is a bucket.
type Store struct {
	core   *minio.Core
	bucket string
	own    *http.Transport // nil if the caller gave one
}

// token is the version of an object. minio-go takes the quotes off; they are
// put back, so that versions are those that the store sent.
func token(etag string) backends.Version {
	if etag == "" {
		return ""
	}
	return backends.Version(`"` + etag + `"`)
}

// Put implements [backends.Store]. minio-go sends If-None-Match only when a
// multipart upload begins, so multipart is off: the condition must be on the
// one request that publishes.
func (s *Store) Put(ctx context.Context, key string, body []byte, cond backends.Condition) (backends.Version, error) {
	cond.Check()
	if err := checkKey(backends.OpPut, key); err != nil {
		return "", err
	}
	opts := minio.PutObjectOptions{DisableMultipart: true, DisableContentSha256: false}
	if cond.IsAbsent() {
		opts.SetMatchETagExcept("*")
	}
	if v, ok := cond.Version(); ok {
		opts.SetMatchETag(strings.Trim(string(v), `"`)) // adds the quotes itself
	}
	info, err := s.core.Client.PutObject(ctx, s.bucket, key, bytes.NewReader(body), int64(len(body)), opts)
	if err != nil {
		return "", fail(ctx, backends.OpPut, key, cond, err)
	}
	return token(info.ETag), nil
}

// Get implements [backends.Store].
func (s *Store) Get(ctx context.Context, key string, r backends.Range) (io.ReadCloser, backends.Info, error) {
	if err := checkKey(backends.OpGet, key); err != nil {
		return nil, backends.Info{}, err
	}
	opts := minio.GetObjectOptions{}
	ranged := s3common.RangeHeader(r)
	if ranged != "" {
		opts.Set("Range", ranged)
	}
	rc, o, header, err := s.core.GetObject(ctx, s.bucket, key, opts)
	if err != nil {
		return nil, backends.Info{}, fail(ctx, backends.OpGet, key, backends.Condition{}, err)
	}
	size := o.Size
	info := backends.Info{Key: key, Size: size, Version: token(o.ETag), ModTime: o.LastModified}
	corrupt := func(why error) (io.ReadCloser, backends.Info, error) {
		_ = rc.Close() // it is given up
		return nil, backends.Info{}, &backends.Error{Op: backends.OpGet, Store: "minio", Key: key, Class: backends.Corrupt, Err: why}
	}
	if size < 0 {
		return corrupt(fmt.Errorf("the answer does not tell its length"))
	}
	if ranged != "" {
		cr := header.Get("Content-Range")
		if cr == "" {
			return corrupt(fmt.Errorf("the store ignored the range and sent the whole object"))
		}
		if info.Size, err = s3common.TotalOf(cr, r); err != nil {
			return corrupt(err)
		}
	}
	return s3common.Body(rc, "minio", key, size), info, nil
}

// Head implements [backends.Store].
func (s *Store) Head(ctx context.Context, key string) (backends.Info, error) {
	if err := checkKey(backends.OpHead, key); err != nil {
		return backends.Info{}, err
	}
	o, err := s.core.StatObject(ctx, s.bucket, key, minio.StatObjectOptions{})
	if err != nil {
		return backends.Info{}, fail(ctx, backends.OpHead, key, backends.Condition{}, err)
	}
	return backends.Info{Key: key, Size: o.Size, Version: token(o.ETag), ModTime: o.LastModified}, nil
}

// List implements [backends.Store] by one ListObjectsV2.
func (s *Store) List(ctx context.Context, prefix, startAfter string, limit int) (backends.Page, error) {
	if limit <= 0 || limit > 1000 {
		limit = 1000
	}
	// Core's call takes no context, so an ended one is honoured before it.
	if err := ctx.Err(); err != nil {
		return backends.Page{}, fail(ctx, backends.OpList, prefix, backends.Condition{}, err)
	}
	type answer struct {
		res minio.ListBucketV2Result
		err error
	}
	ch := make(chan answer, 1)
	go func() { // ends with the request, which the transport bounds
		res, err := s.core.ListObjectsV2(s.bucket, prefix, startAfter, "", "", limit)
		ch <- answer{res, err}
	}()
	var a answer
	select {
	case a = <-ch:
	case <-ctx.Done():
		return backends.Page{}, fail(ctx, backends.OpList, prefix, backends.Condition{}, ctx.Err())
	}
	if a.err != nil {
		return backends.Page{}, fail(ctx, backends.OpList, prefix, backends.Condition{}, a.err)
	}
	page := backends.Page{More: a.res.IsTruncated}
	for _, o := range a.res.Contents {
		page.Objects = append(page.Objects, backends.Info{Key: o.Key, Size: o.Size, Version: token(strings.Trim(o.ETag, `"`)), ModTime: o.LastModified})
	}
	return page, nil
}

// Delete implements [backends.Store].
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := checkKey(backends.OpDelete, key); err != nil {
		return err
	}
	err := s.core.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{})
	if err == nil {
		return nil
	}
	if err = fail(ctx, backends.OpDelete, key, backends.Condition{}, err); backends.ClassOf(err) == backends.NotFound {
		return nil
	}
	return err
}

// Versioning implements [backends.Versioner].
func (s *Store) Versioning(ctx context.Context) (backends.Versioning, error) {
	v, err := s.core.GetBucketVersioning(ctx, s.bucket)
	switch {
	case err != nil:
		return backends.VersioningUnknown, fail(ctx, backends.OpVersioning, "", backends.Condition{}, err)
	case v.Enabled():
		return backends.VersioningEnabled, nil
	case v.Suspended():
		return backends.VersioningSuspended, nil
	default:
		return backends.VersioningOff, nil
	}
}

// Close implements [backends.Store].
func (s *Store) Close() error {
	if s.own != nil {
		s.own.CloseIdleConnections()
	}
	return nil
}

func checkKey(op backends.Op, key string) error {
	if err := backends.CheckKey(key); err != nil {
		return &backends.Error{Op: op, Store: "minio", Key: key, Class: backends.Unsupported, Err: err}
	}
	return nil
}
