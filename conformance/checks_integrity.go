package conformance

import (
	"context"

	"github.com/woodpecker-wal/woodpecker/backends"
)

const integrityGroup = "integrity"

var integrityChecks = []Check{
	{
		ID: "integrity.readback", Group: integrityGroup, Feature: Integrity, Level: Must,
		Promise: "Many objects, read back later, have the bytes that were put.",
		Why:     "Damage on the way or at rest must not pass for data.",
		How:     "Puts objects of mixed sizes, then reads them all and compares.",
		Failing: "stored entries change",
		Run: func(ctx context.Context, e *Env) Finding {
			n := max(e.Profile.Trials/2, 10)
			bodies := map[string][]byte{}
			for i := range n {
				key := e.Key("kept")
				bodies[key] = e.Body(1 + e.Intn(20_000))
				if i%10 == 0 {
					bodies[key] = e.Body(200_000)
				}
				e.Overwrite(ctx, key, bodies[key])
			}
			for key, body := range bodies {
				e.Expect(ctx, 1, key, body, "reading back")
			}
			return Passed(n)
		},
	},
	{
		ID: "integrity.sdk-default", Group: integrityGroup, Feature: Integrity, Level: Should,
		Promise: "The vendor SDK works with its own defaults.",
		Why:     "Users of the SDK meet checksum trailers out of the box.",
		How:     "Puts and reads with the SDK's default checksums.",
		Failing: "the SDK's defaults do not work here: set checksum=when_required",
		Seen:    "OSS, COS, OBS, OCI over S3 refuse trailers",
		Run: func(ctx context.Context, e *Env) Finding {
			if e.run.target.Defaults == nil {
				return NotApplicable("the adapter has no other defaults")
			}
			raw, err := e.run.target.Defaults(ctx)
			if err != nil {
				return Finding{Outcome: Errored, Detail: err.Error()}
			}
			defer raw.Close()
			s := e.scoped(raw)
			for _, size := range []int{0, smallBody, 1 << 20} {
				key, body := e.Key("default"), e.Body(size)
				err := e.Ask(ctx, "putting with the SDK's defaults", func(int) error {
					_, err := s.Put(ctx, key, body, backends.Always())
					return err
				})
				if err != nil {
					return Refused("a put of %d bytes with the SDK's default checksums: %v", size, err)
				}
				got, _, found := e.Read(ctx, 0, key)
				if d := differ(got, body); !found || d != "" {
					return Failed(Corruption, "what the SDK puts with its default checksums comes back otherwise: %s", d)
				}
			}
			return Passed(3)
		},
	},
}
