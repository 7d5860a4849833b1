package conformance

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/woodpecker-wal/woodpecker/backends"
)

const createGroup = "create"

// fencing are the modes that rest on conditional creates.
var fencing = []Mode{Fenced, CAS}

const (
	smallBody = 1 << 10
	// slowBody fits into the buffers of any connection, so that a store which
	// does not read on cannot stop the sender.
	slowBody = 8 << 10
	slowKeep = 1 << 10
	// missing is how much of a request is held back or cut off. SDKs may frame
	// a body in chunks whose last lines hold none of it (about 100 bytes), so a
	// single byte might not be one of the body.
	missing = 512
)

var createChecks = []Check{
	{
		ID: "put.if-absent.honest", Group: createGroup, Feature: Create, Level: Must, Modes: fencing,
		Promise: "A create on an existing key is refused, or the store says that it has no such thing.",
		Why:     "A store that refuses is safe to reject; one that accepts and ignores the condition loses data silently.",
		How:     "Creates an object twice and reads back what is there.",
		Failing: "the store accepts a create and ignores its condition, so two writers overwrite each other without an error",
		Seen:    "honest: Backblaze B2 (501), Aliyun OSS over S3 (501); silent: GCS through S3 requests, Garage, CubeFS, Incus",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("honest")
			first, second := e.BodyOf(1, 1, smallBody), e.BodyOf(2, 1, smallBody)
			e.Overwrite(ctx, key, first)
			err := e.Ask(ctx, "creating over an existing object", func(int) error {
				_, err := e.Raw(1).Put(ctx, key, second, backends.IfAbsent())
				return err
			})
			e.Evidence("create over an existing object: %s", answerText(err))
			if got, _, found := e.Read(ctx, 0, key); !found || !bytes.Equal(got, first) {
				return Failed(SilentlyIgnored, "the create was answered with %q, and the first writer's object is gone", answerText(err))
			}
			if backends.ClassOf(err) == backends.Unsupported {
				e.Note("create_if_absent", false)
				return Refused("the store says that it cannot create conditionally: %v", err)
			}
			if err == nil {
				return Failed(SilentlyIgnored, "the create over an existing object was acknowledged")
			}
			e.Note("create_if_absent", true)
			return Passed(1)
		},
	},
	{
		ID: "put.if-absent.fresh", Group: createGroup, Feature: Create, Level: Must, Modes: fencing,
		Promise: "A create on a key that has no object succeeds, and the object holds its bytes.",
		Why:     "Every append of the log is one such create.",
		How:     "Creates objects of several sizes on fresh keys and reads them back over another connection.",
		Failing: "creates on free keys are refused, so nothing can be appended",
		Seen:    "MinIO RELEASE.2025-09-06; Ceph RGW on POSIX (ceph/ceph#69991)",
		Run: func(ctx context.Context, e *Env) Finding {
			sizes := []int{1, 100, smallBody, 256 << 10}
			for _, size := range sizes {
				key := e.Key("fresh")
				body := e.Body(size)
				_, err := e.Steady(0).Put(ctx, key, body, backends.IfAbsent())
				if c := backends.ClassOf(err); c == backends.Exists || c == backends.VersionMismatch || c == backends.NotFound {
					return Failed(Other, "the create of %d bytes on a key that was never used was refused: %v", size, err)
				} else if err != nil {
					e.Stop(err, "creating on a fresh key")
				}
				e.Expect(ctx, 1, key, body, "after an acknowledged create")
			}
			return Passed(len(sizes))
		},
	},
	{
		ID: "put.if-absent.exists", Group: createGroup, Feature: Create, Level: Must, Modes: fencing,
		Promise: "A create on an existing key is refused and changes nothing.",
		Why:     "It is what stops two writers of one log.",
		How:     "Creates an object, then creates it again with other bytes; bytes, version and time must stay.",
		Failing: "a second writer's create is accepted over the first one's, so acknowledged entries are overwritten",
		Seen:    "GCS through S3 requests, CubeFS (woodpecker#54), Incus (#3651), IBM COS by default",
		Run: func(ctx context.Context, e *Env) Finding {
			for i := range e.Profile.Trials / 4 {
				e.refusedCreate(ctx, refusal{body: e.BodyOf(1, i+1, smallBody)})
			}
			return Passed(e.Profile.Trials / 4)
		},
	},
	{
		ID: "put.if-absent.exists.same-bytes", Group: createGroup, Feature: Create, Level: Must, Modes: fencing,
		Promise: "A create on an existing key is refused even if it brings the same bytes.",
		Why:     "Having the same content does not make a writer the owner.",
		How:     "Creates an object twice with identical bytes.",
		Failing: "a writer with equal bytes is told that it won, so two writers own one slot",
		Run: func(ctx context.Context, e *Env) Finding {
			body := e.BodyOf(1, 1, smallBody)
			e.refusedCreate(ctx, refusal{body: body, second: body})
			return Passed(1)
		},
	},
	{
		ID: "put.if-absent.exists.empty", Group: createGroup, Feature: Create, Level: Must, Modes: fencing,
		Promise: "An existing object of 0 bytes refuses a create like any other.",
		Why:     "A fence may be empty.",
		How:     "Puts an empty object, then creates over it.",
		Failing: "empty objects are not protected, so a fence without content does not hold",
		Run: func(ctx context.Context, e *Env) Finding {
			e.refusedCreate(ctx, refusal{body: []byte{}})
			return Passed(1)
		},
	},
	{
		ID: "put.if-absent.exists.large", Group: createGroup, Feature: Create, Level: Must, Modes: fencing,
		Promise: "A large create on an existing key is refused like a small one.",
		Why:     "Large flushes take other paths through clients and servers.",
		How:     "Creates an object, then creates over it with a large body.",
		Failing: "large creates ignore the condition, so big blocks overwrite acknowledged ones",
		Seen:    "MinIO multipart before 2025-09-07",
		Run: func(ctx context.Context, e *Env) Finding {
			e.refusedCreate(ctx, refusal{body: e.BodyOf(1, 1, smallBody), second: e.BodyOf(2, 1, e.Profile.Large)})
			return Passed(1)
		},
	},
	{
		ID: "put.if-absent.every-path", Group: createGroup, Feature: Create, Level: Must, Modes: fencing,
		Promise: "The condition is carried whatever the size of the body.",
		Why:     "Clients switch to other requests above a size, and lose the condition there.",
		How:     "Creates over existing objects with bodies from 1 byte to 8 MiB, around the sizes where clients switch.",
		Failing: "above some size the condition is dropped, so large appends overwrite acknowledged ones",
		Seen:    "OpenDAL on COS and OSS (#8043), moto (#9209), ministack (#1435)",
		Run: func(ctx context.Context, e *Env) Finding {
			sizes := []int{1, 4 << 10, 64<<10 + 1, 1 << 20, 5<<20 + 1, 8 << 20}
			for _, size := range sizes {
				e.refusedCreate(ctx, refusal{body: e.BodyOf(1, 1, smallBody), second: e.BodyOf(2, 1, size)})
			}
			return Passed(len(sizes))
		},
	},
	{
		ID: "put.if-absent.unconditional-first", Group: createGroup, Feature: Create, Level: Must, Modes: fencing,
		Promise: "An object refuses a create whichever way it came into being.",
		Why:     "Tools and older writers use plain puts.",
		How:     "Puts an object plainly, once and again over itself, then creates over it.",
		Failing: "objects made by plain puts are not protected against creates",
		Run: func(ctx context.Context, e *Env) Finding {
			e.refusedCreate(ctx, refusal{body: e.BodyOf(1, 1, smallBody), plain: true})
			e.refusedCreate(ctx, refusal{body: e.BodyOf(1, 2, smallBody), plain: true, twice: true})
			return Passed(2)
		},
	},
	{
		ID: "put.if-absent.after-delete", Group: createGroup, Feature: Create, Level: Must, Modes: fencing,
		Promise: "After a delete the key can be created again.",
		Why:     "Keys are reused after truncation, and a deleted object must not count as existing.",
		How:     "Creates, deletes and creates the same key several times.",
		Failing: "deleted keys stay blocked, so a log cannot reuse them",
		Seen:    "RustFS after a delete marker (#1610)",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("reborn")
			for round := range 3 {
				body := e.BodyOf(1, round+1, smallBody)
				_, err := e.Steady(0).Put(ctx, key, body, backends.IfAbsent())
				if c := backends.ClassOf(err); round > 0 && (c == backends.Exists || c == backends.VersionMismatch) {
					return Failed(Resurrected, "create number %d, after a delete, was refused: %v", round+1, err)
				} else if err != nil {
					e.Stop(err, "creating after a delete")
				}
				e.Expect(ctx, 1, key, body, "after a create that followed a delete")
				e.Delete(ctx, key)
			}
			return Passed(2)
		},
	},
	{
		ID: "put.if-absent.keys", Group: createGroup, Feature: Create, Level: Must, Modes: fencing,
		Promise: "Creates are refused on existing keys of every shape.",
		Why:     "Servers take different paths for nested, long and encoded keys.",
		How:     "Creates twice under nested, spaced, percent-encoded, non-ASCII and long keys.",
		Failing: "on some keys the condition is ignored, so logs with such names are not fenced",
		Run: func(ctx context.Context, e *Env) Finding {
			names := []string{"deep/er/and/deeper/still", "with space", "per%20cent%2Fslash", "plus+and&amp=eq", "grün/雪/😀", longName(200)}
			for _, name := range names {
				e.refusedCreate(ctx, refusal{key: name, body: e.BodyOf(1, 1, smallBody)})
			}
			return Passed(len(names))
		},
	},
	{
		ID: "put.if-absent.race", Group: createGroup, Feature: Create, Level: Must, Modes: fencing,
		Promise: "Of many concurrent creates of one key exactly one succeeds, and its bytes stay.",
		Why:     "It decides who owns a slot of the log.",
		How:     "Writers on connections of their own create one key at the same moment, round after round; then the bytes are read.",
		Failing: "two writers are told that they own the same slot, so one of them loses entries that it acknowledged",
		Seen:    "SeaweedFS before 4.18 (#8800), versitygw before 1.8 (#2288), floci (#1328)",
		Run: func(ctx context.Context, e *Env) Finding {
			return e.rounds(ctx, e.Profile.Rounds, func(round int) judgement {
				key := e.Key("race")
				return e.judgeRace(ctx, key, nil, e.race(ctx, key, e.Profile.Writers, round, smallBody, backends.IfAbsent()))
			})
		},
	},
	{
		ID: "put.if-absent.race.slow-body", Group: createGroup, Feature: Create, Level: Must, Modes: fencing,
		Promise: "Exactly one create succeeds also when all of them are nearly sent before the first ends.",
		Why:     "A store that checks before it has the body lets every writer pass the check.",
		How:     "Every writer sends all but the last KiB; then all finish together.",
		Failing: "slow writers pass the check together and all win, so entries are overwritten under load",
		Seen:    "SeaweedFS before 4.18, versitygw before 1.8",
		Needs:   Needs{Hold: true},
		Run: func(ctx context.Context, e *Env) Finding {
			return e.rounds(ctx, min(e.Profile.Rounds, 10), func(round int) judgement {
				key := e.Key("slow")
				return e.judgeRace(ctx, key, nil, e.heldRace(ctx, key, min(e.Profile.Writers, 16), round, slowBody, slowKeep, backends.IfAbsent()))
			})
		},
	},
	{
		ID: "put.if-absent.race.endpoints", Group: createGroup, Feature: Create, Level: Must, Modes: fencing,
		Promise: "Exactly one create succeeds also when the writers use different endpoints.",
		Why:     "Locks often live inside one gateway process.",
		How:     "As the race, with the writers spread over all endpoints that were given.",
		Failing: "writers on different endpoints both win, so entries are overwritten",
		Seen:    "RustFS before 1.0.0-alpha.82 (#1659)",
		Needs:   Needs{Endpoints: true},
		Run: func(ctx context.Context, e *Env) Finding {
			return e.rounds(ctx, e.Profile.Rounds, func(round int) judgement {
				key := e.Key("endpoints")
				return e.judgeRace(ctx, key, nil, e.race(ctx, key, max(e.Profile.Writers, len(e.run.target.More)+1), round, smallBody, backends.IfAbsent()))
			})
		},
	},
	{
		ID: "put.if-absent.race.processes", Group: createGroup, Feature: Create, Level: Must, Modes: fencing,
		Promise: "Exactly one create succeeds also when the writers are different processes.",
		Why:     "A mutex inside one process does not stop another one.",
		How:     "Several processes of the operating system create one key at the same moment.",
		Failing: "two processes both win, so one overwrites the other's log",
		Seen:    "go-cloud fileblob",
		Needs:   Needs{Processes: true},
		Run:     raceProcesses,
	},
	{
		ID: "put.if-absent.race.large", Group: createGroup, Feature: Create, Level: Must, Modes: fencing,
		Promise: "Exactly one create succeeds also with large bodies.",
		Why:     "Publishing a large object takes longer, which widens every gap.",
		How:     "As the race, with bodies of 1 MiB.",
		Failing: "large concurrent creates both win, so big blocks are overwritten",
		Run: func(ctx context.Context, e *Env) Finding {
			return e.rounds(ctx, min(e.Profile.Rounds, 5), func(round int) judgement {
				key := e.Key("large")
				return e.judgeRace(ctx, key, nil, e.race(ctx, key, 4, round, 1<<20, backends.IfAbsent()))
			})
		},
	},
	{
		ID: "put.if-absent.race.loser-invisible", Group: createGroup, Feature: Create, Level: Must, Modes: fencing,
		Promise: "Nobody ever reads the bytes of a writer that lost.",
		Why:     "A reader that replayed them would apply entries that were never acknowledged.",
		How:     "Readers poll the key while writers race for it; all that they saw must be nothing or the one winner.",
		Failing: "readers see entries of a writer that lost, which were never acknowledged",
		Run:     raceLoserInvisible,
	},
	{
		ID: "put.if-absent.race.settles", Group: createGroup, Feature: Create, Level: Must, Modes: fencing,
		Promise: "After a race every loser gets a final answer when it tries again.",
		Why:     "A writer that is told to retry for ever cannot find out that it lost.",
		How:     "Races for a key; once it is quiet every loser creates again and must hear that the object exists.",
		Failing: "losing writers never get an answer, so they cannot stop",
		Run:     raceSettles,
	},
	{
		ID: "put.if-absent.held-open", Group: createGroup, Feature: Create, Level: Must, Modes: fencing,
		Promise: "A create that was begun first and finished last does not overwrite the one that finished first.",
		Why:     "It is the writer that stalled, lost its log to a successor, and wakes up: the core risk of a log.",
		How:     "Holds a create open with its last bytes missing, creates the key through another connection, lets the first one finish; whoever was acknowledged must be the only one, and the bytes must be theirs.",
		Failing: "a stalled writer that wakes up overwrites its successor, so acknowledged entries are lost",
		Seen:    "stores that check the condition before the body: SeaweedFS before 4.18, versitygw before 1.8",
		Needs:   Needs{Hold: true},
		Run: func(ctx context.Context, e *Env) Finding {
			return e.heldOpen(ctx, nil, func(backends.Version) backends.Condition { return backends.IfAbsent() })
		},
	},
	{
		ID: "put.if-absent.code", Group: createGroup, Feature: Create, Level: Info,
		Promise: "The store's way of saying \"exists\" is recorded.",
		Why:     "Adapters map it; operators meet it in logs.",
		How:     "Creates over an existing object and records code and status.",
		Failing: "nothing",
		Run: func(ctx context.Context, e *Env) Finding {
			err := e.refusedCreate(ctx, refusal{body: e.BodyOf(1, 1, smallBody)})
			e.Note("exists_code", codeOf(err))
			return Passed(1).With("exists is said as %s", codeOf(err))
		},
	},
}

