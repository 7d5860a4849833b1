package conformance

import (
	"context"

	"github.com/woodpecker-wal/woodpecker/backends"
)

const deleteGroup = "delete"

var deleteChecks = []Check{
	{
		ID: "delete.basic", Group: deleteGroup, Feature: Deletion, Level: Must,
		Promise: "A deleted object is gone from get, head and list.",
		Why:     "Truncation must give the space back and must not be undone.",
		How:     "Deletes objects and asks for them in each way.",
		Failing: "deleted objects stay, so truncated entries come back and cost for ever",
		Run: func(ctx context.Context, e *Env) Finding {
			n := max(e.Profile.Trials/10, 2)
			for range n {
				key := e.Key("doomed")
				e.Overwrite(ctx, key, e.Body(smallBody))
				e.Delete(ctx, key)
				if _, _, found := e.Read(ctx, 1, key); found {
					return Failed(Leaked, "an object is still read after its delete was acknowledged")
				}
				if _, found := e.Head(ctx, 1, key); found {
					return Failed(Leaked, "an object still has a head after its delete was acknowledged")
				}
				if page := e.List(ctx, 1, key, "", 10); len(page.Objects) > 0 {
					return Failed(Leaked, "an object is still listed after its delete was acknowledged")
				}
			}
			return Passed(n)
		},
	},
	{
		ID: "delete.idempotent", Group: deleteGroup, Feature: Deletion, Level: Must,
		Promise: "Deleting what is not there succeeds.",
		Why:     "A delete whose answer was lost is repeated.",
		How:     "Deletes a key that never existed, and a deleted object again.",
		Failing: "a repeated delete fails, so truncation cannot be retried",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("doomed")
			e.Overwrite(ctx, key, e.Body(smallBody))
			e.Delete(ctx, key)
			for what, k := range map[string]string{"an object that was deleted before": key, "a key that never existed": e.Key("never")} {
				err := e.Ask(ctx, "deleting "+what, func(int) error { return e.Raw(0).Delete(ctx, k) })
				if err != nil {
					return Failed(WrongClass, "deleting %s: %v", what, err)
				}
			}
			return Passed(2)
		},
	},
	{
		ID: "delete.only-that", Group: deleteGroup, Feature: Deletion, Level: Must,
		Promise: "A delete removes nothing but its key.",
		Why:     "Truncation must not take what lies beside or below.",
		How:     "Deletes one of several keys with common beginnings and looks at the others.",
		Failing: "a delete takes other objects with it, so entries above the floor are lost",
		Run: func(ctx context.Context, e *Env) Finding {
			base := e.Key("dir")
			bodies := map[string][]byte{}
			for _, name := range []string{"/a", "/a1", "/ab/c", "/b"} {
				bodies[base+name] = e.Body(smallBody)
				e.Overwrite(ctx, base+name, bodies[base+name])
			}
			e.Delete(ctx, base+"/a")
			for key, body := range bodies {
				if key == base+"/a" {
					continue
				}
				got, _, found := e.Read(ctx, 1, key)
				if !found {
					return Failed(LostUpdate, "deleting one object removed another one as well")
				}
				if d := differ(got, body); d != "" {
					return Failed(Corruption, "deleting one object changed another one: %s", d)
				}
			}
			return Passed(3)
		},
	},
	{
		ID: "delete.if-match", Group: deleteGroup, Feature: Deletion, Level: Info,
		Promise: "Whether a conditional delete is honoured, refused or ignored is recorded.",
		Why:     "The log does not use it, because several products ignore the condition.",
		How:     "Deletes with a wrong version, then looks.",
		Failing: "nothing",
		Seen:    "ignored: MinIO community (#21677)",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("conditional")
			v := e.Overwrite(ctx, key, e.Body(smallBody))
			if v == "" {
				v = "none"
			}
			err := e.Ask(ctx, "deleting with a wrong version", func(int) error {
				return backends.DeleteIf(ctx, e.Raw(0), key, garble(v))
			})
			_, _, found := e.Read(ctx, 1, key)
			kind := "honoured"
			switch {
			case backends.ClassOf(err) == backends.Unsupported:
				kind = "unsupported"
			case !found:
				kind = "ignored"
			}
			e.Note("conditional_delete", kind)
			return Passed(1).With("a conditional delete is %s", kind)
		},
	},
}
