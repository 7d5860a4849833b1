package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/woodpecker-wal/woodpecker/backends"
)

// CleanupResult is what a run's clean-up did.
type CleanupResult struct {
	Deleted   int      `json:"deleted"`
	Leftovers []string `json:"leftovers"` // keys below the user's prefix
	err       error
}

const (
	cleanGroup   = "clean"
	cleanLimit   = 2 * time.Minute // of a clean-up that is not given another
	cleanWorkers = 8
)

// cleanUp removes everything below the run's prefix, the manifest last, and
// lists what it could not remove.
func (r *runner) cleanUp(ctx context.Context) {
	if r.opts.Keep {
		r.cleanup.err = errKept
		return
	}
	ctx, cancel := context.WithTimeout(ctx, cleanLimit)
	defer cancel()
	// The clean-up is not bounded by the budget: it only gives back.
	acc := &account{prefix: r.prefix, samples: r.account.samples, failed: r.account.failed}
	var check tally
	m := &meter{inner: r.clients[0], run: acc, check: &check, timeout: r.opts.RequestTimeout}
	o := r.retry
	o.Attempts = max(o.Attempts, 12)
	r.cleanup = sweep(ctx, backends.Retry(m, o), r.prefix)
	r.account.tally.add(acc.tally.traffic())
}

// errStillListed means that deletes were acknowledged and had no effect.
var errStillListed = errors.New("objects are still listed after they were deleted")

var errKept = errors.New("the objects were kept on request (--keep)")

func (t *tally) add(u Traffic) {
	t.put.Add(u.Requests.Put)
	t.get.Add(u.Requests.Get)
	t.list.Add(u.Requests.List)
	t.del.Add(u.Requests.Delete)
	t.head.Add(u.Requests.Head)
	t.written.Add(u.BytesWritten)
	t.read.Add(u.BytesRead)
}

// sweep deletes every object below prefix, the manifest last, and looks again.
// It does not rely on the order of the listing: a store under suspicion is
// asked from the start until it shows nothing new.
func sweep(ctx context.Context, s backends.Store, prefix string) CleanupResult {
	var res CleanupResult
	last := prefix + manifestName
	for range 3 {
		keys, err := keysBelow(ctx, s, prefix)
		if err != nil {
			res.err = err
			res.Leftovers = []string{prefix + "*"}
			return res
		}
		if len(keys) == 0 {
			res.Leftovers, res.err = nil, nil
			return res
		}
		var others []string
		for _, k := range keys {
			if k != last {
				others = append(others, k)
			}
		}
		left, err := deleteAll(ctx, s, others)
		res.Deleted += len(others) - len(left)
		if len(left) == 0 && len(others) < len(keys) {
			if err = s.Delete(ctx, last); err == nil {
				res.Deleted++
			}
		}
		res.Leftovers, res.err = left, err
		if ctx.Err() != nil {
			break
		}
	}
	// Three rounds and something is still listed: deletes do not work here, or
	// somebody else is writing.
	if keys, err := keysBelow(ctx, s, prefix); err != nil {
		res.err = err
	} else {
		res.Leftovers = keys
		if len(keys) > 0 && res.err == nil {
			res.err = errStillListed
		}
	}
	return res
}

// keysBelow lists the keys below prefix, each once, in at most so many pages as
// an endless listing must not reach.
func keysBelow(ctx context.Context, s backends.Store, prefix string) ([]string, error) {
	const mostPages = 10_000
	seen := map[string]bool{}
	var keys []string
	after := ""
	for range mostPages {
		page, err := s.List(ctx, prefix, after, 0)
		if err != nil {
			return nil, err
		}
		fresh := false
		for _, o := range page.Objects {
			if !seen[o.Key] && strings.HasPrefix(o.Key, prefix) {
				seen[o.Key], fresh = true, true
				keys = append(keys, o.Key)
			}
			after = max(after, o.Key)
		}
		if !page.More || !fresh {
			return keys, nil
		}
	}
	return keys, fmt.Errorf("the listing of %s does not end", prefix)
}

