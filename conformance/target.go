package conformance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/woodpecker-wal/woodpecker/backends"
)

// A Target is a bucket or directory, and the ways to reach it.
type Target struct {
	// Open opens a client of its own: nothing is shared with another one but
	// the storage. It must honour the options where it can.
	Open func(ctx context.Context, o backends.Options) (backends.Store, error)
	// More opens clients through further endpoints of the same bucket.
	More []func(ctx context.Context, o backends.Options) (backends.Store, error)
	// Hold is how a put can be held open; nil if it cannot.
	Hold Holder
	// Process starts another process that writes to the store; nil if there is
	// no such thing.
	Process func(ctx context.Context) (*Process, error)
	// Missing opens the same storage at a bucket that does not exist; nil if
	// that has no meaning.
	Missing func(ctx context.Context) (backends.Store, error)
	// Defaults opens a client with the vendor SDK's own defaults; nil if the
	// adapter has no SDK or uses them already.
	Defaults func(ctx context.Context) (backends.Store, error)
	// Versioned opens a versioned bucket of the same product; nil if none is
	// known.
	Versioned func(ctx context.Context, o backends.Options) (backends.Store, error)

	Description Description
	// Secrets are strings that must not reach a report.
	Secrets []string
}

// Description is what a report says of a target. It names no bucket.
type Description struct {
	Scheme         string   `json:"scheme"`
	Adapter        string   `json:"adapter"`
	Provider       string   `json:"provider"`
	Product        string   `json:"product"`
	ProductVersion string   `json:"product_version"`
	Endpoints      []string `json:"endpoints"`
	Region         string   `json:"region"`
	BucketHash     string   `json:"bucket_hash"`
	ServerHeader   string   `json:"server_header"`
	Versioning     string   `json:"versioning"`
	Emulator       bool     `json:"emulator"`
	TLS            bool     `json:"tls"`
}

// HashBucket is the form in which a bucket's name enters a report: enough to
// tell two apart, not enough to find one.
func HashBucket(name string) string {
	sum := sha256.Sum256([]byte("wpcompat bucket\x00" + name))
	return hex.EncodeToString(sum[:8])
}

// A Holder can begin a put and stop in the middle: at the level of the
// connection for stores that speak HTTP, in another process for files, in the
// reference store by its steps.
type Holder interface {
	// Begin starts a Put from a client of its own and returns when all of it
	// but the last keep bytes has left (at least 1), or when the store has
	// answered early. wrap is applied to the client's store, so that the put is
	// counted like any other. key is below wrap's prefix.
	Begin(ctx context.Context, wrap func(backends.Store) backends.Store, key string, body []byte, cond backends.Condition, keep int) (Held, error)
}

// A Held is a put that has begun. Exactly one of Finish and Abandon ends it.
type Held interface {
	// Advance lets more of the body leave, all but the last keep bytes. A
	// holder that knows only one place to stop does nothing.
	Advance(keep int)
	// Finish lets the rest leave and returns the store's answer.
	Finish(ctx context.Context) (backends.Version, error)
	// Abandon breaks it off for good: the connection is cut, the process
	// killed. It returns when that has happened.
	Abandon()
}

// errAbandoned is what the put of an abandoned Held ends with.
var errAbandoned = errors.New("the put was broken off on purpose")

// heldPut runs one Put in a goroutine and keeps its answer.
type heldPut struct {
	done    chan struct{}
	version backends.Version
	err     error
	cancel  context.CancelFunc
	close   func() error
}

func startPut(ctx context.Context, s backends.Store, key string, body []byte, cond backends.Condition) *heldPut {
	ctx, cancel := context.WithCancel(ctx)
	p := &heldPut{done: make(chan struct{}), cancel: cancel, close: s.Close}
	go func() {
		defer close(p.done)
		defer func() {
			// A step that broke the put off leaves by panic: what stands after
			// the step must not happen, exactly as if the process had died.
			if r := recover(); r != nil {
				if r != errAbandoned {
					panic(r)
				}
				p.err = errAbandoned
			}
		}()
		p.version, p.err = s.Put(ctx, key, body, cond)
	}()
	return p
}

// wait waits for the answer.
func (p *heldPut) wait(ctx context.Context) (backends.Version, error) {
	defer p.end()
	select {
	case <-p.done:
		return p.version, p.err
	case <-ctx.Done():
		p.cancel()
		<-p.done
		return p.version, p.err
	}
}

// end breaks the put off, if it still runs, and frees what it holds.
func (p *heldPut) end() {
	p.cancel()
	<-p.done
	_ = p.close() // the store's answer is known; nothing can be done about a failing close
}

// StepHolder holds puts of stores that publish in steps, in this process.
func StepHolder(open func(ctx context.Context, o backends.Options) (backends.Store, error)) Holder {
	return stepHolder{open}
}

type stepHolder struct {
	open func(ctx context.Context, o backends.Options) (backends.Store, error)
}

func (h stepHolder) Begin(ctx context.Context, wrap func(backends.Store) backends.Store, key string, body []byte, cond backends.Condition, _ int) (Held, error) {
	held := &stepHeld{reached: make(chan struct{}), release: make(chan bool, 1)}
	s, err := h.open(ctx, backends.Options{Step: held.step})
	if err != nil {
		return nil, err
	}
	held.put = startPut(ctx, wrap(s), key, body, cond)
	select {
	case <-held.reached:
	case <-held.put.done: // answered before it published
	}
	return held, nil
}

type stepHeld struct {
	put     *heldPut
	reached chan struct{}
	release chan bool // true: go on; false: break off
	held    bool
}

// step stops the put right before it publishes. A put that is broken off never
// returns from its step, as a process that was killed would not.
func (h *stepHeld) step(step, _ string) {
	if step != "publish" || h.held {
		return
	}
	h.held = true
	close(h.reached)
	if !<-h.release {
		panic(errAbandoned)
	}
}

func (h *stepHeld) Advance(int) {}

func (h *stepHeld) Finish(ctx context.Context) (backends.Version, error) {
	h.release <- true
	return h.put.wait(ctx)
}

func (h *stepHeld) Abandon() {
	h.release <- false
	h.put.end()
}

// drain reads a body to its end, for its errors.
func drain(rc io.ReadCloser) (int64, error) {
	defer rc.Close()
	n, err := io.Copy(io.Discard, rc)
	if err != nil {
		return n, fmt.Errorf("after %d bytes: %w", n, err)
	}
	return n, nil
}
