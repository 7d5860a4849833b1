package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/woodpecker-wal/woodpecker/backends"
	"github.com/woodpecker-wal/woodpecker/backends/mem"
	"github.com/woodpecker-wal/woodpecker/conformance"
)

func listCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{Use: "list-checks", Short: "List every check: id, group, level, promise", Args: args(0, 0), RunE: func(c *cobra.Command, _ []string) error {
		out := c.OutOrStdout()
		if !asJSON {
			for _, k := range conformance.All() {
				fmt.Fprintf(out, "%-36s %-13s %-7s %s\n", k.ID, k.Group, k.Level, k.Promise)
			}
			return nil
		}
		type row struct {
			ID      string              `json:"id"`
			Group   string              `json:"group"`
			Level   conformance.Level   `json:"level"`
			Feature conformance.Feature `json:"feature"`
			Modes   []conformance.Mode  `json:"modes"`
			Promise string              `json:"promise"`
		}
		rows := []row{}
		for _, k := range conformance.All() {
			modes := []conformance.Mode{}
			for _, m := range conformance.Modes() {
				if k.NeededBy(m) {
					modes = append(modes, m)
				}
			}
			rows = append(rows, row{k.ID, k.Group, k.Level, k.Feature, modes, k.Promise})
		}
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(rows)
	}}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func explainCommand() *cobra.Command {
	return &cobra.Command{Use: "explain CHECK-ID", Short: "Say why the log needs a check, how it is done, what failing means", Args: args(1, 1),
		RunE: func(c *cobra.Command, a []string) error {
			k, ok := conformance.CheckByID(a[0])
			if !ok {
				var ids []string
				for _, k := range conformance.All() {
					ids = append(ids, k.ID)
				}
				if near := backends.Nearest(a[0], ids); near != "" {
					return usageError{fmt.Errorf("no check %q; did you mean %s?", a[0], near)}
				}
				return usageError{fmt.Errorf("no check %q; see wpcompat list-checks", a[0])}
			}
			out := c.OutOrStdout()
			fmt.Fprintf(out, "%s (%s, %s)\n\n  promise  %s\n  why      %s\n  how      %s\n  failing  %s\n", k.ID, k.Group, k.Level, k.Promise, k.Why, k.How, k.Failing)
			if k.Seen != "" {
				fmt.Fprintf(out, "  seen     %s\n", k.Seen)
			}
			return nil
		}}
}

func planCommand() *cobra.Command {
	f := &checkFlags{}
	c := &cobra.Command{Use: "plan ADDRESS", Short: "Say what check would do; no request is sent", Args: args(1, -1), RunE: func(c *cobra.Command, a []string) error {
		o, err := f.options()
		if err != nil {
			return err
		}
		target, err := targetOf(a[0], a[1:], f.versioned)
		if err != nil {
			return err
		}
		prices := conformance.PricesOf(target.Description.Provider)
		rep, err := planned(c.Context(), target, o)
		if err != nil {
			return err
		}
		q := rep.Cost.Requests
		fmt.Fprintf(c.OutOrStdout(), `check --profile %s would send about %d requests:
  put     %6d
  get     %6d
  list    %6d
  delete  %6d
  head    %6d
and write %.1f MiB, read %.1f MiB, for about $%.4f at the prices of %s,
all below <prefix>/%s/<run id>/, where nothing is left afterwards.
`, rep.Run.Profile, q.Total(), q.Put, q.Get, q.List, q.Delete, q.Head, mib(rep.Cost.BytesWritten), mib(rep.Cost.BytesRead), prices.Cost(q), prices.Date, conformance.Root)
		return nil
	}}
	f.add(c)
	return c
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// planTarget is the reference store with the abilities of t, so that the same
// checks run.
func planTarget(t conformance.Target) conformance.Target {
	ref := mem.New()
	open := func(_ context.Context, o backends.Options) (backends.Store, error) { return ref.With(o), nil }
	p := conformance.Target{Open: open, Hold: conformance.StepHolder(open), Description: t.Description}
	for range t.More {
		p.More = append(p.More, open)
	}
	same := func(ctx context.Context) (backends.Store, error) { return open(ctx, backends.Options{}) }
	if t.Defaults != nil {
		p.Defaults = same
	}
	if t.Missing != nil {
		p.Missing = same
	}
	if t.Versioned != nil {
		p.Versioned = open
	}
	if t.Process != nil {
		p.Process = func(context.Context) (*conformance.Process, error) { return conformance.LocalProcess(ref), nil }
	}
	return p
}

func cleanCommand() *cobra.Command {
	older := ""
	c := &cobra.Command{Use: "clean ADDRESS", Short: "Remove what an interrupted run left, and nothing else", Args: args(1, 1), RunE: func(c *cobra.Command, a []string) error {
		age := time.Duration(-1)
		if older != "" {
			d, err := time.ParseDuration(older)
			if err != nil || d < 0 {
				return usageError{fmt.Errorf("--older-than %s: it is a duration like 1h or 0s", older)}
			}
			age = d
		}
		if _, _, err := parse(a[0]); err != nil {
			return err
		}
		s, err := registry.Open(c.Context(), a[0], backends.Options{})
		if err != nil {
			return err
		}
		defer s.Close()
		done, err := conformance.Clean(c.Context(), s, age)
		out := c.OutOrStdout()
		left := false
		for _, d := range done {
			switch {
			case d.Skipped != "":
				fmt.Fprintf(out, "left alone %s: %s\n", d.RunID, d.Skipped)
			case len(d.Result.Leftovers) > 0:
				left = true
				fmt.Fprintf(out, "run %s: %d objects removed, %d could not be\n", d.RunID, d.Result.Deleted, len(d.Result.Leftovers))
			default:
				fmt.Fprintf(out, "run %s: %d objects removed\n", d.RunID, d.Result.Deleted)
			}
		}
		if err != nil {
			return err
		}
		if len(done) == 0 {
			fmt.Fprintln(out, "nothing to remove")
		}
		if left {
			return exit{conformance.ExitLeftovers}
		}
		return nil
	}}
	c.Flags().StringVar(&older, "older-than", "", "only runs that began longer ago, whoever made them")
	return c
}
