package conformance

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/woodpecker-wal/woodpecker/backends"
)

const swapGroup = "swap"

// swapping are the modes that rest on compare-and-swap.
var swapping = []Mode{CAS}

var swapChecks = []Check{
	{
		ID: "put.if-match.current", Group: swapGroup, Feature: Swap, Level: Must, Modes: swapping,
		Promise: "A swap with the current version succeeds and gives a new version.",
		Why:     "It is how a mutable head moves.",
		How:     "Swaps an object with the version that its put returned, and reads it back.",
		Failing: "valid swaps are refused, so a head object can never move",
		Seen:    "DigitalOcean Spaces with quoted tags (slatedb#1818), OpenList (#2731)",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("head")
			v1 := e.Create(ctx, key, e.BodyOf(1, 1, smallBody))
			second := e.BodyOf(1, 2, smallBody)
			v2, err := e.swap(ctx, key, v1, second)
			switch c := backends.ClassOf(err); {
			case c == backends.Unsupported:
				e.Note("compare_and_swap", false)
				return Refused("the store says that it cannot swap: %v", err)
			case c == backends.VersionMismatch || c == backends.Exists || c == backends.NotFound:
				return Failed(Other, "a swap with the version that the put had just returned was refused: %v", err)
			case err != nil:
				e.Stop(err, "swapping with the current version")
			}
			info := e.Expect(ctx, 1, key, second, "after an acknowledged swap")
			if v2 == v1 || info.Version == v1 {
				return Failed(LostUpdate, "the version did not change with the bytes: still %s", v1)
			}
			e.Note("compare_and_swap", true)
			return Passed(1)
		},
	},
	{
		ID: "put.if-match.stale", Group: swapGroup, Feature: Swap, Level: Must, Modes: swapping,
		Promise: "A swap with a superseded version is refused and changes nothing.",
		Why:     "Otherwise the slower of two writers erases the other's update.",
		How:     "Overwrites an object, then swaps with the version from before.",
		Failing: "swaps with an old version are accepted, so updates of the head are lost",
		Seen:    "fake-gcs-server media uploads before July 2026",
		Run: func(ctx context.Context, e *Env) Finding {
			for i := range e.Profile.Trials / 4 {
				key := e.Key("stale")
				v1 := e.Create(ctx, key, e.BodyOf(1, i+1, smallBody))
				current := e.BodyOf(2, i+1, smallBody)
				e.Overwrite(ctx, key, current)
				e.refusedSwap(ctx, key, v1, current, "a superseded version")
			}
			return Passed(e.Profile.Trials / 4)
		},
	},
	{
		ID: "put.if-match.missing", Group: swapGroup, Feature: Swap, Level: Must, Modes: swapping,
		Promise: "A swap never creates an object that is not there.",
		Why:     "A log that was deleted must not come back by a writer that did not hear of it.",
		How:     "Swaps on a key that never existed, with the version of another object.",
		Failing: "a swap on a missing key creates it, so a deleted log comes back",
		Seen:    "MinIO before RELEASE.2025-09-07 (minio/minio#21526)",
		Run: func(ctx context.Context, e *Env) Finding {
			v := e.Create(ctx, e.Key("other"), e.Body(smallBody))
			key := e.Key("missing")
			e.refusedSwap(ctx, key, v, nil, "a key that has no object")
			return Passed(1)
		},
	},
	{
		ID: "put.if-match.deleted", Group: swapGroup, Feature: Swap, Level: Must, Modes: swapping,
		Promise: "A swap with the version of a deleted object is refused and leaves the key empty.",
		Why:     "A writer that slept over a delete must not undo it.",
		How:     "Creates and deletes an object, then swaps with its old version.",
		Failing: "a swap brings a deleted object back, so a deleted log returns",
		Seen:    "MinIO before RELEASE.2025-09-07 (minio/minio#21526)",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("deleted")
			v := e.Create(ctx, key, e.Body(smallBody))
			e.Delete(ctx, key)
			e.refusedSwap(ctx, key, v, nil, "the version of a deleted object")
			return Passed(1)
		},
	},
	{
		ID: "put.if-match.garbage-token", Group: swapGroup, Feature: Swap, Level: Must, Modes: swapping,
		Promise: "A swap with a version that no object ever had is refused.",
		Why:     "It shows that the condition is looked at and not merely accepted.",
		How:     "Swaps with a version of the right form and wrong content.",
		Failing: "any version is accepted, so swaps protect nothing",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("garbage")
			body := e.Body(smallBody)
			v := e.Create(ctx, key, body)
			if v == "" {
				return Refused("the store gives objects no version token, so nothing can be compared")
			}
			e.refusedSwap(ctx, key, garble(v), body, "a version that no object ever had")
			return Passed(1)
		},
	},
	{
		ID: "put.if-match.chain", Group: swapGroup, Feature: Swap, Level: Must, Modes: swapping,
		Promise: "The version that a swap returns is the one the next swap needs.",
		Why:     "Otherwise every update costs a second request.",
		How:     "Swaps an object many times, each with the version that the one before returned.",
		Failing: "returned versions cannot be used, so a head moves only with an extra read each time",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("chain")
			v := e.Create(ctx, key, e.BodyOf(1, 1, smallBody))
			for i := range e.Profile.Trials {
				next, err := e.swap(ctx, key, v, e.BodyOf(1, i+2, smallBody))
				switch backends.ClassOf(err) {
				case backends.VersionMismatch, backends.Exists, backends.NotFound:
					return Failed(Other, "swap number %d with the version that the last one returned was refused: %v", i+1, err)
				}
				if err != nil {
					e.Stop(err, "swapping in a chain")
				}
				v = next
			}
			return Passed(e.Profile.Trials)
		},
	},
	{
		ID: "put.if-match.race", Group: swapGroup, Feature: Swap, Level: Must, Modes: swapping,
		Promise: "Of many concurrent swaps with one version exactly one succeeds, and its bytes stay.",
		Why:     "It decides which writer's update of the head counts.",
		How:     "Writers on connections of their own swap one object with one version at the same moment, round after round.",
		Failing: "two writers both move the head, so one update is lost",
		Seen:    "versitygw before 1.8 (#2288), SeaweedFS before 4.18",
		Run: func(ctx context.Context, e *Env) Finding {
			return e.rounds(ctx, e.Profile.Rounds, func(round int) judgement {
				key, old, v := e.contested(ctx)
				return e.judgeRace(ctx, key, old, e.race(ctx, key, e.Profile.Writers, round, smallBody, backends.IfVersion(v)))
			})
		},
	},
	{
		ID: "put.if-match.race.slow-body", Group: swapGroup, Feature: Swap, Level: Must, Modes: swapping,
		Promise: "Exactly one swap succeeds also when all of them are nearly sent before the first ends.",
		Why:     "A store that compares before it has the body lets every writer pass.",
		How:     "Every writer sends all but the last KiB; then all finish together.",
		Failing: "slow swaps pass the comparison together, so updates of the head are lost under load",
		Seen:    "SeaweedFS before 4.18, versitygw before 1.8",
		Needs:   Needs{Hold: true},
		Run: func(ctx context.Context, e *Env) Finding {
			return e.rounds(ctx, min(e.Profile.Rounds, 10), func(round int) judgement {
				key, old, v := e.contested(ctx)
				return e.judgeRace(ctx, key, old, e.heldRace(ctx, key, min(e.Profile.Writers, 16), round, slowBody, slowKeep, backends.IfVersion(v)))
			})
		},
	},
	{
		ID: "put.if-match.race.endpoints", Group: swapGroup, Feature: Swap, Level: Must, Modes: swapping,
		Promise: "Exactly one swap succeeds also when the writers use different endpoints.",
		Why:     "Locks often live inside one gateway process.",
		How:     "As the race, with the writers spread over all endpoints that were given.",
		Failing: "writers on different endpoints both move the head, so one update is lost",
		Seen:    "RustFS before 1.0.0-alpha.82 (#1659)",
		Needs:   Needs{Endpoints: true},
		Run: func(ctx context.Context, e *Env) Finding {
			return e.rounds(ctx, e.Profile.Rounds, func(round int) judgement {
				key, old, v := e.contested(ctx)
				return e.judgeRace(ctx, key, old, e.race(ctx, key, max(e.Profile.Writers, len(e.run.target.More)+1), round, smallBody, backends.IfVersion(v)))
			})
		},
	},
	{
		ID: "put.if-match.held-open", Group: swapGroup, Feature: Swap, Level: Must, Modes: swapping,
		Promise: "A swap that was begun first and finished last does not undo the one that finished first.",
		Why:     "It is the leader that stalled and wakes up after it was replaced.",
		How:     "Holds a swap open with its last bytes missing, swaps through another connection, lets the first one finish.",
		Failing: "a stalled leader that wakes up overwrites its successor's head",
		Seen:    "stores that compare before the body: SeaweedFS before 4.18, versitygw before 1.8",
		Needs:   Needs{Hold: true},
		Run: func(ctx context.Context, e *Env) Finding {
			return e.heldOpen(ctx, func() (string, []byte, backends.Version) { return e.contested(ctx) }, backends.IfVersion)
		},
	},
	{
		ID: "put.if-match.counter", Group: swapGroup, Feature: Swap, Level: Must, Modes: swapping,
		Promise: "A counter that many clients increase by swaps counts every acknowledged increase once.",
		Why:     "It is a linearizable register in miniature, under contention.",
		How:     "Clients read a counter and swap in the next value until each has been acknowledged some times; the sum must be there.",
		Failing: "acknowledged updates of the head disappear under contention",
		Run:     swapCounter,
	},
	{
		ID: "put.if-match.aba.fast-rewrite", Group: swapGroup, Feature: Swap, Level: Must, Modes: swapping,
		Promise: "Every rewrite gives another version, however fast and however alike.",
		Why:     "Versions made of time and length repeat, and then an old one matches again.",
		How:     "Rewrites an object of one length many times back to back; all versions must differ, and an old one must be refused.",
		Failing: "versions repeat under fast rewrites, so a stale writer passes as current",
		Seen:    "local file systems with mtime tokens (ClickHouse#112587)",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("fast")
			n := e.Profile.Trials
			seen := map[backends.Version]int{}
			var first backends.Version
			var body []byte
			for i := range n {
				body = e.BodyOf(1, i+1, 100)
				v := e.Overwrite(ctx, key, body)
				if v == "" {
					return Refused("the store gives objects no version token, so nothing can be compared")
				}
				if j, again := seen[v]; again {
					return Failed(LostUpdate, "rewrites %d and %d have the same version %s with different bytes", j+1, i+1, v).Of(n, 1)
				}
				seen[v] = i
				if i == 0 {
					first = v
				}
			}
			e.refusedSwap(ctx, key, first, body, "the version of the first of many rewrites")
			return Passed(n)
		},
	},
	{
		ID: "put.if-match.aba.same-bytes", Group: swapGroup, Feature: Swap, Level: Info,
		Promise: "Whether the version names the state or only the content is recorded.",
		Why:     "Where it is content, A, B, A cannot be told from A, so whatever is swapped must carry a nonce. Ours does.",
		How:     "Writes A, B, A and swaps with the version of the first A.",
		Failing: "nothing",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("aba")
			a, b := e.BodyOf(1, 1, smallBody), e.BodyOf(1, 2, smallBody)
			v1 := e.Create(ctx, key, a)
			e.Overwrite(ctx, key, b)
			v3 := e.Overwrite(ctx, key, a)
			kind := "version"
			if v1 == v3 {
				kind = "content"
			}
			e.Note("token_kind", kind)
			return Passed(1).With("the token names the %s", kind)
		},
	},
}

