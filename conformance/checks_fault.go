package conformance

import (
	"bytes"
	"context"
	"time"

	"github.com/woodpecker-wal/woodpecker/backends"
)

const faultGroup = "faults"

var faultChecks = []Check{
	{
		ID: "fault.create.resolution", Group: faultGroup, Feature: Create, Level: Must, Modes: fencing,
		Promise: "A create whose writer died can be resolved: it is there whole, or it is not there.",
		Why:     "An append without an answer must become a definite answer.",
		How:     "Breaks creates off at several places, creates the key again with other bytes, and expects exactly one of both, whole, for good.",
		Failing: "an append without an answer is neither there nor gone",
		Needs:   Needs{Hold: true},
		Run: func(ctx context.Context, e *Env) Finding {
			places := []int{missing, slowBody / 2, slowBody - 1}
			for i, keep := range places {
				key := e.Key("unanswered")
				a, b := e.BodyOf(1, i+1, slowBody), e.BodyOf(2, i+1, slowBody)
				e.Begin(ctx, key, a, backends.IfAbsent(), keep).Abandon()
				_, err := e.Steady(1).Put(ctx, key, b, backends.IfAbsent())
				if err != nil && decided(err) && backends.ClassOf(err) != backends.Exists {
					e.Stop(err, "creating after an unanswered create")
				}
				for range 5 {
					got, _, found := e.Read(ctx, 2, key)
					if err == nil && (!found || !bytes.Equal(got, b)) {
						return Failed(LostUpdate, "a create that was acknowledged after an unanswered one holds other bytes")
					}
					if found && !bytes.Equal(got, a) && !bytes.Equal(got, b) {
						return Failed(TornRead, "after an unanswered create the object holds %d bytes of neither writer", len(got))
					}
					e.Pause(ctx, 10*time.Millisecond)
				}
			}
			return Passed(len(places))
		},
	},
}
