package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

const listGroup = "listing"

var listChecks = []Check{
	{
		ID: "list.order.bytewise", Group: listGroup, Feature: Listing, Level: Must,
		Promise: "Listings come in the order of the keys' bytes.",
		Why:     "The last slot is found without reading all.",
		How:     "Lists keys with digits, letters of both cases, punctuation and 2 to 4 byte UTF-8, without sorting them here.",
		Failing: "listings are out of order, so the last slot is not the last one listed",
		Seen:    "S3 Express directory buckets",
		Run: func(ctx context.Context, e *Env) Finding {
			base := e.Key("order") + "/"
			var keys []string
			for _, s := range []string{"0", "00", "1", "10", "2", "A", "B", "Z", "_", "a", "a!", "a-b", "a.b", "a/b", "a0", "aA", "b", "z", "~", "ä", "é", "ß", "雪", "😀"} {
				keys = append(keys, base+s+"k")
			}
			return e.listsAs(ctx, base, keys, 0)
		},
	},
	{
		ID: "list.order.zero-padded", Group: listGroup, Feature: Listing, Level: Must,
		Promise: "Zero-padded numbers are listed in rising order.",
		Why:     "Slots are named so.",
		How:     "Creates numbered keys in a random order and lists them.",
		Failing: "slots are listed out of order",
		Run: func(ctx context.Context, e *Env) Finding {
			base := e.Key("slots") + "/"
			var keys []string
			for i := range 40 {
				keys = append(keys, fmt.Sprintf("%s%016x", base, i*7))
			}
			return e.listsAs(ctx, base, keys, 0)
		},
	},
	{
		ID: "list.page.exact-once", Group: listGroup, Feature: Listing, Level: Must,
		Promise: "Paging shows every key exactly once.",
		Why:     "A slot that is left out is lost, one that comes twice is replayed twice.",
		How:     "Lists 20 keys in pages of 3.",
		Failing: "paged listings drop or repeat slots",
		Run: func(ctx context.Context, e *Env) Finding {
			base := e.Key("paged") + "/"
			return e.listsAs(ctx, base, numbered(base, 20), 3)
		},
	},
	{
		ID: "list.page.boundary", Group: listGroup, Feature: Listing, Level: Must,
		Promise: "A listing ends, also where the number of keys is a multiple of the page.",
		Why:     "An endless listing hangs recovery.",
		How:     "Lists one less, exactly, and one more than three pages of keys.",
		Failing: "listings of certain lengths never end or lose their last key",
		Seen:    "Huawei OBS (minio-go#1704)",
		Run: func(ctx context.Context, e *Env) Finding {
			for _, n := range []int{8, 9, 10} {
				base := e.Key("boundary") + "/"
				if f := e.listsAs(ctx, base, numbered(base, n), 3); f.Outcome != Pass {
					return f
				}
			}
			return Passed(3)
		},
	},
	{
		ID: "list.page.insert-delete", Group: listGroup, Feature: Listing, Level: Should,
		Promise: "Keys that stay are listed once, whatever comes and goes between two pages.",
		Why:     "Logs are appended to and truncated while they are listed.",
		How:     "Inserts and deletes between two pages.",
		Failing: "listings lose slots while others come and go",
		Run: func(ctx context.Context, e *Env) Finding {
			base := e.Key("busy") + "/"
			keys := numbered(base, 12)
			e.fill(ctx, keys)
			first := e.List(ctx, 1, base, "", 4)
			if len(first.Objects) == 0 {
				return Failed(StaleList, "12 objects were acknowledged and none is listed")
			}
			last := first.Objects[len(first.Objects)-1].Key
			e.Delete(ctx, keys[0])
			e.Overwrite(ctx, keys[9]+"x", e.Body(10))
			seen := map[string]int{}
			for _, o := range first.Objects {
				seen[o.Key]++
			}
			for range 20 {
				page := e.List(ctx, 1, base, last, 4)
				for _, o := range page.Objects {
					seen[o.Key]++
					last = o.Key
				}
				if !page.More {
					break
				}
			}
			for _, k := range keys[1:] {
				if seen[k] != 1 {
					return Failed(StaleList, "a key that stayed was listed %d times", seen[k])
				}
			}
			return Passed(1)
		},
	},
	{
		ID: "list.start-after.exclusive", Group: listGroup, Feature: Listing, Level: Must,
		Promise: "A listing that starts after a key does not show that key.",
		Why:     "Readers continue after what they have.",
		How:     "Starts after each of several existing keys.",
		Failing: "listings repeat the key they should start after",
		Run: func(ctx context.Context, e *Env) Finding {
			base := e.Key("after") + "/"
			keys := numbered(base, 6)
			e.fill(ctx, keys)
			for i := range keys {
				got := e.keysFrom(ctx, base, keys[i], 2)
				if !slices.Equal(got, keys[i+1:]) {
					return Failed(BadOrder, "after %q came %d keys instead of %d, the first is %q", short(keys[i]), len(got), len(keys)-i-1, short(first(got)))
				}
			}
			return Passed(len(keys))
		},
	},
	{
		ID: "list.start-after.absent", Group: listGroup, Feature: Listing, Level: Must,
		Promise: "A listing may start after a key that does not exist, and skips nothing.",
		Why:     "The key that a reader stopped at may have been truncated.",
		How:     "Starts between, before and behind existing keys, paged.",
		Failing: "a listing that starts after a truncated key skips slots",
		Seen:    "MinIO (#21463)",
		Run: func(ctx context.Context, e *Env) Finding {
			base := e.Key("absent") + "/"
			keys := numbered(base, 8)
			e.fill(ctx, keys)
			for i := range keys {
				start := keys[i] + "-"
				if got := e.keysFrom(ctx, base, start, 3); !slices.Equal(got, keys[i+1:]) {
					return Failed(StaleList, "after a key between two others came %d keys instead of %d, the first is %q", len(got), len(keys)-i-1, short(first(got)))
				}
			}
			return Passed(len(keys))
		},
	},
	{
		ID: "list.start-after.before-prefix", Group: listGroup, Feature: Listing, Level: Should,
		Promise: "Starting after a key that comes before the prefix shows the whole prefix.",
		Why:     "General tools list so.",
		How:     "Starts after a key that is smaller than the prefix.",
		Failing: "such listings are empty",
		Seen:    "SeaweedFS (#11321)",
		Run: func(ctx context.Context, e *Env) Finding {
			base := e.Key("prefix") + "/"
			keys := numbered(base, 4)
			e.fill(ctx, keys)
			if got := e.keysFrom(ctx, base, "a", 0); !slices.Equal(got, keys) {
				return Failed(StaleList, "%d of %d keys were listed", len(got), len(keys))
			}
			return Passed(1)
		},
	},
	{
		ID: "list.prefix.partial", Group: listGroup, Feature: Listing, Level: Must,
		Promise: "A prefix is a plain string and need not end at a slash.",
		Why:     "Slots are looked up by the beginning of their number.",
		How:     "Lists seg-1, which must show seg-1, seg-10 and seg-1/x and not seg-2.",
		Failing: "listings by prefix show other keys than asked for",
		Run: func(ctx context.Context, e *Env) Finding {
			base := e.Key("partial") + "/"
			all := []string{base + "seg-1x", base + "seg-10", base + "seg-1/x", base + "seg-2", base + "seg"}
			e.fill(ctx, all)
			want := []string{base + "seg-1/x", base + "seg-10", base + "seg-1x"}
			if got := e.keysFrom(ctx, base+"seg-1", "", 0); !slices.Equal(got, want) {
				return Failed(StaleList, "the prefix seg-1 lists %d keys instead of 3", len(got))
			}
			return Passed(1)
		},
	},
	{
		ID: "list.prefix.no-match", Group: listGroup, Feature: Listing, Level: Must,
		Promise: "A prefix that no key has lists nothing.",
		Why:     "An empty log must look empty.",
		How:     "Lists prefixes beside and between existing keys.",
		Failing: "listings invent keys",
		Run: func(ctx context.Context, e *Env) Finding {
			base := e.Key("nomatch") + "/"
			e.fill(ctx, numbered(base, 3))
			for _, p := range []string{base + "z", base + "k00001-", e.Key("unused")} {
				if got := e.keysFrom(ctx, p, "", 0); len(got) > 0 {
					return Failed(StaleList, "a prefix that no key has lists %d keys, the first is %q", len(got), short(got[0]))
				}
			}
			return Passed(3)
		},
	},
	{
		ID: "list.prefix.sibling", Group: listGroup, Feature: Listing, Level: Must,
		Promise: "A listing never shows keys outside its prefix.",
		Why:     "A sweep deletes what it lists.",
		How:     "Lists one of two sibling folders.",
		Failing: "listings show keys of other logs, which a sweep would delete",
		Run: func(ctx context.Context, e *Env) Finding {
			a, b := e.Key("left")+"/", e.Key("right")+"/"
			e.fill(ctx, numbered(a, 3))
			e.fill(ctx, numbered(b, 3))
			for _, p := range []string{a, b} {
				for _, k := range e.keysFrom(ctx, p, "", 2) {
					if !strings.HasPrefix(k, p) {
						return Failed(StaleList, "a listing shows %q, outside its prefix", short(k))
					}
				}
				if got := e.keysFrom(ctx, p, "", 2); len(got) != 3 {
					return Failed(StaleList, "a listing shows %d keys instead of 3", len(got))
				}
			}
			return Passed(2)
		},
	},
	{
		ID: "list.fields", Group: listGroup, Feature: Listing, Level: Should,
		Promise: "A listing tells each object's size.",
		Why:     "Recovery saves a head per slot.",
		How:     "Lists objects of several sizes.",
		Failing: "sizes in listings are wrong",
		Run: func(ctx context.Context, e *Env) Finding {
			base := e.Key("fields") + "/"
			for i := range 5 {
				e.Overwrite(ctx, fmt.Sprintf("%sk%d", base, i), e.Body(i*333))
			}
			objects, _ := e.ListAll(ctx, 1, base, 2, 20)
			for i, o := range objects {
				if o.Size != int64(i*333) {
					return Failed(StaleList, "an object of %d bytes is listed with %d", i*333, o.Size)
				}
			}
			if len(objects) != 5 {
				return Failed(StaleList, "%d of 5 objects are listed", len(objects))
			}
			return Passed(5)
		},
	},
}