// refusal describes a create that must be refused.
type refusal struct {
	key    string // empty: a fresh one
	body   []byte // of the first writer
	second []byte // of the one to be refused; nil: a fresh one
	plain  bool   // the first writer puts plainly
	twice  bool   // and then again
}

// refusedCreate lets a second writer create over an existing object and ends
// the check unless it is refused without a trace. It returns the refusal.
func (e *Env) refusedCreate(ctx context.Context, r refusal) error {
	key := r.key
	if key == "" {
		key = e.Key("exists")
	}
	second := r.second
	if second == nil {
		second = e.BodyOf(2, 1, smallBody)
	}
	if r.plain || len(r.body) < bodyHead {
		// A body without a nonce cannot be settled when its answer is lost.
		e.Overwrite(ctx, key, r.body)
	} else {
		e.Create(ctx, key, r.body)
	}
	if r.twice {
		e.Overwrite(ctx, key, r.body)
	}
	before, found := e.Head(ctx, 0, key)
	if !found {
		e.End(Failed(LostUpdate, "an object that was just acknowledged is not there"))
	}
	err := e.Ask(ctx, "creating over an existing object", func(int) error {
		_, err := e.Raw(1).Put(ctx, key, second, backends.IfAbsent())
		return err
	})
	e.Evidence("create of %d bytes over %q: %s", len(second), key, answerText(err))
	got, after, found := e.Read(ctx, 0, key)
	switch {
	case !found:
		e.End(Failed(LostUpdate, "a create over an existing object removed it"))
	case err == nil && bytes.Equal(got, r.body):
		e.End(Failed(SilentlyIgnored, "a create over an existing object was acknowledged, although the first writer's bytes are still there"))
	case !bytes.Equal(got, r.body):
		e.End(Failed(SilentlyIgnored, "a create over an existing object replaced it; the second writer was answered: %s", answerText(err)))
	case backends.ClassOf(err) == backends.Unsupported:
		e.End(Refused("conditional creates are refused: %v", err))
	case after.Version != before.Version:
		e.End(Failed(Other, "a refused create changed the object's version from %s to %s", before.Version, after.Version))
	}
	if err == nil {
		panic("conformance: an acknowledged create was judged above")
	}
	return err
}