// swap swaps through client 0, settling lost answers.
func (e *Env) swap(ctx context.Context, key string, v backends.Version, body []byte) (backends.Version, error) {
	if v == "" {
		e.End(Refused("the store gives objects no version token, so nothing can be compared"))
	}
	return e.Steady(0).Put(ctx, key, body, backends.IfVersion(v))
}

// contested makes an object to race for.
func (e *Env) contested(ctx context.Context) (key string, body []byte, v backends.Version) {
	key = e.Key("contested")
	body = e.Body(smallBody)
	v = e.Create(ctx, key, body)
	if v == "" {
		e.End(Refused("the store gives objects no version token, so nothing can be compared"))
	}
	return key, body, v
}

// refusedSwap swaps with a version that must not match, and ends the check
// unless the store refuses and key still holds want (nil: nothing).
func (e *Env) refusedSwap(ctx context.Context, key string, v backends.Version, want []byte, what string) {
	if v == "" {
		e.End(Refused("the store gives objects no version token, so nothing can be compared"))
	}
	body := e.BodyOf(9, 9, smallBody)
	err := e.Ask(ctx, "swapping with "+what, func(int) error {
		_, err := e.Raw(1).Put(ctx, key, body, backends.IfVersion(v))
		return err
	})
	e.Evidence("swap with %s: %s", what, answerText(err))
	if backends.ClassOf(err) == backends.Unsupported {
		e.End(Refused("swaps are refused: %v", err))
	}
	got, _, found := e.Read(ctx, 0, key)
	switch {
	case want == nil && found:
		e.End(Failed(Resurrected, "a swap with %s created the object; it was answered: %s", what, answerText(err)))
	case want != nil && !found:
		e.End(Failed(LostUpdate, "a swap with %s removed the object; it was answered: %s", what, answerText(err)))
	case want != nil && !bytes.Equal(got, want):
		e.End(Failed(LostUpdate, "a swap with %s replaced the object; it was answered: %s", what, answerText(err)))
	case err == nil:
		e.End(Failed(SilentlyIgnored, "a swap with %s was acknowledged, without an effect", what))
	}
}

