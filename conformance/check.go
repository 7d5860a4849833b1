package conformance

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
)

// A Check tests one promise of a store.
type Check struct {
	ID      string  // stable, lower-case, dotted: "put.if-absent.race"
	Group   string  // the part of the catalogue: "create"
	Feature Feature // what a verdict is given on
	Level   Level
	// Modes are the modes whose verdict a MUST or SHOULD decides. Empty means
	// every mode.
	Modes []Mode

	Promise string // the promise, one sentence about the store
	Why     string // why the log needs it
	How     string // what is done
	Failing string // what failing means for a log, one clause without a full stop
	Seen    string // who is known to fail, with the source; may be empty

	Needs Needs
	// Least is the smallest profile that runs it.
	Least ProfileName
	// Run does the work. It returns a verdict, or lets Env end it.
	Run func(ctx context.Context, e *Env) Finding
}

// A Level says what failing a check does to a verdict.
type Level string

// The levels.
const (
	Must   Level = "must"
	Should Level = "should"
	Info   Level = "info" // recorded, never judged
)

// A Mode is a way to build a log on a store.
type Mode string

// The modes. Fenced needs create-if-absent and no more; it is what our log
// uses. CAS needs compare-and-swap too. Archive stores finished segments and is
// fenced elsewhere.
const (
	Fenced  Mode = "fenced"
	CAS     Mode = "cas"
	Archive Mode = "archive"
)

// Modes lists every mode, the most important first.
func Modes() []Mode { return []Mode{Fenced, CAS, Archive} }

// A Feature is what users compare stores by.
type Feature string

// The features.
const (
	Connect    Feature = "connect"
	PutGet     Feature = "put-get"
	Create     Feature = "create-if-absent"
	Swap       Feature = "compare-and-swap"
	Deletion   Feature = "delete"
	Visibility Feature = "atomic-visibility"
	Freshness  Feature = "read-after-write"
	Listing    Feature = "list"
	Ranges     Feature = "ranged-read"
	Keys       Feature = "keys-and-sizes"
	Integrity  Feature = "integrity"
	Errors     Feature = "error-classes"
	Versions   Feature = "versioned-bucket"
	Protocol   Feature = "log-protocol"
	Cleanup    Feature = "clean-up"
	Speed      Feature = "speed"
)

// Features lists every feature in the order of reports.
func Features() []Feature {
	return []Feature{Connect, PutGet, Create, Swap, Deletion, Visibility, Freshness, Listing, Ranges,
		Keys, Integrity, Errors, Versions, Protocol, Cleanup, Speed}
}

// Needs says what a check cannot run without; where it is missing the check is
// skipped as not applicable.
type Needs struct {
	Hold      bool // puts can be held open and cut: HTTP, processes or the reference store
	Processes bool // other processes can write to the store (files)
	Endpoints bool // more than one endpoint of the same bucket
	Versioned bool // a second, versioned bucket
	HTTP      bool
}

// An Outcome is how a check ended.
type Outcome string

// The outcomes.
const (
	Pass         Outcome = "pass"
	Fail         Outcome = "fail"
	Unsupported  Outcome = "unsupported"  // honestly refused
	Inconclusive Outcome = "inconclusive" // nothing was decided
	Skipped      Outcome = "skipped"
	Errored      Outcome = "error" // a defect of ours, or of the configuration
)

// A Fault is the kind of a failure.
type Fault string

// The faults.
const (
	SilentlyIgnored Fault = "silently-ignored"
	MultipleWinners Fault = "multiple-winners"
	LostUpdate      Fault = "lost-update"
	TornRead        Fault = "torn-read"
	StaleRead       Fault = "stale-read"
	StaleList       Fault = "stale-list"
	BadOrder        Fault = "bad-order"
	Corruption      Fault = "corrupt"
	WrongClass      Fault = "wrong-class"
	Resurrected     Fault = "resurrected"
	Leaked          Fault = "leaked"
	Other           Fault = "other"
)

// A Finding is what a check found.
type Finding struct {
	Outcome   Outcome
	Fault     Fault  // of a failure
	Detail    string // what was seen, for a person
	Trials    int    // independent trials that decided something
	Anomalies int    // trials that broke the promise
	// NotApplicable marks a skip that says nothing against the store: the
	// promise has no meaning there, and verdicts do without it.
	NotApplicable bool
	Evidence      []string // lines for a vendor: what was sent, answered, read
	Perf          []Perf   // of a check that measures speed
}

// Passed is a pass in n trials.
func Passed(n int) Finding { return Finding{Outcome: Pass, Trials: n} }

