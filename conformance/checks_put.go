package conformance

import (
	"context"

	"github.com/woodpecker-wal/woodpecker/backends"
)

const putGroup = "put-get"

var putChecks = []Check{
	{
		ID: "put.roundtrip", Group: putGroup, Feature: PutGet, Level: Must,
		Promise: "What was put is what is read.",
		Why:     "It is the least that a log asks for.",
		How:     "Puts random bytes of several sizes and compares every byte, over another connection.",
		Failing: "entries come back with other bytes",
		Run: func(ctx context.Context, e *Env) Finding {
			sizes := []int{1, smallBody, 256 << 10, 2 << 20}
			for _, size := range sizes {
				key := e.Key("roundtrip")
				body := e.Body(size)
				e.Overwrite(ctx, key, body)
				e.Expect(ctx, 1, key, body, "after an acknowledged put")
			}
			return Passed(len(sizes))
		},
	},
	{
		ID: "put.empty", Group: putGroup, Feature: PutGet, Level: Should,
		Promise: "An object may be empty.",
		Why:     "Fences and markers may carry no bytes.",
		How:     "Puts an object of 0 bytes and asks for it by get, head and list.",
		Failing: "empty objects are not kept",
		Seen:    "a Ceph RADOS driver (JuiceFS#3881)",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("empty")
			e.Overwrite(ctx, key, nil)
			got, info, found := e.Read(ctx, 1, key)
			head, headFound := e.Head(ctx, 1, key)
			page := e.List(ctx, 1, key, "", 10)
			switch {
			case !found || !headFound || len(page.Objects) != 1:
				return Failed(Other, "an empty object was acknowledged and is not there (get %t, head %t, listed %d times)", found, headFound, len(page.Objects))
			case len(got) != 0 || info.Size != 0 || head.Size != 0 || page.Objects[0].Size != 0:
				return Failed(Corruption, "an empty object has %d bytes by get, %d by head, %d by list", len(got), head.Size, page.Objects[0].Size)
			}
			return Passed(1)
		},
	},
	{
		ID: "put.overwrite", Group: putGroup, Feature: PutGet, Level: Must,
		Promise: "A plain put replaces the object and its version.",
		Why:     "Registers and scratch objects are rewritten.",
		How:     "Puts other bytes over an object; bytes and version must be the new ones.",
		Failing: "overwritten objects keep old bytes or an old version",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("overwrite")
			v1 := e.Overwrite(ctx, key, e.BodyOf(1, 1, smallBody))
			second := e.BodyOf(1, 2, smallBody)
			v2 := e.Overwrite(ctx, key, second)
			e.Expect(ctx, 1, key, second, "after an acknowledged overwrite")
			if v1 != "" && v1 == v2 {
				return Failed(LostUpdate, "two states with different bytes have the same version %s", v1)
			}
			return Passed(1)
		},
	},
	{
		ID: "put.token.present", Group: putGroup, Feature: PutGet, Level: Must, Modes: fencing,
		Promise: "Put, head and get give the object's version.",
		Why:     "Without a version a lost answer cannot be settled and nothing can be compared.",
		How:     "Puts an object and looks for a version in each answer.",
		Failing: "objects have no version, so lost answers cannot be settled",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("token")
			put := e.Create(ctx, key, e.Body(smallBody))
			head, _ := e.Head(ctx, 1, key)
			_, get, _ := e.Read(ctx, 1, key)
			if put == "" || head.Version == "" || get.Version == "" {
				return Failed(Other, "no version from: put %q, head %q, get %q", put, head.Version, get.Version)
			}
			return Passed(1)
		},
	},
	{
		ID: "put.token.agree", Group: putGroup, Feature: Swap, Level: Must, Modes: swapping,
		Promise: "Put, head, get and list give the same version, byte for byte.",
		Why:     "A swap compares it literally.",
		How:     "Compares the four versions of one object.",
		Failing: "the version depends on how one asks, so valid swaps are refused",
		Seen:    "S3Mock (#2665), Ceph RGW (quotes)",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("token")
			put := e.Create(ctx, key, e.Body(smallBody))
			head, _ := e.Head(ctx, 1, key)
			_, get, _ := e.Read(ctx, 1, key)
			page := e.List(ctx, 1, key, "", 10)
			if len(page.Objects) != 1 {
				return Failed(StaleList, "an object that was just acknowledged is listed %d times", len(page.Objects))
			}
			list := page.Objects[0].Version
			if put != head.Version || put != get.Version || (list != "" && put != list) {
				return Failed(Other, "versions differ: put %s, head %s, get %s, list %s", put, head.Version, get.Version, list)
			}
			return Passed(1)
		},
	},
	{
		ID: "put.length.exact", Group: putGroup, Feature: PutGet, Level: Must,
		Promise: "The size that the store tells is the number of bytes that were put.",
		Why:     "Frames are found from the object's size.",
		How:     "Puts objects of odd sizes and compares the sizes of head and get.",
		Failing: "objects have another size than what was written, so frames are not found",
		Run: func(ctx context.Context, e *Env) Finding {
			sizes := []int{1, 47, 1023, 65537, 1<<20 + 1}
			for _, size := range sizes {
				key := e.Key("length")
				e.Overwrite(ctx, key, e.Body(size))
				head, found := e.Head(ctx, 1, key)
				got, _, _ := e.Read(ctx, 1, key)
				if !found || head.Size != int64(size) || len(got) != size {
					return Failed(Corruption, "%d bytes were put; head tells %d, get gives %d", size, head.Size, len(got))
				}
			}
			return Passed(len(sizes))
		},
	},
	{
		ID: "put.ack.durable-view", Group: putGroup, Feature: Freshness, Level: Must,
		Promise: "From the moment of the acknowledgement every reader sees the object.",
		Why:     "An acknowledged append must be readable.",
		How:     "Reads an object over several connections, many times, right after its put was acknowledged.",
		Failing: "acknowledged entries are not yet, or not any more, to be read",
		Seen:    "MinIO on NFS (InfluxDB 3 documentation)",
		Run: func(ctx context.Context, e *Env) Finding {
			n := 0
			for i := range 3 {
				key := e.Key("view")
				body := e.BodyOf(1, i+1, smallBody)
				e.Create(ctx, key, body)
				for j := range e.Profile.Trials {
					e.Expect(ctx, j%4, key, body, "right after an acknowledged put")
					n++
				}
			}
			return Passed(n)
		},
	},
	{
		ID: "get.missing", Group: putGroup, Feature: Errors, Level: Must,
		Promise: "Asking for an object that is not there is answered with not-found, by get, head and ranged get.",
		Why:     "The end of the log is found by asking for the next slot.",
		How:     "Asks for a fresh key in each way.",
		Failing: "a missing slot cannot be told from a failure, so readers never find the end of the log",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("missing")
			for name, r := range map[string]backends.Range{"get": backends.All(), "ranged get": backends.Span(0, 10)} {
				_, _, err := e.ReadRange(ctx, 0, key, r)
				if backends.ClassOf(err) != backends.NotFound {
					return Failed(WrongClass, "%s of a missing object: %s", name, answerText(err))
				}
			}
			err := e.Ask(ctx, "head of a missing object", func(int) error {
				_, err := e.Raw(0).Head(ctx, key)
				return err
			})
			if backends.ClassOf(err) != backends.NotFound {
				return Failed(WrongClass, "head of a missing object: %s", answerText(err))
			}
			return Passed(3)
		},
	},
	{
		ID: "get.negative-cache", Group: putGroup, Feature: Freshness, Level: Must,
		Promise: "A key that was asked for before it existed is found once it does.",
		Why:     "Readers at the tail ask for the next slot again and again until it is there.",
		How:     "Asks for missing keys over several connections, creates them, and reads them at once.",
		Failing: "the store remembers that a slot was missing, so readers at the tail do not see new entries",
		Seen:    "caches and CDNs in front of a store",
		Run: func(ctx context.Context, e *Env) Finding {
			n := max(e.Profile.Trials/4, 3)
			for i := range n {
				key := e.Key("polled")
				for j := range 3 {
					if _, _, found := e.Read(ctx, j, key); found {
						return Failed(Other, "a key that was never written holds an object")
					}
				}
				body := e.BodyOf(1, i+1, smallBody)
				e.Create(ctx, key, body)
				for j := range 5 {
					got, _, found := e.Read(ctx, j%3, key)
					if !found {
						return Failed(StaleRead, "an object that was asked for before it existed is still missing after its create was acknowledged").Of(n, 1)
					}
					if d := differ(got, body); d != "" {
						return Failed(Corruption, "right after its create: %s", d)
					}
				}
			}
			return Passed(n)
		},
	},
	{
		ID: "head.equals-get", Group: putGroup, Feature: PutGet, Level: Should,
		Promise: "Head and get tell the same size and version.",
		Why:     "Recovery uses head to save bytes.",
		How:     "Compares both for objects of several sizes.",
		Failing: "head contradicts get",
		Run: func(ctx context.Context, e *Env) Finding {
			sizes := []int{0, 1, smallBody, 1 << 20}
			for _, size := range sizes {
				key := e.Key("head")
				e.Overwrite(ctx, key, e.Body(size))
				head, found := e.Head(ctx, 1, key)
				_, get, found2 := e.Read(ctx, 1, key)
				if !found || !found2 || head.Size != get.Size || head.Version != get.Version {
					return Failed(Other, "head tells %d bytes of version %s, get %d bytes of version %s", head.Size, head.Version, get.Size, get.Version)
				}
			}
			return Passed(len(sizes))
		},
	},
}