// garble makes a token of the same form that no object has.
func garble(v backends.Version) backends.Version {
	b := []byte(v)
	changed := false
	for i := range b {
		switch {
		case b[i] >= '0' && b[i] <= '8', b[i] >= 'a' && b[i] <= 'e', b[i] >= 'A' && b[i] <= 'E':
			b[i]++
			changed = true
		}
	}
	if !changed {
		return v + "1"
	}
	return backends.Version(b)
}

// swapCounter lets workers increase one counter. The count stands after the
// body's head, so that every state has a nonce.
func swapCounter(ctx context.Context, e *Env) Finding {
	const at = bodyHead
	workers, each := 4, max(e.Profile.Rounds, 3)
	key := e.Key("counter")
	encode := func(worker int, n uint64) []byte {
		b := e.BodyOf(worker, int(n), at+8)
		binary.BigEndian.PutUint64(b[at:], n)
		return b
	}
	if v := e.Create(ctx, key, encode(0, 0)); v == "" {
		return Refused("the store gives objects no version token, so nothing can be compared")
	}
	var mu sync.Mutex
	acked, unknown := 0, 0
	var refusal, broken error
	Each(workers, func(w int) {
		s := e.Raw(w)
		done := 0
		var last uint64
		for try := 0; done < each && try < 50*each && ctx.Err() == nil; try++ {
			body, info, err := backends.ReadAll(ctx, s, key, backends.All())
			if err != nil || len(body) != at+8 {
				continue
			}
			n := binary.BigEndian.Uint64(body[at:])
			if n < last {
				mu.Lock()
				broken = fmt.Errorf("client %d read %d after it had read or written %d", w+1, n, last)
				mu.Unlock()
				return
			}
			last = n
			// Between reading and swapping lies the moment in which others swap.
			e.Pause(ctx, time.Duration(e.Intn(3))*time.Millisecond)
			_, err = s.Put(ctx, key, encode(w+1, n+1), backends.IfVersion(info.Version))
			mu.Lock()
			switch backends.ClassOf(err) {
			case backends.Ambiguous, backends.Throttled:
				unknown++
			case backends.Unsupported:
				refusal = err
			}
			if err == nil {
				acked++
				done++
				last = n + 1
			}
			mu.Unlock()
			if err != nil {
				e.Pause(ctx, time.Duration(1+e.Intn(5*(w+1)))*time.Millisecond)
			}
		}
	})
	if refusal != nil {
		return Refused("swaps are refused: %v", refusal)
	}
	if broken != nil {
		return Failed(StaleRead, "%v", broken)
	}
	body, _, found := e.Read(ctx, 0, key)
	if !found || len(body) != at+8 {
		return Failed(LostUpdate, "the counter is gone")
	}
	n := int(binary.BigEndian.Uint64(body[at:]))
	if n < acked || n > acked+unknown {
		return Failed(LostUpdate, "%d increases were acknowledged (%d more are unknown), and the counter stands at %d", acked, unknown, n).Of(acked, 1)
	}
	if acked < workers*each {
		return Undecided("only %d of %d increases were acknowledged", acked, workers*each).Of(acked, 0)
	}
	return Passed(acked)
}
