package conformance

import (
	"context"

	"github.com/woodpecker-wal/woodpecker/backends"
)

const errorGroup = "errors"

var errorChecks = []Check{
	{
		ID: "err.not-found.bucket", Group: errorGroup, Feature: Errors, Level: Must,
		Promise: "A missing bucket is not answered like a missing object.",
		Why:     "\"The log is empty\" and \"the address is wrong\" must not look alike.",
		How:     "Reads an object in a bucket that does not exist.",
		Failing: "a wrong address looks like an empty log",
		Run: func(ctx context.Context, e *Env) Finding {
			if e.run.target.Missing == nil {
				return NotApplicable("there is no such thing as a missing bucket here")
			}
			s, err := e.run.target.Missing(ctx)
			if err == nil {
				defer s.Close()
				err = e.Ask(ctx, "reading in a missing bucket", func(int) error {
					_, _, err := backends.ReadAll(ctx, e.scoped(s), "x", backends.All())
					return err
				})
			}
			if c := backends.ClassOf(err); err == nil || c == backends.NotFound {
				return Failed(WrongClass, "reading in a bucket that does not exist: %s", answerText(err))
			}
			return Passed(1).With("a missing bucket is answered with: %v", err)
		},
	},
	{
		ID: "err.precondition.class", Group: errorGroup, Feature: Errors, Level: Must, Modes: fencing,
		Promise: "Every refusal of a conditional put says that it is one.",
		Why:     "A writer that cannot tell \"exists\" from a failure cannot fence itself.",
		How:     "Provokes refusals of creates in sequence and looks at the class of each answer.",
		Failing: "a lost create looks like a failure, so a writer cannot tell that it was fenced",
		Run: func(ctx context.Context, e *Env) Finding {
			for range 3 {
				err := e.refusedCreate(ctx, refusal{body: e.BodyOf(1, 1, smallBody)})
				if backends.ClassOf(err) != backends.Exists {
					return Failed(WrongClass, "a create over an existing object was answered with class %s: %v", backends.ClassOf(err), err)
				}
			}
			return Passed(3)
		},
	},
	{
		ID: "err.unsupported.class", Group: errorGroup, Feature: Errors, Level: Must, Modes: fencing,
		Promise: "What the store does not support is refused for good and not as if it might work later.",
		Why:     "A writer would retry for ever.",
		How:     "Creates and swaps once each; a refusal must be an answer, not a failure that asks for a retry.",
		Failing: "an unsupported request looks like an outage, so writers retry it for ever",
		Seen:    "Backblaze B2, retried 100 times (ZeroFS#95)",
		Run: func(ctx context.Context, e *Env) Finding {
			const tries = 4
			plain := e.Key("plain")
			v := e.Overwrite(ctx, plain, e.Body(100))
			conds := []backends.Condition{backends.IfAbsent()}
			if v != "" {
				conds = append(conds, backends.IfVersion(v))
			}
			for _, cond := range conds {
				failures := 0
				var last error
				for range tries {
					key := plain
					if cond.IsAbsent() {
						key = e.Key("fresh")
					}
					_, err := e.Raw(0).Put(ctx, key, e.Body(100), cond)
					if !decided(err) {
						failures, last = failures+1, err
					}
				}
				// Plain puts through the same connection tell a store that is
				// down from one that hides a refusal.
				if failures < tries {
					continue
				}
				for range tries {
					if _, err := e.Raw(0).Put(ctx, e.Key("plain"), e.Body(100), backends.Always()); err != nil {
						return Undecided("conditional and plain puts fail alike: %v", last)
					}
				}
				return Failed(WrongClass, "plain puts succeed, but every %s put fails as if the store were down: %v", cond, last)
			}
			return Passed(len(conds))
		},
	},
}
