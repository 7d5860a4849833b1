package conformance

import (
	"bytes"
	"context"

	"github.com/woodpecker-wal/woodpecker/backends"
)

const rangeGroup = "ranges"

var rangeChecks = []Check{
	{
		ID: "range.basic", Group: rangeGroup, Feature: Ranges, Level: Must,
		Promise: "A ranged get gives exactly the bytes asked for.",
		Why:     "Readers fetch frames out of blocks.",
		How:     "Reads the first, the last, middle and random ranges of an object and compares them.",
		Failing: "ranged reads give other bytes, so frames are torn",
		Run: func(ctx context.Context, e *Env) Finding {
			key, body := e.object(ctx, 100_000)
			n := int64(len(body))
			ranges := []backends.Range{backends.All(), backends.Span(0, 1), backends.Span(0, n), backends.Span(n-1, 1), backends.Span(n/2, 0), backends.Span(1, n-2)}
			for range 10 {
				off := int64(e.Intn(len(body) - 1))
				ranges = append(ranges, backends.Span(off, 1+int64(e.Intn(len(body)-int(off)))))
			}
			for _, r := range ranges {
				if f := e.readsAs(ctx, key, body, r); f != nil {
					return *f
				}
			}
			return Passed(len(ranges))
		},
	},
	{
		ID: "range.end-past-eof", Group: rangeGroup, Feature: Ranges, Level: Must,
		Promise: "A range that ends past the end gives what is there.",
		Why:     "Readers ask for whole windows.",
		How:     "Asks for more than the object has.",
		Failing: "reading the last window of a block fails",
		Run: func(ctx context.Context, e *Env) Finding {
			key, body := e.object(ctx, 1000)
			for _, r := range []backends.Range{backends.Span(0, 5000), backends.Span(999, 5000), backends.Span(500, 501)} {
				if f := e.readsAs(ctx, key, body, r); f != nil {
					return *f
				}
			}
			return Passed(3)
		},
	},
	{
		ID: "range.start-at-eof", Group: rangeGroup, Feature: Ranges, Level: Should,
		Promise: "A range that begins at the end or past it is refused as such.",
		Why:     "Readers of a growing tail must tell \"nothing yet\" from a failure.",
		How:     "Asks for ranges from the end on.",
		Failing: "a range past the end looks like a failure or gives bytes",
		Run: func(ctx context.Context, e *Env) Finding {
			key, _ := e.object(ctx, 1000)
			for _, off := range []int64{1000, 1001, 100_000} {
				got, _, err := e.ReadRange(ctx, 1, key, backends.Span(off, 10))
				if backends.ClassOf(err) != backends.InvalidRange {
					return Failed(WrongClass, "a range from %d of 1000 bytes gave %d bytes and: %s", off, len(got), answerText(err))
				}
			}
			return Passed(3)
		},
	},
	{
		ID: "range.suffix", Group: rangeGroup, Feature: Ranges, Level: Should,
		Promise: "The last bytes of an object can be asked for without its size.",
		Why:     "Footers are read first.",
		How:     "Asks for the last 64 bytes, and for more than there are.",
		Failing: "footers cannot be read in one request",
		Run: func(ctx context.Context, e *Env) Finding {
			key, body := e.object(ctx, 1000)
			for _, n := range []int64{64, 1, 1000, 5000} {
				if f := e.readsAs(ctx, key, body, backends.Suffix(n)); f != nil {
					return *f
				}
			}
			return Passed(4)
		},
	},
	{
		ID: "range.empty-object", Group: rangeGroup, Feature: Ranges, Level: Should,
		Promise: "A range of an empty object is refused as such.",
		Why:     "Fences may be empty.",
		How:     "Asks for the first bytes of an empty object, and for all of it.",
		Failing: "empty objects break ranged reads",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("empty")
			e.Overwrite(ctx, key, nil)
			if _, _, err := e.ReadRange(ctx, 1, key, backends.Span(0, 10)); backends.ClassOf(err) != backends.InvalidRange {
				return Failed(WrongClass, "a range of an empty object: %s", answerText(err))
			}
			if got, _, found := e.Read(ctx, 1, key); !found || len(got) != 0 {
				return Failed(Other, "an empty object reads as %d bytes, found %t", len(got), found)
			}
			return Passed(2)
		},
	},
	{
		ID: "range.ignored", Group: rangeGroup, Feature: Ranges, Level: Must,
		Promise: "A ranged get of a large object sends the range and not the object.",
		Why:     "Cost and memory of readers depend on it.",
		How:     "Asks for 100 bytes out of 1 MiB and looks at what the store sends.",
		Failing: "every small read fetches the whole block",
		Run: func(ctx context.Context, e *Env) Finding {
			key, body := e.object(ctx, 1<<20)
			if f := e.readsAs(ctx, key, body, backends.Span(777, 100)); f != nil {
				return *f
			}
			return Passed(1)
		},
	},
	{
		ID: "range.total-size", Group: rangeGroup, Feature: Ranges, Level: Should,
		Promise: "A ranged get tells the size of the whole object.",
		Why:     "It saves a head.",
		How:     "Compares the size that comes with a range.",
		Failing: "the size that comes with a range is wrong",
		Run: func(ctx context.Context, e *Env) Finding {
			key, body := e.object(ctx, 5000)
			_, info, err := e.ReadRange(ctx, 1, key, backends.Span(10, 10))
			if err != nil {
				e.Stop(err, "reading a range")
			}
			if info.Size != int64(len(body)) {
				return Failed(Other, "with a range of an object of %d bytes comes the size %d", len(body), info.Size)
			}
			return Passed(1)
		},
	},
}

// object puts an object of n bytes.
func (e *Env) object(ctx context.Context, n int) (key string, body []byte) {
	key, body = e.Key("object"), e.Body(n)
	e.Overwrite(ctx, key, body)
	return key, body
}

// readsAs reads r of body and compares.
func (e *Env) readsAs(ctx context.Context, key string, body []byte, r backends.Range) *Finding {
	from, to, _ := r.Resolve(int64(len(body)))
	got, _, err := e.ReadRange(ctx, 1, key, r)
	if err != nil {
		if c := backends.ClassOf(err); c == backends.Denied || c == backends.Unsupported {
			e.Stop(err, "reading a range")
		}
		f := Failed(WrongClass, "bytes %d to %d of %d: %v", from, to, len(body), err)
		if backends.ClassOf(err) == backends.Corrupt {
			f.Fault = Corruption
		}
		return &f
	}
	if !bytes.Equal(got, body[from:to]) {
		f := Failed(Corruption, "bytes %d to %d of %d: %s", from, to, len(body), differ(got, body[from:to]))
		return &f
	}
	return nil
}