// heldOpen holds a conditional put A open, lets B do the same put, and judges
// by who was acknowledged and whose bytes are there; then once more with A
// finishing before B begins to end. Whether B is answered while A is open, or
// waits for it, is the store's affair.
func (e *Env) heldOpen(ctx context.Context, before func() (string, []byte, backends.Version), cond func(backends.Version) backends.Condition) Finding {
	prepare := func() (key string, old []byte, c backends.Condition) {
		if before == nil {
			return e.Key("held"), nil, cond("")
		}
		key, old, v := before()
		return key, old, cond(v)
	}
	return e.rounds(ctx, 2, func(round int) judgement {
		key, old, c := prepare()
		a := racer{who: "the writer that stalled", body: e.BodyOf(1, round, slowBody)}
		b := racer{who: "its successor", body: e.BodyOf(2, round, slowBody)}
		held := e.Begin(ctx, key, a.body, c, missing)
		var wg sync.WaitGroup
		answered := make(chan struct{})
		wg.Go(func() {
			defer close(answered)
			b.version, b.err = e.Raw(1).Put(ctx, key, b.body, c)
		})
		// A store may let B wait for A (MinIO does). Give B time to be answered
		// first, which is the case that matters, but do not insist.
		e.await(ctx, answered, e.patience())
		a.version, a.err = held.Finish(ctx)
		wg.Wait()
		j := e.judgeRace(ctx, key, old, []racer{a, b})
		if j.failure != nil && j.failure.Fault == MultipleWinners {
			f := Failed(MultipleWinners, "the writer that stalled and its successor were both told that they won")
			j.failure = &f
		}
		return j
	})
}

