package conformance

import (
	"context"
	"errors"
)

var cleanChecks = []Check{
	{
		ID: "clean.prefix", Group: cleanGroup, Feature: Cleanup, Level: Must,
		Promise: "After the run nothing of it is left.",
		Why:     "The probe is run on buckets in use, and a log must be able to remove what it wrote.",
		How:     "Deletes everything below the run's prefix and lists it until it is empty.",
		Failing: "what was deleted is still there, so a log can never be removed",
		Run: func(_ context.Context, e *Env) Finding {
			switch res := e.run.cleanup; {
			case errors.Is(res.err, errKept):
				return NotApplicable("%v", res.err)
			case errors.Is(res.err, errStillListed):
				return Failed(Leaked, "%d objects are left: %v", len(res.Leftovers), res.err)
			case len(res.Leftovers) > 0 && res.err != nil:
				return Undecided("%d objects or more are left: %v", len(res.Leftovers), res.err)
			case len(res.Leftovers) > 0:
				return Failed(Leaked, "%d objects are left", len(res.Leftovers))
			case res.err != nil:
				return Undecided("%v", res.err)
			default:
				return Passed(res.Deleted).With("%d objects removed", res.Deleted)
			}
		},
	},
	{
		ID: "clean.scope", Group: cleanGroup, Feature: Cleanup, Level: Must,
		Promise: "Every request of the run stayed below its own prefix.",
		Why:     "The probe must never touch data that is not its own.",
		How:     "Audits the keys of all requests that were sent.",
		Failing: "the probe touched keys outside its prefix",
		Run: func(_ context.Context, e *Env) Finding {
			if s := e.run.account.strayKeys(); len(s) > 0 {
				return Finding{Outcome: Errored, Detail: "a request left the run's prefix: " + s[0]}
			}
			return Passed(int(e.run.account.tally.traffic().Requests.Total()))
		},
	},
}
