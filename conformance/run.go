package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/woodpecker-wal/woodpecker/backends"
)

// Options says what to run. The zero value is the standard profile for mode
// fenced.
type Options struct {
	Mode    Mode
	Profile ProfileName
	Only    []string // globs; empty means every check
	Skip    []string // globs
	Seed    uint64   // 0 means a fresh one
	RunID   string   // empty means a fresh one; it names the run's prefix

	Writers     int // of a race; 0 means the profile's
	Rounds      int // of a race; 0 means the profile's
	Concurrency int // clients with connections of their own; 0 means 32

	Timeout        time.Duration // of the whole run without its clean-up; 0 means the profile's
	RequestTimeout time.Duration // of one request; 0 means 20 s
	Tries          int           // attempts at what may be repeated; 0 means 8
	Budget         Budget
	Prices         Prices
	Keep           bool // leave the objects where they are

	// Plan runs for the number of requests alone: nothing waits. The target
	// must be a reference store.
	Plan bool

	Tool     Tool
	Progress func(Progress) // called from one goroutine at a time; may be nil
}

// Progress is one step of a run.
type Progress struct {
	Check   Check
	Index   int // of Total, from 1
	Total   int
	Result  *Result // nil when the check begins
	Traffic Traffic // so far
}

func (o Options) withDefaults() Options {
	if o.Mode == "" {
		o.Mode = Fenced
	}
	if o.Profile == "" {
		o.Profile = Standard
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64()>>1 + 1
	}
	if o.RunID == "" {
		o.RunID = NewRunID(time.Now())
	}
	if o.Concurrency == 0 {
		o.Concurrency = 32
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = 20 * time.Second
	}
	if o.Tries == 0 {
		o.Tries = 8
	}
	if o.Timeout == 0 {
		o.Timeout = map[ProfileName]time.Duration{Quick: 2 * time.Minute, Standard: 10 * time.Minute,
			Deep: 2 * time.Hour, Soak: 12 * time.Hour}[o.Profile]
	}
	return o
}

// check tells what is wrong with the options, for a user.
func (o Options) check() error {
	if !slices.Contains(Modes(), o.Mode) {
		return fmt.Errorf("unknown mode %q; known are fenced, cas, archive", o.Mode)
	}
	if _, ok := ProfileOf(o.Profile); !ok {
		return fmt.Errorf("unknown profile %q; known are quick, standard, deep, soak", o.Profile)
	}
	if strings.ContainsAny(o.RunID, "/ \\") || backends.CheckKey(o.RunID) != nil {
		return fmt.Errorf("run id %q cannot be part of a key", o.RunID)
	}
	if o.Writers == 1 || o.Writers < 0 || o.Rounds < 0 {
		return fmt.Errorf("a race needs at least 2 writers and 1 round")
	}
	for _, g := range slices.Concat(o.Only, o.Skip) {
		if err := CheckGlob(g); err != nil {
			return err
		}
	}
	return nil
}

// selects reports whether the filters leave c in.
func (o Options) selects(c Check) bool {
	in := len(o.Only) == 0 || slices.ContainsFunc(o.Only, c.Matches)
	return in && !slices.ContainsFunc(o.Skip, c.Matches)
}

// NewRunID makes the id of a run: its second, and chance.
func NewRunID(now time.Time) string {
	return fmt.Sprintf("%s-%08x", now.UTC().Format("20060102t150405z"), rand.Uint32())
}

// The ways in which a run fails before it measures anything.
type (
	// UsageError is a mistake in the options.
	UsageError struct{ Err error }
	// ConnectError means that the target could not be reached or refuses the
	// caller.
	ConnectError struct{ Err error }
	// NotEmptyError means that the run's prefix already holds an object.
	NotEmptyError struct{ Prefix, Key string }
)

func (e *UsageError) Error() string   { return e.Err.Error() }
func (e *UsageError) Unwrap() error   { return e.Err }
func (e *ConnectError) Error() string { return e.Err.Error() }
func (e *ConnectError) Unwrap() error { return e.Err }
func (e *NotEmptyError) Error() string {
	return fmt.Sprintf("the prefix %s/ is not empty (it holds %q): run wpcompat clean, or use another run id", e.Prefix, e.Key)
}

// Root is the folder below the user's prefix in which all runs work.
const Root = "wpcompat"