func numbered(base string, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%sk%05d", base, i)
	}
	return keys
}

// fill creates the keys in a random order.
func (e *Env) fill(ctx context.Context, keys []string) {
	order := slices.Clone(keys)
	for i := len(order) - 1; i > 0; i-- {
		j := e.Intn(i + 1)
		order[i], order[j] = order[j], order[i]
	}
	for _, k := range order {
		e.Overwrite(ctx, k, e.Body(64))
	}
}

// listsAs fills the keys and expects base to list exactly them, in order, in
// pages of the given limit.
func (e *Env) listsAs(ctx context.Context, base string, keys []string, limit int) Finding {
	e.fill(ctx, keys)
	want := slices.Clone(keys)
	slices.Sort(want)
	objects, complete := e.ListAll(ctx, 1, base, limit, len(keys)+10)
	if !complete {
		return Failed(StaleList, "the listing of %d keys does not end", len(keys))
	}
	got := make([]string, len(objects))
	for i, o := range objects {
		got[i] = o.Key
	}
	if slices.Equal(got, want) {
		return Passed(len(keys))
	}
	sorted := slices.Clone(got)
	slices.Sort(sorted)
	if slices.Equal(sorted, want) {
		i := 0
		for got[i] == want[i] {
			i++
		}
		return Failed(BadOrder, "keys are out of order: at place %d stands %q instead of %q", i+1, short(got[i]), short(want[i]))
	}
	for _, k := range want {
		switch n := count(got, k); {
		case n == 0:
			return Failed(StaleList, "%d of %d keys are listed; %q is missing", len(got), len(want), short(k))
		case n > 1:
			return Failed(StaleList, "%q is listed %d times", short(k), n)
		}
	}
	return Failed(StaleList, "%d keys are listed instead of %d", len(got), len(want))
}

// keysFrom lists the keys of prefix after start.
func (e *Env) keysFrom(ctx context.Context, prefix, start string, limit int) []string {
	keys := []string{}
	for range 50 {
		page := e.List(ctx, 1, prefix, start, limit)
		for _, o := range page.Objects {
			keys = append(keys, o.Key)
			start = o.Key
		}
		if !page.More || len(page.Objects) == 0 {
			break
		}
	}
	return keys
}

func count(list []string, s string) (n int) {
	for _, l := range list {
		if l == s {
			n++
		}
	}
	return n
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// short is the last component of a key, for messages.
func short(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }
