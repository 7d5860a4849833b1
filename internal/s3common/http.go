package s3common

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/woodpecker-wal/woodpecker/backends"
)

// NewTransport makes a transport with connections of its own, for one store.
// It never asks for compression, so that bytes come as they are.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		MaxIdleConns:          128,
		MaxIdleConnsPerHost:   128,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		DisableCompression:    true,
		ForceAttemptHTTP2:     true,
	}
}

// RangeHeader is r in HTTP; empty for the whole object.
func RangeHeader(r backends.Range) string {
	switch {
	case r.IsAll():
		return ""
	case r.Offset < 0:
		return fmt.Sprintf("bytes=%d", r.Offset)
	case r.Length == 0:
		return fmt.Sprintf("bytes=%d-", r.Offset)
	default:
		return fmt.Sprintf("bytes=%d-%d", r.Offset, r.Offset+r.Length-1)
	}
}

// TotalOf reads the whole object's size from a Content-Range header, and checks
// that the server sent what r asked for.
func TotalOf(contentRange string, r backends.Range) (total int64, err error) {
	spec, ok := strings.CutPrefix(contentRange, "bytes ")
	span, size, ok2 := strings.Cut(spec, "/")
	a, b, ok3 := strings.Cut(span, "-")
	total, err1 := strconv.ParseInt(size, 10, 64)
	from, err2 := strconv.ParseInt(a, 10, 64)
	to, err3 := strconv.ParseInt(b, 10, 64)
	if !ok || !ok2 || !ok3 || err1 != nil || err2 != nil || err3 != nil {
		return 0, fmt.Errorf("the answer to a ranged get has no usable Content-Range (%q)", contentRange)
	}
	if f, t, ok := r.Resolve(total); !ok || f != from || t != to+1 {
		return 0, fmt.Errorf("the store sent %q for another range", contentRange)
	}
	return total, nil
}

// Body makes a body end in an error instead of a plain EOF when it is shorter
// or longer than want.
func Body(rc io.ReadCloser, store, key string, want int64) io.ReadCloser {
	return &body{ReadCloser: rc, store: store, key: key, left: want}
}

type body struct {
	io.ReadCloser
	store, key string
	left       int64
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	switch {
	case b.left < 0:
		err = &backends.Error{Op: backends.OpGet, Store: b.store, Key: b.key, Class: backends.Corrupt,
			Err: fmt.Errorf("the body is %d bytes longer than announced", -b.left)}
	case err == io.EOF && b.left > 0:
		err = &backends.Error{Op: backends.OpGet, Store: b.store, Key: b.key, Class: backends.Unavailable,
			Err: fmt.Errorf("the body ended %d bytes early", b.left)}
	case err != nil && err != io.EOF:
		err = &backends.Error{Op: backends.OpGet, Store: b.store, Key: b.key, Class: backends.Unavailable, Err: plainCause(err)}
	}
	return n, err
}
