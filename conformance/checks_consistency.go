package conformance

import (
	"context"
	"fmt"
	"sync"

	"github.com/woodpecker-wal/woodpecker/backends"
)

const consistencyGroup = "consistency"

var consistencyChecks = []Check{
	{
		ID: "consist.read-after-create", Group: consistencyGroup, Feature: Freshness, Level: Must,
		Promise: "A created object is read at once, over any connection.",
		Why:     "Readers must see what was acknowledged.",
		How:     "Creates objects and reads each over another connection.",
		Failing: "acknowledged entries cannot be read yet",
		Seen:    "Swift; S3 before December 2020",
		Run: func(ctx context.Context, e *Env) Finding {
			return e.each(func(i int) *Finding {
				key, body := e.Key("fresh"), e.BodyOf(1, i+1, smallBody)
				e.Create(ctx, key, body)
				if _, _, found := e.Read(ctx, 1+i%3, key); !found {
					return stale(StaleRead, "an acknowledged create is not there")
				}
				return nil
			})
		},
	},
	{
		ID: "consist.read-after-overwrite", Group: consistencyGroup, Feature: Freshness, Level: Must, Modes: swapping,
		Promise: "After an overwrite nobody reads the old bytes.",
		Why:     "A head that is read stale sends a writer to the wrong place.",
		How:     "Overwrites one object again and again and reads it over another connection each time.",
		Failing: "readers get an old head after a newer one was acknowledged",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("head")
			return e.each(func(i int) *Finding {
				body := e.BodyOf(1, i+1, smallBody)
				e.Overwrite(ctx, key, body)
				got, _, found := e.Read(ctx, 1+i%3, key)
				if id, err := readBody(got); !found || err != nil || id.round != i+1 {
					return stale(StaleRead, "after overwrite %d a reader still got the one before", i+1)
				}
				return nil
			})
		},
	},
	{
		ID: "consist.read-after-delete", Group: consistencyGroup, Feature: Freshness, Level: Should,
		Promise: "A deleted object is not read any more.",
		Why:     "Truncated entries must not come back.",
		How:     "Deletes objects and reads each over another connection.",
		Failing: "deleted objects are still read",
		Run: func(ctx context.Context, e *Env) Finding {
			return e.each(func(i int) *Finding {
				key := e.Key("gone")
				e.Overwrite(ctx, key, e.BodyOf(1, i+1, smallBody))
				e.Delete(ctx, key)
				if _, _, found := e.Read(ctx, 1+i%3, key); found {
					return stale(StaleRead, "a deleted object is still read")
				}
				return nil
			})
		},
	},
	{
		ID: "consist.list-after-create", Group: consistencyGroup, Feature: Freshness, Level: Must,
		Promise: "A created object is listed at once.",
		Why:     "Recovery and sweeping find slots by listing.",
		How:     "Creates objects and lists each over another connection.",
		Failing: "acknowledged slots are missing from listings, so recovery overlooks them",
		Seen:    "Swift; S3 before December 2020",
		Run: func(ctx context.Context, e *Env) Finding {
			return e.each(func(i int) *Finding {
				key := e.Key("listed")
				e.Create(ctx, key, e.BodyOf(1, i+1, smallBody))
				if page := e.List(ctx, 1+i%3, key, "", 2); len(page.Objects) != 1 {
					return stale(StaleList, "an acknowledged create is not listed")
				}
				return nil
			})
		},
	},
	{
		ID: "consist.list-after-delete", Group: consistencyGroup, Feature: Freshness, Level: Should,
		Promise: "A deleted object is not listed any more.",
		Why:     "Recovery would chase slots that are gone.",
		How:     "Deletes objects and lists each over another connection.",
		Failing: "deleted objects are still listed",
		Run: func(ctx context.Context, e *Env) Finding {
			return e.each(func(i int) *Finding {
				key := e.Key("gone")
				e.Overwrite(ctx, key, e.BodyOf(1, i+1, smallBody))
				e.Delete(ctx, key)
				if page := e.List(ctx, 1+i%3, key, "", 2); len(page.Objects) != 0 {
					return stale(StaleList, "a deleted object is still listed")
				}
				return nil
			})
		},
	},
	{
		ID: "consist.list-after-overwrite", Group: consistencyGroup, Feature: Freshness, Level: Should,
		Promise: "A listing shows the size of the last put.",
		Why:     "Sizes from listings save a request each.",
		How:     "Overwrites with other sizes and lists over another connection.",
		Failing: "listings show old sizes",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("sized")
			return e.each(func(i int) *Finding {
				e.Overwrite(ctx, key, e.BodyOf(1, i+1, 100+i))
				if page := e.List(ctx, 1+i%3, key, "", 2); len(page.Objects) != 1 || page.Objects[0].Size != int64(100+i) {
					return stale(StaleList, "after an overwrite with %d bytes the listing shows %v", 100+i, sizes(page))
				}
				return nil
			})
		},
	},
	{
		ID: "consist.monotonic", Group: consistencyGroup, Feature: Freshness, Level: Must, Modes: swapping,
		Promise: "What a reader sees never goes back.",
		Why:     "A tail reader that goes back applies entries twice.",
		How:     "Readers read one object while it is overwritten with rising numbers.",
		Failing: "readers go back in time",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("rising")
			e.Overwrite(ctx, key, e.BodyOf(1, 1, smallBody))
			const readers = 3
			var mu sync.Mutex
			back := ""
			Each(readers+1, func(i int) {
				last := 0
				for n := range e.Profile.Polls {
					if i == readers {
						// One writer, so the numbers rise whatever fails.
						_, _ = e.Raw(0).Put(ctx, key, e.BodyOf(1, n+2, smallBody), backends.Always())
						continue
					}
					got, _, err := backends.ReadAll(ctx, e.Raw(1+i), key, backends.All())
					if err != nil {
						continue
					}
					id, err := readBody(got)
					if err != nil {
						continue
					}
					if id.round < last {
						mu.Lock()
						back = fmt.Sprintf("a reader saw state %d after state %d", id.round, last)
						mu.Unlock()
					}
					last = id.round
				}
			})
			// A put whose answer was lost may be applied late, which moves the
			// object back without any fault of the reads.
			if back != "" && e.tallyFailed() {
				return Undecided("%s, but answers to puts were lost", back)
			}
			if back != "" {
				return Failed(StaleRead, "%s", back)
			}
			return Passed(readers * e.Profile.Polls)
		},
	},
	{
		ID: "consist.head-get-list-agree", Group: consistencyGroup, Feature: Freshness, Level: Should,
		Promise: "Head, get and list agree about a quiet object.",
		Why:     "Code that mixes them must not be misled.",
		How:     "Asks in the three ways after each of several overwrites.",
		Failing: "head, get and list contradict each other",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("quiet")
			return e.each(func(i int) *Finding {
				e.Overwrite(ctx, key, e.BodyOf(1, i+1, 100+i))
				head, _ := e.Head(ctx, 1, key)
				_, get, _ := e.Read(ctx, 2, key)
				page := e.List(ctx, 3, key, "", 2)
				if len(page.Objects) != 1 || head.Size != get.Size || head.Version != get.Version || page.Objects[0].Size != get.Size {
					return stale(StaleRead, "head tells %d bytes, get %d, list %v", head.Size, get.Size, sizes(page))
				}
				return nil
			})
		},
	},
}

// each runs a sequential trial as often as the profile says.
func (e *Env) each(one func(i int) *Finding) Finding {
	for i := range e.Profile.Trials {
		if f := one(i); f != nil {
			return f.Of(i+1, 1)
		}
	}
	return Passed(e.Profile.Trials)
}

func stale(f Fault, format string, args ...any) *Finding {
	finding := Failed(f, format, args...)
	return &finding
}

func sizes(p backends.Page) []int64 {
	s := []int64{}
	for _, o := range p.Objects {
		s = append(s, o.Size)
	}
	return s
}

// tallyFailed reports whether requests of the run were left without an answer.
func (e *Env) tallyFailed() bool {
	a := e.run.account
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed[backends.Ambiguous]+a.failed[backends.Throttled] > 0
}
