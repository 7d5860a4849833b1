package conformance

import (
	"context"
	"errors"
	"fmt"

	"github.com/woodpecker-wal/woodpecker/backends"
)

const connectGroup = "connectivity"

var connectChecks = []Check{
	{
		ID: "conn.auth.valid", Group: connectGroup, Feature: Connect, Level: Must,
		Promise: "The store answers a signed request of this caller.",
		Why:     "Everything else is asked over this connection.",
		How:     "Lists the run's own prefix once.",
		Failing: "the store does not serve this caller",
		Run: func(ctx context.Context, e *Env) Finding {
			e.List(ctx, 0, "", "", 1)
			return Passed(1)
		},
	},
	{
		ID: "conn.prefix.empty", Group: connectGroup, Feature: Connect, Level: Must,
		Promise: "A prefix that nobody has used is empty.",
		Why:     "The probe must never touch data that is not its own.",
		How:     "Lists a fresh prefix and expects nothing.",
		Failing: "listings show objects that nobody put there",
		Run: func(ctx context.Context, e *Env) Finding {
			if page := e.List(ctx, 0, "", "", 10); len(page.Objects) > 0 {
				return Failed(Other, "a prefix that was never used holds %d objects, the first is %q", len(page.Objects), page.Objects[0].Key)
			}
			return Passed(1)
		},
	},
	{
		ID: "conn.permissions", Group: connectGroup, Feature: Connect, Level: Must,
		Promise: "This caller may put, read, list and delete.",
		Why:     "A missing right shows up weeks later, when the first truncation deletes.",
		How:     "Does each once on an object of its own and reports every right that is missing.",
		Failing: "the caller lacks a right that the log needs",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("mine")
			var missing []string
			try := func(right string, op func(s backends.Store) error) {
				err := e.Ask(ctx, "trying the right to "+right, func(int) error { return op(e.Steady(0)) })
				switch {
				case backends.ClassOf(err) == backends.Denied:
					missing = append(missing, right)
					e.Evidence("%s: %v", right, err)
				case err != nil:
					e.Stop(err, "trying the right to "+right)
				}
			}
			body := e.Body(100)
			try("put", func(s backends.Store) error {
				_, err := s.Put(ctx, key, body, backends.Always())
				return err
			})
			try("read", func(s backends.Store) error {
				_, _, err := backends.ReadAll(ctx, s, key, backends.All())
				return err
			})
			try("read attributes", func(s backends.Store) error {
				_, err := s.Head(ctx, key)
				return err
			})
			try("list", func(s backends.Store) error {
				_, err := s.List(ctx, "", "", 1)
				return err
			})
			try("delete", func(s backends.Store) error { return s.Delete(ctx, key) })
			if len(missing) > 0 {
				return Refused("the caller may not %s: extend its policy", joinOr(missing))
			}
			return Passed(5)
		},
	},
	{
		ID: "conn.bucket.versioning", Group: connectGroup, Feature: Connect, Level: Should,
		Promise: "The store says whether the bucket keeps old versions.",
		Why:     "On several products conditions behave differently in versioned buckets, and truncated data stays billed.",
		How:     "Reads the versioning state; it is recorded with the verdict, which holds for that state only.",
		Failing: "the bucket's versioning state is not known, so the verdict may change when it does",
		Run: func(ctx context.Context, e *Env) Finding {
			var state backends.Versioning
			err := e.Ask(ctx, "reading the versioning state", func(int) (err error) {
				state, err = e.versioning(ctx)
				return err
			})
			switch {
			case backends.ClassOf(err) == backends.Unsupported || backends.ClassOf(err) == backends.Denied:
				state = backends.VersioningUnknown
			case err != nil:
				e.Stop(err, "reading the versioning state")
			}
			e.Note("versioning", string(state))
			if state == backends.VersioningUnknown {
				return Refused("the versioning state cannot be read; the right to read it is missing, or the store has no such request")
			}
			return Passed(1).With("versioning is %s", state)
		},
	},
	{
		ID: "conn.bucket.lock-retention", Group: connectGroup, Feature: Connect, Level: Must,
		Promise: "Objects can be deleted right after they were written.",
		Why:     "A log drops what was truncated; a default retention would forbid it.",
		How:     "Creates an object and deletes it at once.",
		Failing: "the bucket retains what was written, so a log can never be truncated",
		Run: func(ctx context.Context, e *Env) Finding {
			key := e.Key("deletable")
			e.Overwrite(ctx, key, e.Body(100))
			err := e.Ask(ctx, "deleting an own object", func(int) error { return e.Raw(0).Delete(ctx, key) })
			if backends.ClassOf(err) == backends.Denied {
				return Refused("the object may not be deleted: the bucket has a default retention or object lock, or the caller lacks the right: %v", err)
			}
			if err != nil {
				e.Stop(err, "deleting an own object")
			}
			return Passed(1)
		},
	},
}

// versioning asks client 0 for the state of the bucket.
func (e *Env) versioning(ctx context.Context) (backends.Versioning, error) {
	return backends.VersioningOf(ctx, e.Raw(0))
}

// joinOr is "a, b or c".
func joinOr(words []string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	}
	s := words[0]
	for _, w := range words[1 : len(words)-1] {
		s += ", " + w
	}
	return fmt.Sprintf("%s or %s", s, words[len(words)-1])
}

// isBudget reports whether err stems from the run's own budget.
func isBudget(err error) bool { return errors.Is(err, errBudget) }

// asError finds the store's error in a chain.
func asError(err error) (*backends.Error, bool) {
	var e *backends.Error
	ok := errors.As(err, &e)
	return e, ok
}