// Failed is a failure of the given kind.
func Failed(f Fault, format string, args ...any) Finding {
	return Finding{Outcome: Fail, Fault: f, Trials: 1, Anomalies: 1, Detail: fmt.Sprintf(format, args...)}
}

// Refused is an honest refusal.
func Refused(format string, args ...any) Finding {
	return Finding{Outcome: Unsupported, Detail: fmt.Sprintf(format, args...)}
}

// Undecided is a check that decided nothing, and why.
func Undecided(format string, args ...any) Finding {
	return Finding{Outcome: Inconclusive, Detail: fmt.Sprintf(format, args...)}
}

// NotApplicable is a check without meaning on this target, and why.
func NotApplicable(format string, args ...any) Finding {
	return Finding{Outcome: Skipped, NotApplicable: true, Detail: fmt.Sprintf(format, args...)}
}

// Of returns f with the numbers of trials and anomalies.
func (f Finding) Of(trials, anomalies int) Finding {
	f.Trials, f.Anomalies = trials, anomalies
	return f
}

// With returns f with a line of detail for a person.
func (f Finding) With(format string, args ...any) Finding {
	f.Detail = fmt.Sprintf(format, args...)
	return f
}

// A ProfileName names how much is tried.
type ProfileName string

// The profiles.
const (
	Quick    ProfileName = "quick"
	Standard ProfileName = "standard"
	Deep     ProfileName = "deep"
	Soak     ProfileName = "soak"
)

// A Profile is how much is tried.
type Profile struct {
	Name    ProfileName
	Writers int // of a race
	Rounds  int // of a race
	Trials  int // of a repeated sequential trial
	Polls   int // reads while something is held open
	Large   int // bytes of the large objects
}

// Profiles lists the profiles, the smallest first. A soak repeats the deep one
// until its timeout.
func Profiles() []Profile {
	return []Profile{
		{Name: Quick, Writers: 8, Rounds: 3, Trials: 20, Polls: 10, Large: 8 << 20},
		{Name: Standard, Writers: 32, Rounds: 20, Trials: 100, Polls: 25, Large: 16 << 20},
		{Name: Deep, Writers: 64, Rounds: 200, Trials: 1000, Polls: 50, Large: 64 << 20},
		{Name: Soak, Writers: 64, Rounds: 200, Trials: 1000, Polls: 50, Large: 64 << 20},
	}
}

// ProfileOf finds a profile by name.
func ProfileOf(name ProfileName) (Profile, bool) {
	i := slices.IndexFunc(Profiles(), func(p Profile) bool { return p.Name == name })
	if i < 0 {
		return Profile{}, false
	}
	return Profiles()[i], true
}

// All returns the catalogue: every check, in the order in which they run.
func All() []Check {
	return slices.Concat(connectChecks, putChecks, errorChecks, createChecks, swapChecks, deleteChecks, visibilityChecks,
		consistencyChecks, listChecks, rangeChecks, keyChecks, integrityChecks, faultChecks, protocolChecks,
		versionChecks, speedChecks, cleanChecks)
}

// CheckByID finds a check of the catalogue.
func CheckByID(id string) (Check, bool) {
	all := All()
	i := slices.IndexFunc(all, func(c Check) bool { return c.ID == id })
	if i < 0 {
		return Check{}, false
	}
	return all[i], true
}

// NeededBy reports whether the verdict of mode m depends on c.
func (c Check) NeededBy(m Mode) bool {
	return c.Level != Info && (len(c.Modes) == 0 || slices.Contains(c.Modes, m))
}

// Matches reports whether a glob of --only or --skip names c: it may match the
// id, the group, the level or the feature. A glob without wildcard that names a
// dotted beginning of the id matches too: "put.if-absent" means all below it.
func (c Check) Matches(glob string) bool {
	for _, s := range []string{c.ID, c.Group, string(c.Level), string(c.Feature)} {
		if ok, err := path.Match(glob, s); err == nil && ok {
			return true
		}
	}
	return strings.HasPrefix(c.ID, glob+".")
}

// CheckGlob tells why a glob of --only or --skip is malformed or names no check.
func CheckGlob(glob string) error {
	if _, err := path.Match(glob, "x"); err != nil {
		return fmt.Errorf("pattern %q is malformed: %w", glob, err)
	}
	if !slices.ContainsFunc(All(), func(c Check) bool { return c.Matches(glob) }) {
		return fmt.Errorf("pattern %q names no check, group, level or feature (see wpcompat list-checks)", glob)
	}
	return nil
}