// patience is how long to wait for an answer that may depend on the put that is
// held open.
func (e *Env) patience() time.Duration { return 700 * time.Millisecond }

// await waits for done, for at most d.
func (e *Env) await(ctx context.Context, done <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-ctx.Done():
	}
}

// raceProcesses is the race between processes of the operating system.
func raceProcesses(ctx context.Context, e *Env) Finding {
	n := min(e.Profile.Writers, 4)
	procs := make([]*Process, n)
	for i := range procs {
		p, err := e.run.target.Process(ctx)
		if err != nil {
			e.End(Finding{Outcome: Errored, Detail: err.Error()})
		}
		defer p.Close()
		procs[i] = p
	}
	return e.rounds(ctx, e.Profile.Rounds, func(round int) judgement {
		key := e.Key("processes")
		racers := make([]racer, n)
		for i := range racers {
			racers[i] = racer{who: fmt.Sprintf("process %d", i+1), body: e.BodyOf(i+1, round, smallBody)}
		}
		Together(n, func(i int) {
			r := &racers[i]
			r.version, r.err = e.scoped(putOnly{put: procs[i].Put}).Put(ctx, key, r.body, backends.IfAbsent())
		})
		return e.judgeRace(ctx, key, nil, racers)
	})
}

// putOnly is a Store of which only Put is called.
type putOnly struct {
	backends.Store // nil
	put            func(ctx context.Context, key string, body []byte, cond backends.Condition) (backends.Version, error)
}