// runner is one run.
type runner struct {
	opts    Options
	profile Profile
	target  Target
	prefix  string // "wpcompat/<run id>/"
	account *account
	retry   backends.RetryOptions

	mu      sync.Mutex
	clients []backends.Store // guarded by mu
	caps    map[string]any   // guarded by mu

	cleanup CleanupResult
}

// Run runs the selected checks against the target and reports. It returns an
// error only if nothing was measured: a *UsageError, *ConnectError or
// *NotEmptyError. When ctx ends it stops, cleans up with a time limit of its
// own, and reports what it has, marked as interrupted.
func Run(ctx context.Context, target Target, opts Options) (*Report, error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return nil, &UsageError{err}
	}
	profile, _ := ProfileOf(opts.Profile)
	if opts.Writers > 0 {
		profile.Writers = opts.Writers
	}
	if opts.Rounds > 0 {
		profile.Rounds = opts.Rounds
	}
	prefix := Root + "/" + opts.RunID + "/"
	r := &runner{
		opts: opts, profile: profile, target: target, prefix: prefix, caps: map[string]any{},
		account: &account{budget: opts.Budget, prices: opts.Prices, prefix: prefix,
			samples: map[sampleKey][]time.Duration{}, failed: map[backends.Class]int64{}},
		retry: backends.RetryOptions{Nonce: nonceOf, Attempts: opts.Tries},
	}
	if opts.Plan {
		r.retry.MinWait, r.retry.MaxWait = time.Microsecond, time.Microsecond
	}
	defer r.close()
	rep := &report{r: r, started: time.Now()}

	first, err := target.Open(ctx, backends.Options{})
	if err != nil {
		return nil, classify(err)
	}
	r.clients = append(r.clients, first)
	if err := r.preflight(ctx); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("interrupted while connecting: %w", context.Cause(ctx))
		}
		return nil, err
	}
	rep.results = r.runChecks(ctx)
	return rep.build(ctx.Err() != nil), nil
}

// classify turns the error of opening a target into one of Run's.
func classify(err error) error {
	if backends.ClassOf(err) == backends.Unknown {
		return &UsageError{err}
	}
	return &ConnectError{err}
}

// preflight connects, refuses a prefix that is in use, and leaves the manifest
// by which a later clean finds what a killed run left. Every object comes after
// it.
func (r *runner) preflight(ctx context.Context) error {
	e := r.env(Check{ID: "preflight"}, 0)
	s := backends.Retry(&meter{inner: r.clients[0], run: r.account, check: &e.tally, timeout: r.opts.RequestTimeout}, r.retry)
	page, err := s.List(ctx, r.prefix, "", 1)
	if err == nil && len(page.Objects) > 0 {
		return &NotEmptyError{Prefix: strings.TrimSuffix(r.prefix, "/"), Key: page.Objects[0].Key}
	}
	if err == nil {
		_, err = s.Put(ctx, r.prefix+manifestName, newManifest(r.opts).encode(), backends.Always())
	}
	switch backends.ClassOf(err) {
	case backends.Throttled, backends.Ambiguous, backends.Conflict:
		return nil // the checks will say that nothing could be decided
	}
	if err != nil {
		return &ConnectError{err}
	}
	return nil
}

// client opens client i on demand.
func (r *runner) client(i int) backends.Store {
	i %= r.opts.Concurrency
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.clients) <= i {
		r.clients = append(r.clients, nil)
	}
	if r.clients[i] == nil {
		open := r.target.Open
		if n := len(r.target.More); n > 0 && i%(n+1) > 0 {
			open = r.target.More[i%(n+1)-1]
		}
		s, err := open(context.Background(), backends.Options{})
		if err != nil {
			// Client 0 was opened from the same address, so this is either a
			// further endpoint or a limit of this machine: every request says so.
			s = brokenStore{err}
		}
		r.clients[i] = s
	}
	return r.clients[i]
}

func (r *runner) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.clients {
		if c != nil {
			_ = c.Close() // nothing depends on it any more
		}
	}
}

func (r *runner) note(name string, value any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.caps[name] = value
}

// waitAfter is the pause before the attempt after number try.
func (r *runner) waitAfter(try int, err error) time.Duration {
	var be *backends.Error
	if errors.As(err, &be) && be.RetryAfter > 0 {
		return min(be.RetryAfter, 5*time.Second)
	}
	return min(10*time.Millisecond<<try, 500*time.Millisecond)
}

