// Package s3 promises the contract of [backends.Store] on AWS S3 and on
// everything that speaks its protocol well enough, through the vendor's SDK. It
// makes one attempt at every request; [backends.Retry] owns the others.
package s3

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/woodpecker-wal/woodpecker/backends"
	"github.com/woodpecker-wal/woodpecker/internal/s3common"
)

// Store is a bucket.
type Store struct {
	client *s3.Client
	bucket string
	own    *http.Transport // nil if the caller gave one
}

// Put implements [backends.Store] by a single PutObject of any size.
func (s *Store) Put(ctx context.Context, key string, body []byte, cond backends.Condition) (backends.Version, error) {
	cond.Check()
	if err := checkKey(backends.OpPut, key); err != nil {
		return "", err
	}
	in := &s3.PutObjectInput{Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body)))}
	if cond.IsAbsent() {
		in.IfNoneMatch = aws.String("*")
	}
	if v, ok := cond.Version(); ok {
		in.IfMatch = aws.String(string(v))
	}
	out, err := s.client.PutObject(ctx, in)
	if err != nil {
		return "", fail(ctx, backends.OpPut, key, cond, err)
	}
	return backends.Version(aws.ToString(out.ETag)), nil
}

// Get implements [backends.Store].
func (s *Store) Get(ctx context.Context, key string, r backends.Range) (io.ReadCloser, backends.Info, error) {
	if err := checkKey(backends.OpGet, key); err != nil {
		return nil, backends.Info{}, err
	}
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: &key}
	if h := s3common.RangeHeader(r); h != "" {
		in.Range = &h
	}
	out, err := s.client.GetObject(ctx, in)
	if err != nil {
		return nil, backends.Info{}, fail(ctx, backends.OpGet, key, backends.Condition{}, err)
	}
	size := aws.ToInt64(out.ContentLength)
	info := backends.Info{Key: key, Size: size, Version: backends.Version(aws.ToString(out.ETag)), ModTime: aws.ToTime(out.LastModified)}
	corrupt := func(why error) (io.ReadCloser, backends.Info, error) {
		_ = out.Body.Close() // it is given up
		return nil, backends.Info{}, &backends.Error{Op: backends.OpGet, Store: "s3", Key: key, Class: backends.Corrupt, Err: why}
	}
	if out.ContentLength == nil {
		return corrupt(fmt.Errorf("the answer does not tell its length"))
	}
	if in.Range != nil {
		if out.ContentRange == nil {
			return corrupt(fmt.Errorf("the store ignored the range and sent the whole object"))
		}
		if info.Size, err = s3common.TotalOf(*out.ContentRange, r); err != nil {
			return corrupt(err)
		}
	}
	return s3common.Body(out.Body, "s3", key, size), info, nil
}

// Head implements [backends.Store].
func (s *Store) Head(ctx context.Context, key string) (backends.Info, error) {
	if err := checkKey(backends.OpHead, key); err != nil {
		return backends.Info{}, err
	}
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		return backends.Info{}, fail(ctx, backends.OpHead, key, backends.Condition{}, err)
	}
	return backends.Info{Key: key, Size: aws.ToInt64(out.ContentLength), Version: backends.Version(aws.ToString(out.ETag)), ModTime: aws.ToTime(out.LastModified)}, nil
}

// List implements [backends.Store] by one ListObjectsV2.
func (s *Store) List(ctx context.Context, prefix, startAfter string, limit int) (backends.Page, error) {
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, EncodingType: types.EncodingTypeUrl}
	if prefix != "" {
		in.Prefix = &prefix
	}
	if startAfter != "" {
		in.StartAfter = &startAfter
	}
	if limit > 0 {
		in.MaxKeys = aws.Int32(int32(min(limit, 1000)))
	}
	out, err := s.client.ListObjectsV2(ctx, in)
	if err != nil {
		return backends.Page{}, fail(ctx, backends.OpList, prefix, backends.Condition{}, err)
	}
	page := backends.Page{More: aws.ToBool(out.IsTruncated)}
	for _, o := range out.Contents {
		key := aws.ToString(o.Key)
		if out.EncodingType == types.EncodingTypeUrl {
			if key, err = url.QueryUnescape(key); err != nil {
				return backends.Page{}, &backends.Error{Op: backends.OpList, Store: "s3", Key: prefix, Class: backends.Corrupt, Err: err}
			}
		}
		page.Objects = append(page.Objects, backends.Info{Key: key, Size: aws.ToInt64(o.Size), Version: backends.Version(aws.ToString(o.ETag)), ModTime: aws.ToTime(o.LastModified)})
	}
	return page, nil
}

// Delete implements [backends.Store].
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := checkKey(backends.OpDelete, key); err != nil {
		return err
	}
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &key})
	err = failOrNil(ctx, backends.OpDelete, key, err)
	if backends.ClassOf(err) == backends.NotFound {
		return nil
	}
	return err
}

// DeleteIf implements [backends.ConditionalDeleter]. Several products accept
// the header and ignore it.
func (s *Store) DeleteIf(ctx context.Context, key string, v backends.Version) error {
	if err := checkKey(backends.OpDelete, key); err != nil {
		return err
	}
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &key, IfMatch: aws.String(string(v))})
	return failOrNil(ctx, backends.OpDelete, key, err)
}

// Versioning implements [backends.Versioner].
func (s *Store) Versioning(ctx context.Context) (backends.Versioning, error) {
	out, err := s.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &s.bucket})
	if err != nil {
		return backends.VersioningUnknown, fail(ctx, backends.OpVersioning, "", backends.Condition{}, err)
	}
	switch out.Status {
	case types.BucketVersioningStatusEnabled:
		return backends.VersioningEnabled, nil
	case types.BucketVersioningStatusSuspended:
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
		return &backends.Error{Op: op, Store: "s3", Key: key, Class: backends.Unsupported, Err: err}
	}
	return nil
}
