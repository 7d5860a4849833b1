package conformance

import (
	"bytes"
	"context"
	"fmt"

	"github.com/woodpecker-wal/woodpecker/backends"
)

// A racer is one writer's single attempt at a conditional put.
type racer struct {
	who     string
	body    []byte
	version backends.Version
	err     error
}

// won, lost: the store answered, and said so. Everything else may have been
// applied or not, and is never scored.
func (r racer) won() bool { return r.err == nil }
func (r racer) lost() bool {
	c := backends.ClassOf(r.err)
	return c == backends.Exists || c == backends.VersionMismatch
}

func (r racer) String() string {
	return fmt.Sprintf("%s: %s", r.who, answerText(r.err))
}

func answerText(err error) string {
	if err == nil {
		return "acknowledged"
	}
	return err.Error()
}

// judgement is what one round of a race showed.
type judgement struct {
	decided bool
	failure *Finding // nil if the store kept its promise
	winner  int      // index of the acknowledged winner, -1 if there is none
}

// judgeRace decides a round after all its writers have ended, from what they
// were told and from the bytes that key holds now. before is what the key held
// at the start, nil for none.
//
// Only answers are scored. Writers whose answer was lost, throttled or refused
// for a concurrent request explain whatever a correct store may do with them;
// a writer that was told it lost but whose bytes are there while nobody was
// acknowledged has been replayed by a gateway, and decides nothing.
func (e *Env) judgeRace(ctx context.Context, key string, before []byte, racers []racer) judgement {
	var winners []int
	classified, open := 0, 0
	for i, r := range racers {
		switch {
		case r.won():
			winners = append(winners, i)
			classified++
		case r.lost():
			classified++
		case backends.ClassOf(r.err) == backends.Unsupported:
			e.End(Refused("a conditional put was refused: %v", r.err))
		default:
			open++
		}
	}
	got, info, found := e.Read(ctx, 1, key)
	fail := func(f Fault, format string, args ...any) judgement {
		for _, r := range racers {
			e.Evidence("%s", r)
		}
		e.Evidence("afterwards the key holds: %s", holds(got, found, racers))
		finding := Failed(f, format, args...)
		return judgement{decided: true, failure: &finding, winner: -1}
	}
	if len(winners) > 1 {
		return fail(MultipleWinners, "%d of %d concurrent writers were told that they won (%s, %s)",
			len(winners), len(racers), racers[winners[0]].who, racers[winners[1]].who)
	}
	if len(winners) == 1 {
		w := racers[winners[0]]
		switch {
		case !found:
			return fail(LostUpdate, "%s was told that it won, but the object is gone", w.who)
		case !bytes.Equal(got, w.body):
			return fail(LostUpdate, "%s was told that it won, but the object holds other bytes (%s)", w.who, holds(got, found, racers))
		case w.version != "" && info.Version != w.version:
			return fail(LostUpdate, "%s won with version %s, but the object has version %s", w.who, w.version, info.Version)
		}
		return judgement{decided: classified > 1 || len(racers) == 1, winner: winners[0]}
	}
	unchanged := found == (before != nil) && bytes.Equal(got, before)
	switch {
	case unchanged && open == 0:
		return fail(Other, "all %d concurrent writers were refused, and nobody won", len(racers))
	case unchanged:
		return judgement{winner: -1}
	case !found:
		return fail(LostUpdate, "the object is gone after a race that deletes nothing")
	}
	for _, r := range racers {
		if bytes.Equal(got, r.body) {
			return judgement{decided: !r.lost() && classified > 1, winner: -1}
		}
	}
	return fail(Corruption, "the object holds bytes that none of the %d writers sent", len(racers))
}

// holds says whose bytes a key holds.
func holds(got []byte, found bool, racers []racer) string {
	if !found {
		return "nothing"
	}
	for _, r := range racers {
		if bytes.Equal(got, r.body) {
			return "the bytes of " + r.who
		}
	}
	if id, err := readBody(got); err != nil {
		return err.Error()
	} else if id.round != 0 || id.writer != 0 {
		return fmt.Sprintf("the bytes of writer %d of round %d", id.writer, id.round)
	}
	return "the bytes from before"
}

// rounds runs a race until enough rounds were decided, and turns them into a
// finding. one returns the judgement of one round on a fresh key.
func (e *Env) rounds(ctx context.Context, want int, one func(round int) judgement) Finding {
	done, undecided := 0, 0
	for round := 1; done < want; round++ {
		j := one(round)
		switch {
		case j.failure != nil:
			return j.failure.Of(done+1, 1)
		case j.decided:
			done++
		default:
			undecided++
		}
		if undecided > 3*want || ctx.Err() != nil {
			return Undecided("only %d of %d rounds decided anything; in the others answers were lost, throttled or refused for concurrency", done, want).Of(done, 0)
		}
	}
	f := Passed(done)
	if undecided > 0 {
		f = f.With("%d more rounds decided nothing", undecided)
	}
	return f
}

// race lets n writers, each on a connection of its own, put at the same moment.
func (e *Env) race(ctx context.Context, key string, n, round, size int, cond backends.Condition) []racer {
	racers := make([]racer, n)
	for i := range racers {
		racers[i] = racer{who: fmt.Sprintf("writer %d", i+1), body: e.BodyOf(i+1, round, size)}
	}
	Together(n, func(i int) {
		r := &racers[i]
		r.version, r.err = e.Raw(i).Put(ctx, key, r.body, cond)
	})
	return racers
}

// heldRace is race in which every writer first sends all but the last bytes.
func (e *Env) heldRace(ctx context.Context, key string, n, round, size, keep int, cond backends.Condition) []racer {
	racers := make([]racer, n)
	held := make([]Held, n)
	for i := range racers {
		racers[i] = racer{who: fmt.Sprintf("writer %d", i+1), body: e.BodyOf(i+1, round, size)}
	}
	// Begin ends the check on trouble, so it stays in this goroutine.
	for i := range held {
		held[i] = e.Begin(ctx, key, racers[i].body, cond, keep)
	}
	Together(n, func(i int) {
		r := &racers[i]
		r.version, r.err = held[i].Finish(ctx)
	})
	return racers
}
