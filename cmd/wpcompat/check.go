package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/woodpecker-wal/woodpecker/conformance"
	"github.com/woodpecker-wal/woodpecker/conformance/render"
)

// checkFlags are the flags of check and plan.
type checkFlags struct {
	mode, profile, race, budget, runID string
	only, skip                         []string
	seed                               uint64
	concurrency                        int
	timeout                            time.Duration
	versioned                          string

	out, evidence, baseline, failOn string
	format                          []string
	json, keep, noColor             bool
	quiet, verbose, yes, accept     bool
}

func (f *checkFlags) add(c *cobra.Command) {
	fs := c.Flags()
	fs.StringVar(&f.mode, "mode", "fenced", "what the log needs: fenced, cas or archive")
	fs.StringVar(&f.profile, "profile", "standard", "how much to try: quick, standard, deep or soak")
	fs.StringArrayVar(&f.only, "only", nil, "run only checks whose id, group, level or feature matches the glob (repeatable)")
	fs.StringArrayVar(&f.skip, "skip", nil, "leave out checks that match the glob (repeatable)")
	fs.Uint64Var(&f.seed, "seed", 0, "seed of all random choices (0: a fresh one, printed)")
	fs.IntVar(&f.concurrency, "concurrency", 0, "clients with connections of their own (0: 32)")
	fs.StringVar(&f.race, "race", "", "writers x rounds of a race, like 32x20")
	fs.DurationVar(&f.timeout, "timeout", 0, "limit of the whole run (0: the profile's)")
	fs.StringVar(&f.budget, "budget", "", "limits like requests=1000,bytes=100000000,usd=0.05")
	fs.StringVar(&f.versioned, "versioned-bucket", "", "address of a versioned bucket of the same product, to be tried too")
	fs.StringVar(&f.runID, "run-id", "", "name of the run's prefix (default: a fresh one)")
}

// options turns the flags into those of a run.
func (f *checkFlags) options() (conformance.Options, error) {
	o := conformance.Options{Mode: conformance.Mode(f.mode), Profile: conformance.ProfileName(f.profile), Only: f.only, Skip: f.skip,
		Seed: f.seed, Concurrency: f.concurrency, Timeout: f.timeout, RunID: f.runID, Keep: f.keep, Tool: tool()}
	if f.race != "" {
		n, m, ok := strings.Cut(f.race, "x")
		var err1, err2 error
		o.Writers, err1 = strconv.Atoi(n)
		o.Rounds, err2 = strconv.Atoi(m)
		if !ok || err1 != nil || err2 != nil || o.Writers < 2 || o.Rounds < 1 {
			return o, usageError{fmt.Errorf("--race %s: it needs at least 2 writers and 1 round, like 32x20", f.race)}
		}
	}
	if f.concurrency < 0 || f.timeout < 0 {
		return o, usageError{errors.New("--concurrency and --timeout cannot be negative")}
	}
	for _, part := range strings.FieldsFunc(f.budget, func(r rune) bool { return r == ',' }) {
		k, v, _ := strings.Cut(part, "=")
		var err error
		switch k {
		case "requests":
			o.Budget.Requests, err = strconv.ParseInt(v, 10, 64)
		case "bytes":
			o.Budget.Bytes, err = strconv.ParseInt(v, 10, 64)
		case "usd":
			o.Budget.USD, err = strconv.ParseFloat(v, 64)
		default:
			err = errors.New("unknown")
		}
		if err != nil {
			return o, usageError{fmt.Errorf("--budget: %q is not one of requests=N, bytes=N, usd=X", part)}
		}
	}
	return o, nil
}

func checkCommand() *cobra.Command {
	f := &checkFlags{}
	c := &cobra.Command{
		Use:   "check [ADDRESS] [MORE ENDPOINTS OF THE SAME BUCKET…]",
		Short: "Probe a bucket or directory and print the verdict",
		Long: `Probe a bucket or directory and print the verdict.

It works only below <prefix>/wpcompat/<run id>/ and removes what it wrote. Without
an address it probes a fresh temporary directory. Credentials come from the
environment, never from the address.

Exit codes: 0 safe, 1 not safe, 2 usage, 3 only SHOULD checks failed (with
--fail-on should), 4 undecided, 5 cannot connect or not authorised, 6 leftovers
remain, 7 budget or timeout ended the run, 130 interrupted and cleaned.`,
		Example: `  wpcompat check file:///var/lib/wal
  wpcompat check 's3://bucket/prefix?region=eu-central-1'
  wpcompat check 'minio://127.0.0.1:9000/bucket/prefix?tls=false' --profile quick`,
		Args: args(0, -1),
		RunE: func(c *cobra.Command, a []string) error { return check(c, f, a) },
	}
	f.add(c)
	fs := c.Flags()
	fs.StringVar(&f.out, "out", "", "directory to write the report to")
	fs.StringSliceVar(&f.format, "format", []string{"json", "md"}, "forms to write into --out: json, md")
	fs.BoolVar(&f.json, "json", false, "print the report as JSON on standard output, everything else on standard error")
	fs.StringVar(&f.evidence, "evidence", "failures", "evidence in the report: none, failures or all")
	fs.StringVar(&f.baseline, "baseline", "", "older report: what passed there must pass here")
	fs.StringVar(&f.failOn, "fail-on", "must", "must or should")
	fs.BoolVar(&f.accept, "accept-deviations", false, "known deviations of the product do not count for the exit code (none are known to this version)")
	fs.BoolVar(&f.keep, "keep", false, "leave the objects where they are")
	fs.BoolVar(&f.noColor, "no-color", false, "no colour")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "print the verdict only")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "print every check")
	fs.BoolVar(&f.yes, "yes", false, "do not ask before an expensive run")
	return c
}

