package conformance

import (
	"context"
	"fmt"
	"sync"

	"github.com/woodpecker-wal/woodpecker/backends"
)

const protocolGroup = "protocol"

var protocolChecks = []Check{
	{
		ID: "lin.wal.append-fence", Group: protocolGroup, Feature: Protocol, Level: Must, Modes: fencing,
		Promise: "A log in miniature keeps every acknowledged entry exactly once, through take-overs.",
		Why:     "It is the whole promise, in the log's own terms.",
		How:     "Writers append numbered slots by create-if-absent while others seal them off and go on; afterwards the log is read slot by slot.",
		Failing: "a log on this store loses or repeats acknowledged entries when its writer is replaced",
		Run:     appendFence,
	},
}

// appendFence lets several writers claim the slots of one log in turn. A slot
// is owned by whoever created it; a writer that finds a slot taken moves on to
// the next. Whatever was acknowledged must be where it was acknowledged, and no
// slot may be missing below the last one.
func appendFence(ctx context.Context, e *Env) Finding {
	writers, each := 4, max(e.Profile.Rounds*2, 6)
	base := e.Key("log")
	slot := func(n int) string { return fmt.Sprintf("%s/%016x", base, n) }
	acked := map[int][]byte{}
	open := map[int][][]byte{}
	var mu sync.Mutex
	var refusal, twice error
	Each(writers, func(w int) {
		n := 0
		for i := range each {
			body := e.BodyOf(w+1, i+1, 256)
			for tries := 0; tries < 100*each && ctx.Err() == nil; tries++ {
				_, err := e.Raw(w).Put(ctx, slot(n), body, backends.IfAbsent())
				if err == nil {
					mu.Lock()
					if acked[n] != nil {
						twice = fmt.Errorf("slot %d was acknowledged to two writers", n)
					}
					acked[n] = body
					mu.Unlock()
					n++
					break
				}
				switch backends.ClassOf(err) {
				case backends.Exists, backends.VersionMismatch:
					n++
				case backends.Unsupported:
					mu.Lock()
					refusal = err
					mu.Unlock()
					return
				case backends.Ambiguous, backends.Throttled:
					// The entry may be in this slot; go on with another one.
					mu.Lock()
					open[n] = append(open[n], body)
					mu.Unlock()
					body = e.BodyOf(w+1, i+1, 256)
					e.Pause(ctx, e.run.waitAfter(0, err))
				default:
					e.Pause(ctx, e.run.waitAfter(0, err))
				}
			}
		}
	})
	if refusal != nil {
		return Refused("conditional creates are refused: %v", refusal)
	}
	if twice != nil {
		return Failed(MultipleWinners, "%v", twice)
	}
	last := -1
	for n := range acked {
		last = max(last, n)
	}
	if len(acked) < writers {
		return Undecided("only %d appends were acknowledged", len(acked))
	}
	for n := range last + 1 {
		got, _, found := e.Read(ctx, n%4, slot(n))
		switch want := acked[n]; {
		case want != nil && !found:
			return Failed(LostUpdate, "slot %d was acknowledged and is missing", n)
		case want != nil && differ(got, want) != "":
			return Failed(LostUpdate, "slot %d holds other bytes than those that were acknowledged", n)
		case want == nil && found && len(open[n]) == 0:
			return Failed(Other, "slot %d holds an entry that nobody was acknowledged for", n)
		case !found:
			return Failed(LostUpdate, "slot %d is missing below slot %d, although a writer was told that it exists", n, last)
		}
	}
	return Passed(len(acked))
}