// env makes the surroundings of one attempt at a check. Its randomness depends
// on the seed and the check alone, not on what ran before; keys and nonces also
// on the run, so that two runs never share one.
func (r *runner) env(c Check, attempt int) *Env {
	h := fnv.New64a()
	_, _ = h.Write([]byte(c.ID)) // hash.Hash never fails
	name := c.ID
	if attempt > 0 {
		name = fmt.Sprintf("%s~%d", c.ID, attempt)
	}
	hr := fnv.New64a()
	_, _ = hr.Write([]byte(r.opts.RunID))
	return &Env{Profile: r.profile, run: r, prefix: r.prefix + name,
		rng: rand.New(rand.NewPCG(r.opts.Seed^hr.Sum64(), h.Sum64()+uint64(attempt)))}
}

// attempts is how often a check is begun anew, on fresh keys, when it decided
// nothing; breaker is after how many undecided checks in a row a run gives up.
const (
	attempts = 3
	breaker  = 6
)

// runChecks runs the selected checks one after the other, and the clean-up
// last, whatever happened before.
func (r *runner) runChecks(ctx context.Context) []Result {
	all := All()
	results := make([]Result, 0, len(all))
	timed, cancel := context.WithTimeoutCause(ctx, r.opts.Timeout, errTimeout)
	defer cancel()
	row := 0 // undecided checks in a row
	total := len(all)
	for i, c := range all {
		if c.Group == cleanGroup {
			continue
		}
		p := Progress{Check: c, Index: i + 1, Total: total}
		r.report(p)
		res := Result{Check: c}
		switch why := r.skip(timed, c, row); {
		case why != nil:
			res.Finding = *why
		default:
			before := r.account.unanswered()
			res = r.runCheck(timed, c)
			// Only what the connection or the store's load explains counts: a
			// store that answers oddly must go on being asked.
			if res.Finding.Outcome == Inconclusive && r.account.unanswered() > before {
				row++
			} else if res.Finding.Outcome != Skipped && c.Level != Info {
				row = 0
			}
		}
		results = append(results, res)
		p.Result = &res
		r.report(p)
	}
	r.cleanUp(context.WithoutCancel(ctx))
	for i, c := range all {
		if c.Group != cleanGroup {
			continue
		}
		res := Result{Check: c}
		if !r.opts.selects(c) {
			res.Finding = Finding{Outcome: Skipped, Detail: "left out by --only or --skip"}
		} else {
			res = r.runCheck(context.WithoutCancel(ctx), c)
		}
		results = append(results, res)
		r.report(Progress{Check: c, Index: i + 1, Total: total, Result: &res})
	}
	return results
}

func (r *runner) report(p Progress) {
	if r.opts.Progress != nil {
		p.Traffic = r.account.tally.traffic()
		r.opts.Progress(p)
	}
}

var errTimeout = errors.New("the run's time is over")

// skip tells why c does not run, or nil.
func (r *runner) skip(ctx context.Context, c Check, row int) *Finding {
	f := func(f Finding) *Finding { return &f }
	order := func(n ProfileName) int {
		return slices.IndexFunc(Profiles(), func(p Profile) bool { return p.Name == n })
	}
	switch t := r.target; {
	case !r.opts.selects(c):
		return f(Finding{Outcome: Skipped, Detail: "left out by --only or --skip"})
	case c.Least != "" && order(r.opts.Profile) < order(c.Least):
		return f(NotApplicable("runs in profile %s and larger", c.Least))
	case c.Needs.Hold && t.Hold == nil:
		return f(Finding{Outcome: Skipped, Detail: "puts to this store cannot be held open from here"})
	case c.Needs.Processes && t.Process == nil:
		return f(NotApplicable("only for stores that several processes open as files"))
	case c.Needs.Endpoints && len(t.More) == 0:
		return f(NotApplicable("needs a second endpoint of the same bucket"))
	case c.Needs.Versioned && t.Versioned == nil:
		return f(NotApplicable("needs a versioned bucket (--versioned-bucket)"))
	case c.Needs.HTTP && !r.isHTTP():
		return f(NotApplicable("only for stores that speak HTTP"))
	case errors.Is(context.Cause(ctx), errTimeout):
		return f(Finding{Outcome: Skipped, Detail: "the run's time was over"})
	case ctx.Err() != nil:
		return f(Finding{Outcome: Skipped, Detail: "the run was interrupted"})
	case r.account.admit(backends.OpHead, r.prefix, 0) != nil:
		return f(Finding{Outcome: Skipped, Detail: "the run's budget was used up"})
	case row >= breaker:
		return f(Undecided("not tried: the %d checks before decided nothing (%s)", row, r.account.complaints()))
	}
	return nil
}

