package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/woodpecker-wal/woodpecker/backends"
)

// Requests counts requests by the class they are billed in.
type Requests struct {
	Put    int64 `json:"put"`
	Get    int64 `json:"get"`
	List   int64 `json:"list"`
	Delete int64 `json:"delete"`
	Head   int64 `json:"head"`
}

// Total is the number of all requests.
func (r Requests) Total() int64 { return r.Put + r.Get + r.List + r.Delete + r.Head }

// Traffic is what was sent: requests and bytes of bodies.
type Traffic struct {
	Requests     Requests
	BytesWritten int64
	BytesRead    int64
}

// tally counts traffic from many goroutines.
type tally struct {
	put, get, list, del, head atomic.Int64
	written, read             atomic.Int64
}

func (t *tally) traffic() Traffic {
	return Traffic{
		Requests:     Requests{Put: t.put.Load(), Get: t.get.Load(), List: t.list.Load(), Delete: t.del.Load(), Head: t.head.Load()},
		BytesWritten: t.written.Load(), BytesRead: t.read.Load(),
	}
}

func (t *tally) counter(op backends.Op) *atomic.Int64 {
	switch op {
	case backends.OpPut, backends.OpAppend:
		return &t.put
	case backends.OpList:
		return &t.list
	case backends.OpDelete:
		return &t.del
	case backends.OpHead:
		return &t.head
	default:
		return &t.get
	}
}

// Budget bounds a run; zero fields are no bound.
type Budget struct {
	Requests int64
	Bytes    int64
	USD      float64
}

// errBudget ends what would go over the budget.
var errBudget = errors.New("the budget of the run is used up")

// account is what all clients of a run share: the counts, the budget and the
// audit of keys.
type account struct {
	tally  tally
	budget Budget
	prices Prices
	prefix string // every key must lie below it

	mu      sync.Mutex
	strays  []string                        // keys outside the prefix; guarded by mu
	samples map[sampleKey][]time.Duration   // of successful requests; guarded by mu
	failed  map[backends.Class]int64        // requests by class of failure; guarded by mu
	onDone  func(op backends.Op, err error) // may be nil
}

type sampleKey struct {
	op   backends.Op
	size int64
}

// admit refuses a request that would go over the budget, without sending it.
func (a *account) admit(op backends.Op, key string, bytes int64) error {
	if !strings.HasPrefix(key, a.prefix) {
		a.mu.Lock()
		a.strays = append(a.strays, key)
		a.mu.Unlock()
	}
	t := a.tally.traffic()
	switch b := a.budget; {
	case b.Requests > 0 && t.Requests.Total() >= b.Requests,
		b.Bytes > 0 && t.BytesWritten+t.BytesRead+bytes > b.Bytes,
		b.USD > 0 && a.prices.Cost(t.Requests) >= b.USD:
		return &backends.Error{Op: op, Key: key, Class: backends.Unavailable, Err: errBudget}
	}
	return nil
}

func (a *account) strayKeys() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.strays...)
}

func (a *account) done(op backends.Op, size int64, took time.Duration, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		k := sampleKey{op, size}
		// A run makes thousands of requests, not millions: keep them all.
		a.samples[k] = append(a.samples[k], took)
	} else {
		a.failed[backends.ClassOf(err)]++
	}
}

// meter is a Store that counts, bounds and audits every request of one client.
type meter struct {
	inner   backends.Store
	run     *account
	check   *tally
	timeout time.Duration // of one request
}

func (m *meter) begin(ctx context.Context, op backends.Op, key string, bytes int64) (context.Context, context.CancelFunc, error) {
	if err := m.run.admit(op, key, bytes); err != nil {
		return nil, nil, err
	}
	m.run.tally.counter(op).Add(1)
	m.check.counter(op).Add(1)
	ctx, cancel := context.WithTimeoutCause(ctx, m.timeout, fmt.Errorf("no answer within %v", m.timeout))
	return ctx, cancel, nil
}

func (m *meter) wrote(n int) {
	m.run.tally.written.Add(int64(n))
	m.check.written.Add(int64(n))
}

func (m *meter) Put(ctx context.Context, key string, body []byte, cond backends.Condition) (backends.Version, error) {
	ctx, cancel, err := m.begin(ctx, backends.OpPut, key, int64(len(body)))
	if err != nil {
		return "", err
	}
	defer cancel()
	m.wrote(len(body))
	start := time.Now()
	v, err := m.inner.Put(ctx, key, body, cond)
	m.run.done(backends.OpPut, int64(len(body)), time.Since(start), err)
	return v, err
}