// deleteAll deletes keys and returns those that it could not.
func deleteAll(ctx context.Context, s backends.Store, keys []string) (left []string, err error) {
	var mu sync.Mutex
	next := make(chan string)
	go func() {
		defer close(next)
		for _, k := range keys {
			next <- k
		}
	}()
	Each(cleanWorkers, func(int) {
		for k := range next {
			if e := s.Delete(ctx, k); e != nil {
				mu.Lock()
				left, err = append(left, k), e
				mu.Unlock()
			}
		}
	})
	return left, err
}

// Cleaned is what [Clean] did with one run's prefix.
type Cleaned struct {
	RunID   string
	Result  CleanupResult
	Skipped string // why it was left alone; empty if it was cleaned
}

// foreignAge is how old the run of another machine must be before Clean takes
// it for dead.
const foreignAge = time.Hour

// Clean removes what interrupted runs left below the store's prefix, and
// nothing else: only prefixes that hold our manifest. A run of this machine is
// cleaned when its process is gone, one of another machine when it is older than
// an hour; olderThan, if not negative, replaces both rules.
func Clean(ctx context.Context, s backends.Store, olderThan time.Duration) ([]Cleaned, error) {
	s = backends.Retry(s, backends.RetryOptions{Attempts: 12})
	ids, err := runsBelow(ctx, s)
	if err != nil {
		return nil, err
	}
	var done []Cleaned
	for _, id := range ids {
		c := Cleaned{RunID: id}
		prefix := Root + "/" + id + "/"
		c.Skipped, err = mayClean(ctx, s, prefix, olderThan)
		if err != nil {
			return done, err
		}
		if c.Skipped == "" {
			c.Result = sweep(ctx, s, prefix)
			if c.Result.err != nil {
				done = append(done, c)
				return done, c.Result.err
			}
		}
		done = append(done, c)
	}
	return done, nil
}

// runsBelow finds the run ids, skipping over the objects of each.
func runsBelow(ctx context.Context, s backends.Store) ([]string, error) {
	var ids []string
	root := Root + "/"
	after := ""
	for {
		page, err := s.List(ctx, root, after, 1)
		if err != nil {
			return nil, err
		}
		if len(page.Objects) == 0 {
			return ids, nil
		}
		key := page.Objects[0].Key
		id, _, nested := strings.Cut(strings.TrimPrefix(key, root), "/")
		if !nested { // an object of somebody else's
			after = key
			continue
		}
		ids = append(ids, id)
		after = root + id + "/\U0010FFFF"
	}
}

// mayClean tells why the run must be left alone, or "".
func mayClean(ctx context.Context, s backends.Store, prefix string, olderThan time.Duration) (string, error) {
	body, _, err := backends.ReadAll(ctx, s, prefix+manifestName, backends.All())
	if backends.ClassOf(err) == backends.NotFound {
		return "it has no manifest of wpcompat, so it may be somebody else's", nil
	}
	if err != nil {
		return "", err
	}
	var m manifest
	if err := json.Unmarshal(body, &m); err != nil || m.Schema != manifestSchema {
		return "its manifest is not one of wpcompat, so it may be somebody else's", nil
	}
	age := time.Since(m.Started)
	switch {
	case olderThan >= 0 && age < olderThan:
		return fmt.Sprintf("it began %v ago, later than --older-than %v", age.Round(time.Second), olderThan), nil
	case olderThan >= 0:
		return "", nil
	case m.Host == hostHash() && alive(m.PID):
		return fmt.Sprintf("it is still running (process %d); --older-than 0s removes it all the same", m.PID), nil
	case m.Host != hostHash() && age < foreignAge:
		return fmt.Sprintf("another machine began it %v ago and may still be running; --older-than 0s removes it all the same", age.Round(time.Second)), nil
	}
	return "", nil
}