func (s putOnly) Put(ctx context.Context, key string, body []byte, cond backends.Condition) (backends.Version, error) {
	return s.put(ctx, key, body, cond)
}

// raceLoserInvisible polls the key during races.
func raceLoserInvisible(ctx context.Context, e *Env) Finding {
	const readers = 4
	return e.rounds(ctx, min(e.Profile.Rounds, 5), func(round int) judgement {
		key := e.Key("watched")
		seen := make([][][]byte, readers)
		var watch sync.WaitGroup
		for i := range readers {
			watch.Go(func() {
				for range e.Profile.Polls {
					// A read that failed saw nothing; what counts is what was seen.
					if got, _, err := backends.ReadAll(ctx, e.Raw(e.Profile.Writers+i), key, backends.All()); err == nil {
						seen[i] = append(seen[i], got)
					}
				}
			})
		}
		racers := e.race(ctx, key, min(e.Profile.Writers, 8), round, slowBody, backends.IfAbsent())
		watch.Wait()
		j := e.judgeRace(ctx, key, nil, racers)
		if j.failure != nil {
			return j
		}
		final, _, found := e.Read(ctx, 0, key)
		for i, reads := range seen {
			for _, got := range reads {
				if found && bytes.Equal(got, final) {
					continue
				}
				f := Failed(TornRead, "reader %d saw %s during the race, afterwards the key holds %s", i+1, holds(got, true, racers), holds(final, found, racers))
				j.failure = &f
				return j
			}
		}
		return j
	})
}

