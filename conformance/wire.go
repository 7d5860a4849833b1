package conformance

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/woodpecker-wal/woodpecker/backends"
)

// WireHolder holds puts at the level of the connection, of any store that
// speaks HTTP and honours [backends.Options].Transport: the vendor's SDK builds
// and signs the request, and we write its bytes ourselves. It works above TLS,
// so against real clouds too.
func WireHolder(open func(ctx context.Context, o backends.Options) (backends.Store, error)) Holder {
	return wireHolder{open}
}

type wireHolder struct {
	open func(ctx context.Context, o backends.Options) (backends.Store, error)
}

func (h wireHolder) Begin(ctx context.Context, wrap func(backends.Store) backends.Store, key string, body []byte, cond backends.Condition, keep int) (Held, error) {
	w := &wire{ready: make(chan struct{}), targets: make(chan int, 4), broken: make(chan struct{})}
	w.targets <- max(keep, 1)
	s, err := h.open(ctx, backends.Options{Transport: w})
	if err != nil {
		return nil, err
	}
	put := startPut(ctx, wrap(s), key, body, cond)
	select {
	case <-w.ready:
	case <-put.done: // answered early, or never reached the wire
	}
	return &wireHeld{put: put, wire: w}, nil
}

type wireHeld struct {
	put  *heldPut
	wire *wire
}

func (h *wireHeld) Advance(keep int) { h.allow(max(keep, 1)) }

// allow lets all but the last keep bytes leave, unless the store has answered.
func (h *wireHeld) allow(keep int) {
	select {
	case h.wire.targets <- keep:
	case <-h.put.done:
	}
}

func (h *wireHeld) Finish(ctx context.Context) (backends.Version, error) {
	h.allow(0)
	return h.put.wait(ctx)
}

func (h *wireHeld) Abandon() {
	h.wire.breakOff()
	h.put.end()
}

// dialTimeout bounds connecting and the TLS handshake of a held put.
const dialTimeout = 10 * time.Second

// wire is an http.RoundTripper for one PUT, which it writes in pieces: each
// number received from targets is how many bytes of the request to hold back.
// Requests of other methods pass through.
type wire struct {
	ready   chan struct{} // closed when the first target has been reached
	targets chan int
	broken  chan struct{}
	once    sync.Once
	used    sync.Once
}

func (w *wire) breakOff() { w.once.Do(func() { close(w.broken) }) }

// RoundTrip writes the request by hand and reads the answer, which may come
// before the body is complete.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	first := false
	if req.Method == http.MethodPut {
		w.used.Do(func() { first = true })
	}
	if !first {
		return nil, fmt.Errorf("a held put sent a second request, %s: the adapter must make one attempt", req.Method)
	}
	ctx := req.Context()
	// The server's "100 Continue" would need a second conversation; the header
	// is not part of any signature.
	req = req.Clone(ctx)
	req.Header.Del("Expect")
	var raw bytes.Buffer
	if err := req.Write(&raw); err != nil {
		return nil, fmt.Errorf("serialising the request: %w", err)
	}
	conn, err := dialFor(ctx, req)
	if err != nil {
		return nil, err
	}
	c := &wireConn{Conn: conn, closed: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	go func() { // ends with the connection
		select {
		case <-w.broken:
			_ = conn.Close()
		case <-c.closed:
		}
	}()

	answered := make(chan wireAnswer, 1)
	go func() { // ends when the answer is there or the connection closed
		resp, err := http.ReadResponse(bufio.NewReader(conn), req)
		answered <- wireAnswer{resp, err}
	}()
	fail := func(err error) (*http.Response, error) {
		stop()
		_ = c.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	answer, err := w.write(ctx, c, raw.Bytes(), answered)
	if err != nil {
		return fail(err)
	}
	if answer == nil {
		select {
		case a := <-answered:
			answer = &a
		case <-ctx.Done():
			return fail(ctx.Err())
		case <-w.broken:
			return fail(errAbandoned)
		}
	}
	if answer.err != nil {
		return fail(answer.err)
	}
	resp := answer.resp
	resp.Body = &wireBody{ReadCloser: resp.Body, close: func() { stop(); _ = c.Close() }}
	return resp, nil
}

type wireAnswer struct {
	resp *http.Response
	err  error
}

// write sends raw in the pieces that the targets ask for, and returns early
// with the answer if the server does not wait for all of it.
func (w *wire) write(ctx context.Context, c net.Conn, raw []byte, answered <-chan wireAnswer) (*wireAnswer, error) {
	sent := 0
	reached := sync.OnceFunc(func() { close(w.ready) })
	for {
		select {
		case keep := <-w.targets:
			upTo := max(sent, len(raw)-keep)
			n, err := c.Write(raw[sent:upTo])
			sent += n
			reached()
			if err != nil {
				// A server that has answered may refuse the rest; the answer
				// counts, if there is one.
				select {
				case a := <-answered:
					if a.err == nil {
						return &a, nil
					}
				case <-time.After(time.Second):
				case <-ctx.Done():
				}
				return nil, err
			}
			if sent == len(raw) {
				return nil, nil
			}
		case a := <-answered:
			reached()
			if a.err != nil && errors.Is(a.err, io.ErrUnexpectedEOF) {
				a.err = fmt.Errorf("the server closed the connection before the body was complete: %w", a.err)
			}
			return &a, nil
		case <-w.broken:
			return nil, errAbandoned
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// dialFor connects to the request's server, with TLS for https.
func dialFor(ctx context.Context, req *http.Request) (net.Conn, error) {
	host, port := req.URL.Hostname(), req.URL.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[req.URL.Scheme]
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	d := &net.Dialer{}
	addr := net.JoinHostPort(host, port)
	if req.URL.Scheme == "https" {
		return (&tls.Dialer{NetDialer: d, Config: &tls.Config{ServerName: host, NextProtos: []string{"http/1.1"}}}).DialContext(ctx, "tcp", addr)
	}
	return d.DialContext(ctx, "tcp", addr)
}

// wireConn tells when it was closed.
type wireConn struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

// Close closes the connection and wakes who waits for that.
func (c *wireConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// wireBody closes the connection with the body.
type wireBody struct {
	io.ReadCloser
	close func()
}

func (b *wireBody) Close() error {
	err := b.ReadCloser.Close()
	b.close()
	return err
}