func (m *meter) Get(ctx context.Context, key string, r backends.Range) (io.ReadCloser, backends.Info, error) {
	ctx, cancel, err := m.begin(ctx, backends.OpGet, key, r.Length)
	if err != nil {
		return nil, backends.Info{}, err
	}
	start := time.Now()
	rc, info, err := m.inner.Get(ctx, key, r)
	if err != nil {
		cancel()
		m.run.done(backends.OpGet, 0, time.Since(start), err)
		return nil, info, err
	}
	return &meterBody{ReadCloser: rc, m: m, cancel: cancel, start: start}, info, nil
}

// meterBody counts the bytes of a Get.
type meterBody struct {
	io.ReadCloser
	m      *meter
	cancel context.CancelFunc
	start  time.Time
	n      int64
	err    error
}

func (b *meterBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	b.m.run.tally.read.Add(int64(n))
	b.m.check.read.Add(int64(n))
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

func (b *meterBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel()
	b.m.run.done(backends.OpGet, b.n, time.Since(b.start), b.err)
	return err
}

func (m *meter) Head(ctx context.Context, key string) (backends.Info, error) {
	ctx, cancel, err := m.begin(ctx, backends.OpHead, key, 0)
	if err != nil {
		return backends.Info{}, err
	}
	defer cancel()
	start := time.Now()
	info, err := m.inner.Head(ctx, key)
	m.run.done(backends.OpHead, 0, time.Since(start), err)
	return info, err
}

func (m *meter) List(ctx context.Context, prefix, startAfter string, limit int) (backends.Page, error) {
	ctx, cancel, err := m.begin(ctx, backends.OpList, prefix, 0)
	if err != nil {
		return backends.Page{}, err
	}
	defer cancel()
	start := time.Now()
	page, err := m.inner.List(ctx, prefix, startAfter, limit)
	m.run.done(backends.OpList, 0, time.Since(start), err)
	return page, err
}

func (m *meter) Delete(ctx context.Context, key string) error {
	ctx, cancel, err := m.begin(ctx, backends.OpDelete, key, 0)
	if err != nil {
		return err
	}
	defer cancel()
	start := time.Now()
	err = m.inner.Delete(ctx, key)
	m.run.done(backends.OpDelete, 0, time.Since(start), err)
	return err
}

func (m *meter) DeleteIf(ctx context.Context, key string, v backends.Version) error {
	ctx, cancel, err := m.begin(ctx, backends.OpDelete, key, 0)
	if err != nil {
		return err
	}
	defer cancel()
	return backends.DeleteIf(ctx, m.inner, key, v)
}

func (m *meter) Versioning(ctx context.Context) (backends.Versioning, error) {
	ctx, cancel, err := m.begin(ctx, backends.OpVersioning, m.run.prefix, 0)
	if err != nil {
		return backends.VersioningUnknown, err
	}
	defer cancel()
	return backends.VersioningOf(ctx, m.inner)
}

func (m *meter) Close() error { return m.inner.Close() }

// Prices are what a provider asks for, in US dollars per 1,000 requests, and
// the day on which the list was read.
type Prices struct {
	Put, Get, List, Delete, Head float64
	Date                         string
}

// PricesOf gives the list prices of a provider, for estimates; all zero where
// requests cost nothing or the price is not known.
func PricesOf(provider string) Prices {
	// AWS us-east-1 standard class; GCS and Azure ask about the same.
	s3 := Prices{Put: 0.005, Get: 0.0004, List: 0.005, Head: 0.0004, Date: "2026-11-01"}
	switch provider {
	case "aws", "gcs":
		return s3
	case "azure":
		return Prices{Put: 0.0055, Get: 0.00044, List: 0.0055, Head: 0.00044, Date: "2026-11-01"}
	case "r2":
		return Prices{Put: 0.0045, Get: 0.00036, List: 0.0045, Head: 0.00036, Date: "2026-11-01"}
	default:
		return Prices{Date: "2026-11-01"}
	}
}

// Cost is the price of r in US dollars.
func (p Prices) Cost(r Requests) float64 {
	return (float64(r.Put)*p.Put + float64(r.Get)*p.Get + float64(r.List)*p.List +
		float64(r.Delete)*p.Delete + float64(r.Head)*p.Head) / 1000
}