// raceSettles lets every loser of a race ask again.
func raceSettles(ctx context.Context, e *Env) Finding {
	return e.rounds(ctx, min(e.Profile.Rounds, 3), func(round int) judgement {
		key := e.Key("settles")
		racers := e.race(ctx, key, min(e.Profile.Writers, 8), round, smallBody, backends.IfAbsent())
		j := e.judgeRace(ctx, key, nil, racers)
		if j.failure != nil || !j.decided {
			return j
		}
		final, _, _ := e.Read(ctx, 0, key)
		for i, r := range racers {
			if bytes.Equal(r.body, final) {
				continue
			}
			conflicts := 0
			var err error
			for try := range 10 {
				_, err = e.Raw(i).Put(ctx, key, r.body, backends.IfAbsent())
				if backends.ClassOf(err) != backends.Conflict {
					break
				}
				conflicts++
				e.Pause(ctx, e.run.waitAfter(try, nil))
			}
			switch c := backends.ClassOf(err); {
			case c == backends.Exists || c == backends.VersionMismatch:
			case err == nil:
				f := Failed(MultipleWinners, "%s lost the race and won when it tried again, over the winner", r.who)
				return judgement{decided: true, failure: &f}
			case conflicts == 10:
				f := Failed(Other, "%s was told %d times to try again although nobody else writes the key: %v", r.who, conflicts, err)
				return judgement{decided: true, failure: &f}
			default:
				return judgement{} // throttled or lost: decides nothing
			}
		}
		return j
	})
}

// longName is a key component of n bytes.
func longName(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return string(b)
}

// codeOf is what the store said in an error, for the record.
func codeOf(err error) string {
	e, ok := asError(err)
	switch {
	case !ok:
		return "nothing"
	case e.Code == "" && e.Status == 0:
		return e.Class.String()
	case e.Status == 0:
		return e.Code
	default:
		return fmt.Sprintf("%d %s", e.Status, e.Code)
	}
}
