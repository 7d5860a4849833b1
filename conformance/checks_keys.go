package conformance

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
)

const keyGroup = "keys"

var keyChecks = []Check{
	{
		ID: "key.wal-alphabet", Group: keyGroup, Feature: Keys, Level: Must,
		Promise: "Keys of every character that the log uses come back as they were.",
		Why:     "A mangled key is a lost slot.",
		How:     "Puts, gets and lists keys with each character of the layout at the beginning, inside and at the end.",
		Failing: "some keys are mangled, so slots are lost",
		Run: func(ctx context.Context, e *Env) Finding {
			base := e.Key("alphabet") + "/"
			var keys []string
			for _, c := range "09afzAZ-_." {
				keys = append(keys, fmt.Sprintf("%sx%cy", base, c))
			}
			keys = append(keys, base+"j/0a/e00000001/0000000000000001", base+"-x", base+"_x", base+"x-", base+"x_", base+"x.y.z")
			return e.listsAs(ctx, base, keys, 0)
		},
	},
	{
		ID: "key.case", Group: keyGroup, Feature: Keys, Level: Must,
		Promise: "Keys that differ only in case are two keys.",
		Why:     "Ids are written in letters.",
		How:     "Puts two such keys with different bytes and reads both.",
		Failing: "keys that differ in case overwrite each other",
		Seen:    "case-insensitive file systems",
		Run: func(ctx context.Context, e *Env) Finding {
			base := e.Key("case") + "/"
			lower, upper := e.BodyOf(1, 1, 100), e.BodyOf(2, 1, 100)
			e.Overwrite(ctx, base+"key", lower)
			e.Overwrite(ctx, base+"KEY", upper)
			e.Expect(ctx, 1, base+"key", lower, "after a put under a key that differs in case")
			e.Expect(ctx, 1, base+"KEY", upper, "after a put under a key that differs in case")
			return Passed(2)
		},
	},
	{
		ID: "key.length", Group: keyGroup, Feature: Keys, Level: Should,
		Promise: "Long keys work.",
		Why:     "Prefixes are deep.",
		How:     "Puts, gets and lists keys of up to about 700 bytes in components of 100.",
		Failing: "long keys are refused, so deep prefixes cannot be used",
		Run: func(ctx context.Context, e *Env) Finding {
			for _, n := range []int{1, 3, 6} {
				key := e.Key("long")
				for range n {
					key += "/" + longName(100)
				}
				body := e.Body(100)
				e.Overwrite(ctx, key, body)
				e.Expect(ctx, 1, key, body, "under a long key")
				if page := e.List(ctx, 1, key, "", 2); len(page.Objects) != 1 || page.Objects[0].Key != key {
					return Failed(StaleList, "a key of %d bytes is not listed as it is", len(key))
				}
			}
			return Passed(3)
		},
	},
	{
		ID: "key.object-and-prefix", Group: keyGroup, Feature: Keys, Level: Info,
		Promise: "Whether a key may also be another key's folder is recorded.",
		Why:     "The layout avoids it.",
		How:     "Puts x and x/y and lists both.",
		Failing: "nothing",
		Seen:    "MinIO lists only x; directories cannot be files",
		Run: func(ctx context.Context, e *Env) Finding {
			base := e.Key("both")
			// Here a refusal is an answer, so it does not end the check.
			err1 := e.tryPut(ctx, base, e.Body(100))
			err2 := e.tryPut(ctx, base+"/y", e.Body(100))
			objects, _ := e.ListAll(ctx, 1, base, 0, 3)
			ok := err1 == nil && err2 == nil && len(objects) == 2
			e.Note("object_and_prefix", ok)
			return Passed(1).With("a key that is another one's folder: puts %s and %s, %d of 2 listed", answerText(err1), answerText(err2), len(objects))
		},
	},
	{
		ID: "meta.no-transform", Group: keyGroup, Feature: Integrity, Level: Must,
		Promise: "Bytes that look compressed come back as they were.",
		Why:     "Blocks may be compressed, and their checksums are of the stored bytes.",
		How:     "Puts gzip data and reads it back whole and by range.",
		Failing: "compressed blocks are unpacked on the way, so their checksums fail",
		Seen:    "GCS decompressive transcoding; proxies",
		Run: func(ctx context.Context, e *Env) Finding {
			var buf bytes.Buffer
			z := gzip.NewWriter(&buf)
			// Writing to memory cannot fail.
			_, _ = z.Write(bytes.Repeat([]byte("the same words again and again "), 200))
			_ = z.Close()
			key := e.Key("packed")
			e.Overwrite(ctx, key, buf.Bytes())
			e.Expect(ctx, 1, key, buf.Bytes(), "reading gzip data")
			return Passed(1)
		},
	},
	{
		ID: "size.wal-max", Group: keyGroup, Feature: Keys, Level: Must,
		Promise: "A block of the largest size can be put and read in one piece.",
		Why:     "Blocks have up to 16 MiB.",
		How:     "Puts and reads an object of 16 MiB.",
		Failing: "large blocks are refused",
		Run: func(ctx context.Context, e *Env) Finding {
			key, body := e.object(ctx, 16<<20)
			e.Expect(ctx, 1, key, body, "a block of the largest size")
			return Passed(1)
		},
	},
	{
		ID: "size.zero-vs-missing", Group: keyGroup, Feature: Keys, Level: Should,
		Promise: "An empty object is not the same as none.",
		Why:     "An empty fence must count.",
		How:     "Puts an empty object, reads it, deletes it, reads it again.",
		Failing: "empty objects look missing",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("empty")
			e.Overwrite(ctx, key, nil)
			if _, _, found := e.Read(ctx, 1, key); !found {
				return Failed(Other, "an empty object is answered as missing")
			}
			e.Delete(ctx, key)
			if _, _, found := e.Read(ctx, 1, key); found {
				return Failed(Other, "a deleted empty object is still answered")
			}
			return Passed(2)
		},
	},
}
