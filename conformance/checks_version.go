package conformance

import (
	"bytes"
	"context"

	"github.com/woodpecker-wal/woodpecker/backends"
)

const versionGroup = "versioned"

var versionChecks = []Check{
	{
		ID: "ver.if-absent", Group: versionGroup, Feature: Versions, Level: Must, Modes: fencing,
		Promise: "In a versioned bucket creates are decided as in any other, also after a delete.",
		Why:     "Many buckets are versioned by policy.",
		How:     "Creates, creates again, deletes and creates once more in the bucket of --versioned-bucket.",
		Failing: "in versioned buckets the condition does not hold, so writers overwrite each other there",
		Seen:    "VAST (501), IBM COS and Aliyun OSS (ignored), RustFS after a delete marker (#1610)",
		Needs:   Needs{Versioned: true},
		Run: func(ctx context.Context, e *Env) Finding {
			raw, err := e.run.target.Versioned(ctx, backends.Options{})
			if err != nil {
				return Finding{Outcome: Errored, Detail: err.Error()}
			}
			defer raw.Close()
			s := backends.Retry(e.scoped(raw), e.run.retry)
			key := e.Key("versioned")
			defer func() { _ = s.Delete(context.WithoutCancel(ctx), key) }() // the report's clean-up does not reach this bucket
			for round := range 2 {
				body := e.BodyOf(1, round+1, smallBody)
				_, err := s.Put(ctx, key, body, backends.IfAbsent())
				if c := backends.ClassOf(err); c == backends.Exists && round > 0 {
					return Failed(Resurrected, "after a delete the create was refused: %v", err)
				} else if err != nil {
					e.Stop(err, "creating in a versioned bucket")
				}
				_, err = s.Put(ctx, key, e.BodyOf(2, round+1, smallBody), backends.IfAbsent())
				got, _, rerr := backends.ReadAll(ctx, s, key, backends.All())
				if rerr != nil {
					e.Stop(rerr, "reading in a versioned bucket")
				}
				if !bytes.Equal(got, body) || err == nil {
					return Failed(SilentlyIgnored, "a create over an existing object in a versioned bucket was answered: %s", answerText(err))
				}
				if err := s.Delete(ctx, key); err != nil {
					e.Stop(err, "deleting in a versioned bucket")
				}
				if _, _, err := backends.ReadAll(ctx, s, key, backends.All()); backends.ClassOf(err) != backends.NotFound {
					return Failed(Leaked, "after a delete in a versioned bucket: %s", answerText(err))
				}
			}
			return Passed(2)
		},
	},
}
