package mutant_test

import (
	"testing"

	"github.com/woodpecker-wal/woodpecker/conformance"
	"github.com/woodpecker-wal/woodpecker/conformance/mutant"
)

// Every mutant is caught by each check that it names, and no mutant gets a
// verdict that it does not deserve: what it catches is a MUST of some mode, or
// the run says so all the same.
func TestEveryMutantIsCaught(t *testing.T) {
	caught := map[string]bool{}
	for _, m := range mutant.All() {
		t.Run(m.Name, func(t *testing.T) {
			rep, err := conformance.Run(t.Context(), m.Target(), conformance.Options{Profile: conformance.Quick, Rounds: 2, Writers: 4, Tries: 2, Seed: 7})
			if err != nil {
				t.Fatal(err)
			}
			outcome := map[string]conformance.CheckReport{}
			for _, c := range rep.Checks {
				outcome[c.ID] = c
				if c.Outcome == conformance.Fail || c.Outcome == conformance.Unsupported {
					caught[c.ID] = true
				}
			}
			for _, id := range m.Caught {
				c, ok := outcome[id]
				if !ok {
					t.Fatalf("there is no check %s", id)
				}
				if c.Outcome != conformance.Fail && c.Outcome != conformance.Unsupported {
					t.Errorf("%s did not catch it: %s %s", id, c.Outcome, c.Detail)
				}
			}
		})
	}
	for _, c := range conformance.All() {
		if c.Level != conformance.Info && !caught[c.ID] {
			t.Logf("no mutant yet for %s", c.ID)
		}
	}
}
