package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/woodpecker-wal/woodpecker/conformance"
	"github.com/woodpecker-wal/woodpecker/conformance/mutant"
)

func selftestCommand() *cobra.Command {
	return &cobra.Command{Use: "selftest", Short: "Run the checks against stores that are broken on purpose; print the kill table", Args: args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			out := c.OutOrStdout()
			missed := 0
			for _, m := range mutant.All() {
				rep, err := conformance.Run(c.Context(), m.Target(), conformance.Options{Profile: conformance.Quick, Rounds: 2, Writers: 4, Tries: 2, Tool: tool()})
				if err != nil {
					return err
				}
				var not []string
				for _, id := range m.Caught {
					for _, r := range rep.Checks {
						if r.ID == id && r.Outcome != conformance.Fail && r.Outcome != conformance.Unsupported {
							not = append(not, id)
						}
					}
				}
				if len(not) > 0 {
					missed++
					fmt.Fprintf(out, "MISSED  %-26s %s: %s\n", m.Name, m.Defect, strings.Join(not, ", "))
					continue
				}
				fmt.Fprintf(out, "caught  %-26s %s: %s\n", m.Name, m.Defect, strings.Join(m.Caught, ", "))
			}
			if missed > 0 {
				fmt.Fprintf(out, "%d of %d broken stores were not caught\n", missed, len(mutant.All()))
				return exit{conformance.ExitUnsafe}
			}
			fmt.Fprintf(out, "all %d broken stores were caught\n", len(mutant.All()))
			return nil
		}}
}