func (r *runner) isHTTP() bool {
	return r.target.Description.Scheme != "file" && r.target.Description.Scheme != "mem"
}

// unanswered counts the requests that the connection or the store's load left
// without an answer of the store.
func (a *account) unanswered() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed[backends.Throttled] + a.failed[backends.Ambiguous] + a.failed[backends.Unavailable]
}

// complaints says in which ways requests failed to decide anything.
func (a *account) complaints() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var parts []string
	for _, c := range []backends.Class{backends.Throttled, backends.Ambiguous, backends.Unavailable, backends.Conflict} {
		if n := a.failed[c]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d requests %s", n, c))
		}
	}
	if parts == nil {
		return "no request failed"
	}
	return strings.Join(parts, ", ")
}

// runCheck runs c, anew on fresh keys while it decides nothing.
func (r *runner) runCheck(ctx context.Context, c Check) Result {
	res := Result{Check: c}
	start := time.Now()
	for attempt := range attempts {
		e := r.env(c, attempt)
		res.Finding = e.runOnce(ctx, c)
		e.release()
		res.Finding.Evidence = append(res.Finding.Evidence, e.evidence...)
		res.Traffic = res.Traffic.plus(e.tally.traffic())
		if ctx.Err() != nil && (res.Finding.Outcome == Fail || res.Finding.Outcome == Errored) && res.Finding.Fault != MultipleWinners {
			// What a check concludes while its requests are being cut is no
			// evidence.
			res.Finding = Undecided("the run ended in the middle of the check")
		}
		if res.Finding.Outcome != Inconclusive || ctx.Err() != nil {
			break
		}
	}
	res.Duration = time.Since(start)
	return res
}

func (t Traffic) plus(u Traffic) Traffic {
	return Traffic{
		Requests: Requests{Put: t.Requests.Put + u.Requests.Put, Get: t.Requests.Get + u.Requests.Get,
			List: t.Requests.List + u.Requests.List, Delete: t.Requests.Delete + u.Requests.Delete, Head: t.Requests.Head + u.Requests.Head},
		BytesWritten: t.BytesWritten + u.BytesWritten, BytesRead: t.BytesRead + u.BytesRead,
	}
}

// runOnce runs the check and turns a panic into an outcome: the one by which
// Env ends a check into its finding, any other into an error of ours. Whatever
// happens, the run goes on to its clean-up.
func (e *Env) runOnce(ctx context.Context, c Check) (f Finding) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case ended:
			f = v.finding
		default:
			f = Finding{Outcome: Errored, Detail: fmt.Sprintf("a defect in this check: %v", v)}
		}
	}()
	return c.Run(ctx, e)
}

// manifestName is the object by which a run's prefix is known to be ours.
const manifestName = "manifest.json"

const manifestSchema = "wpcompat.manifest/v1"

// manifest says who made a run's prefix.
type manifest struct {
	Schema  string    `json:"schema"`
	RunID   string    `json:"run_id"`
	Started time.Time `json:"started"`
	Host    string    `json:"host"` // hashed
	PID     int       `json:"pid"`
}

func newManifest(o Options) manifest {
	return manifest{Schema: manifestSchema, RunID: o.RunID, Started: time.Now().UTC().Truncate(time.Second), Host: hostHash(), PID: os.Getpid()}
}

func (m manifest) encode() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("conformance: a manifest always encodes: %v", err))
	}
	return b
}

// hostHash tells this machine from others without naming it.
func hostHash() string {
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	return HashBucket("host " + name)
}

// brokenStore answers every request with the error of opening it.
type brokenStore struct{ err error }

func (s brokenStore) Put(context.Context, string, []byte, backends.Condition) (backends.Version, error) {
	return "", s.err
}

func (s brokenStore) Get(context.Context, string, backends.Range) (io.ReadCloser, backends.Info, error) {
	return nil, backends.Info{}, s.err
}

func (s brokenStore) Head(context.Context, string) (backends.Info, error) {
	return backends.Info{}, s.err
}

func (s brokenStore) List(context.Context, string, string, int) (backends.Page, error) {
	return backends.Page{}, s.err
}
func (s brokenStore) Delete(context.Context, string) error { return s.err }
func (s brokenStore) Close() error                         { return nil }
