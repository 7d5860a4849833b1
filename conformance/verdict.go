package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// A Verdict is what a store is worth for one purpose.
type Verdict string

// The verdicts, the best first.
const (
	Supported      Verdict = "supported"
	Partial        Verdict = "partial" // safe, with a condition that is stated
	UnknownVerdict Verdict = "unknown" // nothing was decided
	VerdictNo      Verdict = "unsupported"
	subUnsafe              = "unsafe"  // it would take a log's writes and lose them
	subRefused             = "refused" // it says honestly that it cannot
)

// ModeVerdict is the verdict on one mode.
type ModeVerdict struct {
	Verdict Verdict  `json:"verdict"`
	Sub     string   `json:"sub"` // "", "refused" or "unsafe"
	Because []string `json:"because"`
}

// FeatureVerdict is the verdict on one feature.
type FeatureVerdict struct {
	ID         Feature  `json:"id"`
	Verdict    Verdict  `json:"verdict"`
	Sub        string   `json:"sub"`
	Conditions []string `json:"conditions"`
}

// judge turns results into a verdict; it is a pure function. needs tells which
// of the checks count.
//
// A MUST that failed or was refused decides against the store, and unsafe
// outweighs refused, whatever else was seen. A MUST that decided nothing, was
// left out or broke leaves the verdict open: the absence of evidence is not
// safety. A SHOULD that failed is a condition. A check that does not apply says
// nothing.
func judge(results []Result, needs func(Check) bool) ModeVerdict {
	var unsafe, refused, open, soft []string
	counted := 0
	for _, r := range results {
		if !needs(r.Check) || r.Finding.NotApplicable || r.Check.Level == Info {
			continue
		}
		must := r.Check.Level == Must
		counted++
		switch r.Finding.Outcome {
		case Pass:
		case Fail:
			if must {
				unsafe = append(unsafe, r.Check.ID)
			} else {
				soft = append(soft, r.Check.ID)
			}
		case Unsupported:
			if must {
				refused = append(refused, r.Check.ID)
			} else {
				soft = append(soft, r.Check.ID)
			}
		default:
			if must {
				open = append(open, r.Check.ID)
			}
		}
	}
	switch {
	case unsafe != nil:
		return ModeVerdict{VerdictNo, subUnsafe, unsafe}
	case refused != nil:
		return ModeVerdict{VerdictNo, subRefused, refused}
	case open != nil:
		return ModeVerdict{UnknownVerdict, "", open}
	case soft != nil:
		return ModeVerdict{Partial, "", soft}
	case counted == 0:
		return ModeVerdict{UnknownVerdict, "", []string{}}
	default:
		return ModeVerdict{Supported, "", []string{}}
	}
}

// judgeMode is the verdict on a mode.
func judgeMode(results []Result, m Mode) ModeVerdict {
	return judge(results, func(c Check) bool { return c.NeededBy(m) })
}

// judgeFeatures gives the verdicts on all features that were tried.
func judgeFeatures(results []Result) []FeatureVerdict {
	verdicts := []FeatureVerdict{}
	for _, f := range Features() {
		of := func(c Check) bool { return c.Feature == f }
		if !slices.ContainsFunc(results, func(r Result) bool { return of(r.Check) && !r.Finding.NotApplicable && r.Check.Level != Info }) {
			continue
		}
		v := judge(results, of)
		fv := FeatureVerdict{ID: f, Verdict: v.Verdict, Sub: v.Sub, Conditions: []string{}}
		for _, r := range results {
			if of(r.Check) && slices.Contains(v.Because, r.Check.ID) {
				fv.Conditions = append(fv.Conditions, fmt.Sprintf("%s: %s", r.Check.ID, r.said()))
			}
		}
		verdicts = append(verdicts, fv)
	}
	return verdicts
}

// said is what a result says in half a line.
func (r Result) said() string {
	if r.Finding.Detail != "" {
		return r.Finding.Detail
	}
	return string(r.Finding.Outcome)
}

// reason is the verdict in one sentence, in the words of who runs a log.
func reason(m Mode, v ModeVerdict, results []Result) string {
	find := func(id string) Result {
		i := slices.IndexFunc(results, func(r Result) bool { return r.Check.ID == id })
		return results[i]
	}
	promise := map[Mode]string{
		Fenced:  "a log with fenced writers is safe on this store",
		CAS:     "a log that also swaps a head object is safe on this store",
		Archive: "finished segments can be stored here",
	}[m]
	switch v.Verdict {
	case Supported:
		n := 0
		for _, r := range results {
			if r.Check.NeededBy(m) {
				n += r.Finding.Trials
			}
		}
		return fmt.Sprintf("%s: no broken promise in %d trials", promise, n)
	case Partial:
		return fmt.Sprintf("%s, but not all that it should be: %s", promise, list(v.Because))
	case VerdictNo:
		first := find(v.Because[0])
		if v.Sub == subRefused {
			return fmt.Sprintf("refused: %s, because the store honestly refuses what it needs (%s)",
				strings.Replace(promise, "is safe on", "cannot run on", 1), list(v.Because))
		}
		return fmt.Sprintf("unsafe: %s (%s)", first.Check.Failing, list(v.Because))
	default:
		if len(v.Because) == 0 {
			return "undecided: nothing that this mode needs was tried"
		}
		first := find(v.Because[0])
		return fmt.Sprintf("undecided: %s (%s)", strings.TrimSuffix(first.said(), "."), list(v.Because))
	}
}

// list names at most three ids.
func list(ids []string) string {
	if len(ids) > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(ids[:3], ", "), len(ids)-3)
	}
	return strings.Join(ids, ", ")
}

// The exit codes of wpcompat check.
const (
	ExitSafe        = 0
	ExitUnsafe      = 1
	ExitUsage       = 2
	ExitShould      = 3
	ExitUndecided   = 4
	ExitConnect     = 5
	ExitLeftovers   = 6
	ExitBudget      = 7
	ExitInterrupted = 130
)

// ExitCode is the exit code that a report means. Where several apply the order
// is fixed; a run that budget or time ended before every MUST was tried is
// undecided in the first place. failOnShould makes a failed
// SHOULD of the asked mode count.
func (r *Report) ExitCode(failOnShould bool) int {
	v := r.Modes[r.Run.Mode]
	soft := slices.ContainsFunc(r.Checks, func(c CheckReport) bool {
		check, known := CheckByID(c.ID)
		return known && check.Level == Should && check.NeededBy(r.Run.Mode) && (c.Outcome == Fail || c.Outcome == Unsupported)
	})
	switch {
	case r.Run.Interrupted:
		return ExitInterrupted
	case v.Verdict == VerdictNo:
		return ExitUnsafe
	case len(r.Cleanup.Leftovers) > 0:
		return ExitLeftovers
	case v.Verdict == UnknownVerdict:
		return ExitUndecided
	case r.Run.Stopped != "":
		return ExitBudget
	case failOnShould && soft:
		return ExitShould
	default:
		return ExitSafe
	}
}
