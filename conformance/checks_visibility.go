package conformance

import (
	"bytes"
	"context"
	"time"

	"github.com/woodpecker-wal/woodpecker/backends"
)

const visibilityGroup = "visibility"

var visibilityChecks = []Check{
	{
		ID: "vis.create.atomic", Group: visibilityGroup, Feature: Visibility, Level: Must,
		Promise: "An object that is being written is not there until it is complete.",
		Why:     "Readers take the presence of a slot for its commit.",
		How:     "Sends a large put in pieces while other connections get, head and read ranges; all must see nothing or all of it.",
		Failing: "readers see half-written slots, so torn entries are applied",
		Seen:    "file gateways without rename; rclone serve s3",
		Needs:   Needs{Hold: true},
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("growing")
			body := e.BodyOf(1, 1, 4<<20)
			held := e.Begin(ctx, key, body, backends.Always(), len(body)/2)
			seen := 0
			look := func(when string) {
				e.whole(ctx, 1, key, nil, body, when)
				if info, found := e.Head(ctx, 2, key); found && info.Size != int64(len(body)) {
					e.End(Failed(TornRead, "%s, head tells %d of %d bytes", when, info.Size, len(body)))
				}
				seen++
			}
			for i := range e.Profile.Polls {
				look("while the object was being written")
				if i == e.Profile.Polls/2 {
					held.Advance(missing)
				}
				e.Pause(ctx, 5*time.Millisecond)
			}
			_, err := held.Finish(ctx)
			if err != nil && decided(err) {
				e.Stop(err, "finishing a put that was sent in pieces")
			}
			if err != nil {
				return Undecided("finishing a put that was sent in pieces: %v", err)
			}
			e.Expect(ctx, 1, key, body, "after a put that was sent in pieces")
			return Passed(seen)
		},
	},
	{
		ID: "vis.list.atomic", Group: visibilityGroup, Feature: Visibility, Level: Must,
		Promise: "A listing shows an object that is being written not at all, or with its full size.",
		Why:     "Recovery trusts what is listed.",
		How:     "Lists while a large put is held open, and after it.",
		Failing: "listings show half-written slots, so recovery takes them for complete",
		Needs:   Needs{Hold: true},
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("growing")
			body := e.BodyOf(1, 1, 1<<20)
			held := e.Begin(ctx, key, body, backends.Always(), len(body)/2)
			for range e.Profile.Polls {
				for _, o := range e.List(ctx, 1, key, "", 10).Objects {
					if o.Size != int64(len(body)) {
						return Failed(TornRead, "an object of %d bytes that was still being written is listed with %d", len(body), o.Size)
					}
				}
				e.Pause(ctx, 5*time.Millisecond)
			}
			if _, err := held.Finish(ctx); err != nil {
				e.Stop(err, "finishing a put that was held open")
			}
			if page := e.List(ctx, 1, key, "", 10); len(page.Objects) != 1 || page.Objects[0].Size != int64(len(body)) {
				return Failed(StaleList, "a complete object is not listed as it is")
			}
			return Passed(e.Profile.Polls)
		},
	},
	{
		ID: "vis.overwrite.atomic", Group: visibilityGroup, Feature: Visibility, Level: Must, Modes: swapping,
		Promise: "While an object is overwritten readers see the old or the new bytes, whole.",
		Why:     "A head that is torn or missing for a moment stops every reader.",
		How:     "Readers read without pause while the object is overwritten again and again.",
		Failing: "readers see a mix of two heads, or none",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("head")
			e.Overwrite(ctx, key, e.BodyOf(1, 1, 64<<10))
			const readers = 4
			trouble := make([]string, readers+1)
			Each(readers+1, func(i int) {
				for n := range e.Profile.Polls {
					if i == readers {
						// An overwrite that failed is read as well as one that did not.
						_, _ = e.Steady(0).Put(ctx, key, e.BodyOf(1, n+2, 64<<10), backends.Always())
						continue
					}
					got, _, err := backends.ReadAll(ctx, e.Raw(1+i), key, backends.All())
					if backends.ClassOf(err) == backends.NotFound {
						trouble[i] = "the object was missing while it was overwritten"
					}
					if err != nil {
						continue
					}
					if _, err := readBody(got); err != nil {
						trouble[i] = "a reader saw " + err.Error()
					}
				}
			})
			for _, t := range trouble {
				if t != "" {
					return Failed(TornRead, "%s", t)
				}
			}
			return Passed(readers * e.Profile.Polls)
		},
	},
	{
		ID: "vis.aborted-put", Group: visibilityGroup, Feature: Visibility, Level: Must,
		Promise: "A put that was cut off never becomes visible.",
		Why:     "A torn append would be replayed as if it had been committed.",
		How:     "Sends all but the last 512 bytes, cuts the connection or kills the process, and looks for the object for a while.",
		Failing: "the bytes of a writer that died in the middle appear as an object, so torn entries are replayed",
		Seen:    "versitygw (#2414)",
		Needs:   Needs{Hold: true},
		Run: func(ctx context.Context, e *Env) Finding {
			const n = 3
			var keys []string
			for i := range n {
				keys = append(keys, e.Key("aborted"))
				e.Begin(ctx, keys[i], e.BodyOf(1, i+1, slowBody), backends.IfAbsent(), missing).Abandon()
			}
			for range e.Profile.Polls {
				for _, key := range keys {
					if got, _, found := e.Read(ctx, 1, key); found {
						return Failed(TornRead, "a put that was cut off before its end is visible, with %d of %d bytes", len(got), slowBody).Of(n, 1)
					}
				}
				e.Pause(ctx, 20*time.Millisecond)
			}
			for _, key := range keys {
				if page := e.List(ctx, 1, key, "", 10); len(page.Objects) > 0 {
					return Failed(TornRead, "a put that was cut off is listed").Of(n, 1)
				}
			}
			return Passed(n)
		},
	},
	{
		ID: "vis.aborted-overwrite", Group: visibilityGroup, Feature: Visibility, Level: Must, Modes: swapping,
		Promise: "An overwrite that was cut off leaves the old object as it was.",
		Why:     "A head must survive the crash of a writer.",
		How:     "Cuts an overwrite off before its end and reads the object.",
		Failing: "a writer that dies in the middle of an update destroys the head",
		Seen:    "rclone serve s3 (rclone#9718)",
		Needs:   Needs{Hold: true},
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("kept")
			old := e.BodyOf(1, 1, slowBody)
			e.Overwrite(ctx, key, old)
			e.Begin(ctx, key, e.BodyOf(1, 2, slowBody), backends.Always(), missing).Abandon()
			for range e.Profile.Polls {
				e.Expect(ctx, 1, key, old, "after an overwrite that was cut off")
				e.Pause(ctx, 10*time.Millisecond)
			}
			return Passed(1)
		},
	},
	{
		ID: "vis.aborted-then-create", Group: visibilityGroup, Feature: Visibility, Level: Must, Modes: fencing,
		Promise: "A create that was cut off does not block the key.",
		Why:     "The successor of a writer that died must be able to take the slot.",
		How:     "Cuts a create off before its end, then creates the key.",
		Failing: "a writer that died in the middle blocks its slot for ever",
		Needs:   Needs{Hold: true},
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("free")
			e.Begin(ctx, key, e.BodyOf(1, 1, slowBody), backends.IfAbsent(), missing).Abandon()
			body := e.BodyOf(2, 1, slowBody)
			_, err := e.Steady(1).Put(ctx, key, body, backends.IfAbsent())
			if c := backends.ClassOf(err); c == backends.Exists || c == backends.VersionMismatch {
				return Failed(Other, "a create after one that was cut off was refused: %v", err)
			} else if err != nil {
				e.Stop(err, "creating after a create that was cut off")
			}
			e.Expect(ctx, 0, key, body, "after a create that followed one that was cut off")
			return Passed(1)
		},
	},
	{
		ID: "vis.refused-has-no-effect", Group: visibilityGroup, Feature: Create, Level: Must, Modes: fencing,
		Promise: "A refused create leaves no trace: bytes, size, version and time stay.",
		Why:     "A loser must not disturb the winner's slot.",
		How:     "Creates over an object several times and compares everything that head tells.",
		Failing: "a refused write changes the object, so a loser disturbs the winner",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("untouched")
			body := e.BodyOf(1, 1, smallBody)
			e.Create(ctx, key, body)
			before, _ := e.Head(ctx, 0, key)
			for i := range 3 {
				err := e.Ask(ctx, "creating over an existing object", func(int) error {
					_, err := e.Raw(1).Put(ctx, key, e.BodyOf(2, i+1, smallBody), backends.IfAbsent())
					return err
				})
				if backends.ClassOf(err) == backends.Unsupported {
					return Refused("conditional creates are refused: %v", err)
				}
			}
			e.Expect(ctx, 0, key, body, "after refused creates")
			after, _ := e.Head(ctx, 0, key)
			if after.Size != before.Size || after.Version != before.Version || !after.ModTime.Equal(before.ModTime) {
				return Failed(Other, "after refused creates head tells %d bytes, version %s, %v; before it told %d, %s, %v",
					after.Size, after.Version, after.ModTime, before.Size, before.Version, before.ModTime)
			}
			return Passed(3)
		},
	},
}

// whole ends the check unless key is absent or holds one of the bodies, whole.
func (e *Env) whole(ctx context.Context, client int, key string, old, body []byte, when string) {
	got, _, found := e.Read(ctx, client, key)
	if found && !bytes.Equal(got, body) && (old == nil || !bytes.Equal(got, old)) {
		e.End(Failed(TornRead, "%s, a reader saw %d of %d bytes", when, len(got), len(body)))
	}
}
