// Package render promises to show a report to people: a table for a terminal or
// an issue, and Markdown. It adds nothing that the report does not say.
package render

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/woodpecker-wal/woodpecker/conformance"
)

// width is how many columns a table takes at most.
const width = 100

// Table writes the report as plain text of at most 100 columns. color adds
// escape sequences to the words of verdicts.
func Table(w io.Writer, r *conformance.Report, color bool) error {
	t := &table{w: w, color: color}
	t.line("wpcompat %s · %s · profile %s · mode %s · %s", r.Tool.Version, target(r), r.Run.Profile, r.Run.Mode, r.Run.Started.Format("2006-01-02"))
	t.line("")
	t.line("  %-18s %-14s %7s %9s  %s", "FEATURE", "VERDICT", "CHECKS", "TRIALS", "NOTE")
	for _, f := range r.Features {
		passed, total, trials := 0, 0, 0
		for _, c := range r.Checks {
			check, ok := conformance.CheckByID(c.ID)
			if !ok || check.Feature != f.ID || c.NotApplicable {
				continue
			}
			total++
			trials += c.Trials
			if c.Outcome == conformance.Pass {
				passed++
			}
		}
		note := ""
		if len(f.Conditions) > 0 {
			note = f.Conditions[0]
		}
		t.line("  %-18s %s %7s %9d  %s", f.ID, t.verdict(f.Verdict, f.Sub, 14), fmt.Sprintf("%d/%d", passed, total), trials, clip(note, width-57))
	}
	if bad := trouble(r); len(bad) > 0 {
		t.line("")
		for _, c := range bad {
			t.line("  %s %s (%s)", t.outcome(c.Outcome), c.ID, c.Level)
			if check, ok := conformance.CheckByID(c.ID); ok {
				t.wrapped("      ", "promise: "+check.Promise)
			}
			t.wrapped("      ", "seen:    "+c.Detail)
		}
	}
	t.line("")
	for _, m := range conformance.Modes() {
		v := r.Modes[m]
		t.line("  mode %-9s %s", m, strings.TrimRight(t.verdict(v.Verdict, v.Sub, 0), " "))
	}
	t.line("")
	t.wrapped("", fmt.Sprintf("%s for mode %s — %s", strings.ToUpper(string(r.Verdict)), r.Run.Mode, r.Reason))
	q := r.Cost.Requests
	t.wrapped("", fmt.Sprintf("%d requests (put %d, get %d, list %d, delete %d, head %d), %s written, %s read, $%.4f, %.1f s, seed %d",
		q.Total(), q.Put, q.Get, q.List, q.Delete, q.Head, bytesText(r.Cost.BytesWritten), bytesText(r.Cost.BytesRead), r.Cost.USD,
		r.Run.Ended.Sub(r.Run.Started).Seconds(), r.Run.Seed))
	for _, warning := range r.Warnings {
		t.wrapped("", "warning: "+warning)
	}
	return t.err
}

// trouble lists the checks that need a reader's attention.
func trouble(r *conformance.Report) []conformance.CheckReport {
	var out []conformance.CheckReport
	for _, c := range r.Checks {
		switch c.Outcome {
		case conformance.Fail, conformance.Unsupported, conformance.Inconclusive, conformance.Errored:
			out = append(out, c)
		}
	}
	return out
}

func target(r *conformance.Report) string {
	s := r.Target.Scheme + "://"
	if len(r.Target.Endpoints) > 0 {
		s += " at " + strings.Join(r.Target.Endpoints, ", ")
	}
	if r.Target.Product != "" {
		s += " (" + strings.TrimSpace(r.Target.Product+" "+r.Target.ProductVersion) + ")"
	}
	return s
}

type table struct {
	w     io.Writer
	color bool
	err   error
}

func (t *table) line(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintln(t.w, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	}
}

// wrapped writes text in lines of at most width columns.
func (t *table) wrapped(indent, text string) {
	line := indent
	for _, word := range strings.Fields(text) {
		if utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width && strings.TrimSpace(line) != "" {
			t.line("%s", line)
			line = indent
		}
		if strings.TrimSpace(line) != "" {
			line += " "
		}
		line += word
	}
	t.line("%s", line)
}

// verdict is symbol and word, padded to n columns before any colour.
func (t *table) verdict(v conformance.Verdict, sub string, n int) string {
	symbol, word, code := "?", string(v), "33"
	switch {
	case v == conformance.Supported:
		symbol, code = "●", "32"
	case v == conformance.Partial:
		symbol, code = "◐", "33"
	case sub == "unsafe":
		symbol, word, code = "✖", "unsafe", "31;1"
	case sub == "refused":
		symbol, word, code = "○", "refused", "35"
	}
	s := symbol + " " + word
	if pad := n - utf8.RuneCountInString(s); pad > 0 {
		s += strings.Repeat(" ", pad)
	}
	return t.paint(code, s)
}

func (t *table) outcome(o conformance.Outcome) string {
	switch o {
	case conformance.Fail:
		return t.paint("31;1", "✖ broken")
	case conformance.Unsupported:
		return t.paint("35", "○ refused")
	case conformance.Errored:
		return t.paint("33", "! error")
	default:
		return t.paint("33", "? undecided")
	}
}

func (t *table) paint(code, s string) string {
	if !t.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

func bytesText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
}

// Markdown writes the report for an issue or a step summary: the verdict, the
// features, then only what needs attention.
func Markdown(w io.Writer, r *conformance.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s: %s for mode `%s`\n\n%s\n\n", target(r), r.Verdict, r.Run.Mode, r.Reason)
	b.WriteString("| feature | verdict | note |\n|---|---|---|\n")
	for _, f := range r.Features {
		v := string(f.Verdict)
		if f.Sub != "" {
			v = f.Sub
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", f.ID, v, cell(strings.Join(f.Conditions, "; ")))
	}
	b.WriteString("\n| mode | verdict | because |\n|---|---|---|\n")
	for _, m := range conformance.Modes() {
		v := r.Modes[m]
		fmt.Fprintf(&b, "| %s | %s | %s |\n", m, strings.TrimSpace(string(v.Verdict)+" "+v.Sub), cell(strings.Join(v.Because, ", ")))
	}
	for _, c := range trouble(r) {
		fmt.Fprintf(&b, "\n### `%s`: %s\n\n", c.ID, c.Outcome)
		if check, ok := conformance.CheckByID(c.ID); ok {
			fmt.Fprintf(&b, "- promise: %s\n- why: %s\n", check.Promise, check.Why)
		}
		fmt.Fprintf(&b, "- seen: %s\n", c.Detail)
		for _, e := range c.Evidence {
			fmt.Fprintf(&b, "  - `%s`\n", strings.ReplaceAll(e, "`", "'"))
		}
	}
	fmt.Fprintf(&b, "\n%d requests, profile %s, seed %d, %s, suite %s, %s\n", r.Cost.Requests.Total(), r.Run.Profile, r.Run.Seed,
		r.Run.Started.Format("2006-01-02"), r.Tool.Suite, r.Digest)
	_, err := io.WriteString(w, b.String())
	return err
}

func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