func check(c *cobra.Command, f *checkFlags, addresses []string) error {
	o, err := f.options()
	if err != nil {
		return err
	}
	if !slices.Contains([]string{"must", "should"}, f.failOn) {
		return usageError{fmt.Errorf("--fail-on %s: it is must or should", f.failOn)}
	}
	for _, form := range f.format {
		if form != "json" && form != "md" {
			return usageError{fmt.Errorf("--format %s: this version writes json and md", form)}
		}
	}
	old, err := readBaseline(f.baseline)
	if err != nil {
		return err
	}
	if len(addresses) == 0 {
		dir, err := os.MkdirTemp("", "wpcompat-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		addresses = []string{"file://" + dir}
	}
	target, err := targetOf(addresses[0], addresses[1:], f.versioned)
	if err != nil {
		return err
	}
	o.Prices = conformance.PricesOf(target.Description.Provider)
	errOut := c.ErrOrStderr()
	bar := progress(errOut, f)
	o.Progress = bar.step
	rep, err := conformance.Run(c.Context(), target, o)
	bar.done()
	if err != nil {
		return err
	}
	trim(rep, f.evidence)
	if err := write(c.OutOrStdout(), errOut, rep, f); err != nil {
		return err
	}
	code := rep.ExitCode(f.failOn == "should")
	if old != nil {
		for _, r := range rep.Regressions(old) {
			fmt.Fprintf(errOut, "regression: %s was %s and is %s: %s\n", r.ID, r.Was, r.Is, r.Detail)
			if code == 0 {
				code = conformance.ExitUnsafe
			}
		}
	}
	if len(rep.Cleanup.Leftovers) > 0 {
		fmt.Fprintf(errOut, "left behind below %s/%s: remove it with: wpcompat clean '%s'\n", conformance.Root, rep.Run.ID, addresses[0])
	}
	if code != 0 {
		return exit{code}
	}
	return nil
}

// trim drops the evidence that was not asked for; the digest follows.
func trim(rep *conformance.Report, evidence string) {
	rep.KeepEvidence(func(c conformance.CheckReport) bool {
		switch evidence {
		case "none":
			return false
		case "all":
			return true
		default:
			return c.Outcome != conformance.Pass
		}
	})
}

func readBaseline(file string) (*conformance.Report, error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, usageError{fmt.Errorf("--baseline: %w", err)}
	}
	old, err := conformance.DecodeReport(data)
	if err != nil {
		return nil, usageError{fmt.Errorf("--baseline %s: %w", file, err)}
	}
	return old, nil
}

// write prints the report and puts its forms into --out.
func write(out, errOut io.Writer, rep *conformance.Report, f *checkFlags) error {
	switch {
	case f.json:
		if err := rep.Encode(out); err != nil {
			return err
		}
	case f.quiet:
		fmt.Fprintf(out, "%s for mode %s: %s\n", rep.Verdict, rep.Run.Mode, rep.Reason)
	default:
		if err := render.Table(out, rep, !f.noColor && colored(out)); err != nil {
			return err
		}
	}
	if f.out == "" {
		return nil
	}
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return usageError{fmt.Errorf("--out: %w", err)}
	}
	for _, form := range f.format {
		name := filepath.Join(f.out, "report."+form)
		file, err := os.Create(name)
		if err != nil {
			return usageError{fmt.Errorf("--out: %w", err)}
		}
		if form == "json" {
			err = rep.Encode(file)
		} else {
			err = render.Markdown(file, rep)
		}
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
		fmt.Fprintln(errOut, "wrote "+name)
	}
	return nil
}

// colored reports whether w is a terminal whose user wants colour.
func colored(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// shower shows a run while it runs: one line on a terminal, a line for every
// check elsewhere.
type shower struct {
	w    io.Writer
	bar  *progressbar.ProgressBar // nil: plain lines
	mute bool
	all  bool
}

func progress(w io.Writer, f *checkFlags) *shower {
	s := &shower{w: w, mute: f.quiet, all: f.verbose}
	if !s.mute && isTerminal(w) {
		s.bar = progressbar.NewOptions(len(conformance.All()), progressbar.OptionSetWriter(w), progressbar.OptionSetWidth(20),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true), progressbar.OptionShowCount(),
			progressbar.OptionEnableColorCodes(false))
	}
	return s
}

func (s *shower) step(p conformance.Progress) {
	switch {
	case s.mute:
	case s.bar != nil && p.Result == nil:
		s.bar.Describe(fmt.Sprintf("%-38s %6d requests", p.Check.ID, p.Traffic.Requests.Total()))
		_ = s.bar.Set(p.Index - 1) // a terminal that cannot be drawn on is no reason to stop
	case s.bar == nil && p.Result != nil && (s.all || p.Result.Finding.Outcome != conformance.Skipped):
		detail := ""
		if d := p.Result.Finding.Detail; d != "" && (s.all || p.Result.Finding.Outcome != conformance.Pass) {
			detail = "  " + d
		}
		fmt.Fprintf(s.w, "[%2d/%d] %-12s %-36s %5d requests %6.2fs%s\n", p.Index, p.Total, p.Result.Finding.Outcome, p.Check.ID,
			p.Result.Traffic.Requests.Total(), p.Result.Duration.Seconds(), detail)
	}
}

func (s *shower) done() {
	if s.bar != nil {
		_ = s.bar.Finish()
	}
}

// planned counts what a run would do, on the reference store.
func planned(ctx context.Context, target conformance.Target, o conformance.Options) (*conformance.Report, error) {
	o.Plan, o.Progress, o.Budget = true, nil, conformance.Budget{}
	return conformance.Run(ctx, planTarget(target), o)
}
