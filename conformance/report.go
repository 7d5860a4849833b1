package conformance

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"
)

// ReportSchema is the version of the report's form.
const ReportSchema = "wpcompat.report/v1"

// SuiteVersion is the version of the catalogue: a changed meaning of a check
// changes it.
const SuiteVersion = "1.0.0"

// JSONSchema is the JSON Schema of a report.
//
//go:embed report.schema.json
var JSONSchema []byte

// Report is what a run found. Its JSON form is the truth from which every other
// form is rendered; fields may be added to it, never changed.
type Report struct {
	Schema       string               `json:"schema"`
	Tool         Tool                 `json:"tool"`
	Run          RunInfo              `json:"run"`
	Target       Description          `json:"target"`
	Verdict      Verdict              `json:"verdict"` // of the asked mode
	Reason       string               `json:"reason"`
	Modes        map[Mode]ModeVerdict `json:"modes"`
	Features     []FeatureVerdict     `json:"features"`
	Capabilities map[string]any       `json:"capabilities"`
	Checks       []CheckReport        `json:"checks"`
	Perf         []Perf               `json:"perf"`
	Cost         Cost                 `json:"cost"`
	Cleanup      CleanupReport        `json:"cleanup"`
	Warnings     []string             `json:"warnings"`
	Digest       string               `json:"digest"`
}

// Tool is the program that ran.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Suite   string `json:"suite"`
	Go      string `json:"go"`
}

// RunInfo is how it ran.
type RunInfo struct {
	ID          string      `json:"id"`
	Started     time.Time   `json:"started"`
	Ended       time.Time   `json:"ended"`
	Profile     ProfileName `json:"profile"`
	Seed        uint64      `json:"seed"`
	Mode        Mode        `json:"mode"`
	Filters     Filters     `json:"filters"`
	Interrupted bool        `json:"interrupted"`
	Stopped     string      `json:"stopped,omitempty"` // "timeout" or "budget", if one ended the run
	Writers     int         `json:"race_writers"`
	Rounds      int         `json:"race_rounds"`
}

// Filters are the globs of --only and --skip.
type Filters struct {
	Only []string `json:"only"`
	Skip []string `json:"skip"`
}

// CheckReport is what one check found.
type CheckReport struct {
	ID            string   `json:"id"`
	Group         string   `json:"group"`
	Level         Level    `json:"level"`
	Outcome       Outcome  `json:"outcome"`
	Class         Fault    `json:"class,omitempty"`
	Detail        string   `json:"detail"`
	NotApplicable bool     `json:"not_applicable,omitempty"`
	Trials        int      `json:"trials"`
	Anomalies     int      `json:"anomalies"`
	Upper95       *float64 `json:"upper95"` // bound on the chance of a violation; null without trials
	DurationMS    float64  `json:"duration_ms"`
	Requests      int64    `json:"requests"`
	Bytes         int64    `json:"bytes"`
	Evidence      []string `json:"evidence"`
}

// Perf is how long successful requests of one kind took, as seen by the client.
type Perf struct {
	Op          string  `json:"op"`
	Size        int64   `json:"size"`
	Concurrency int     `json:"concurrency"`
	N           int     `json:"n"`
	P50         float64 `json:"p50_ms"`
	P90         float64 `json:"p90_ms"`
	P99         float64 `json:"p99_ms"`
	Max         float64 `json:"max_ms"`
	MiBs        float64 `json:"mib_s"`
}

// Cost is what the run asked of the store.
type Cost struct {
	Requests     Requests `json:"requests"`
	BytesWritten int64    `json:"bytes_written"`
	BytesRead    int64    `json:"bytes_read"`
	USD          float64  `json:"usd"`
	PriceDate    string   `json:"price_date"`
}

// CleanupReport is what the clean-up did.
type CleanupReport struct {
	Deleted   int      `json:"deleted"`
	Leftovers []string `json:"leftovers"`
	Kept      bool     `json:"kept,omitempty"` // on request
}

// Result is what one check found and cost.
type Result struct {
	Check    Check
	Finding  Finding
	Traffic  Traffic
	Duration time.Duration
}

// report gathers what becomes a Report.
type report struct {
	r       *runner
	started time.Time
	results []Result
}

func (b *report) build(interrupted bool) *Report {
	r := b.r
	tool := r.opts.Tool
	if tool.Name == "" {
		tool.Name = "conformance"
	}
	tool.Suite, tool.Go = SuiteVersion, runtime.Version()
	traffic := r.account.tally.traffic()
	rep := &Report{
		Schema: ReportSchema,
		Tool:   tool,
		Run: RunInfo{ID: r.opts.RunID, Started: b.started.UTC().Truncate(time.Millisecond), Ended: time.Now().UTC().Truncate(time.Millisecond),
			Profile: r.opts.Profile, Seed: r.opts.Seed, Mode: r.opts.Mode, Interrupted: interrupted, Stopped: b.stopped(),
			Filters: Filters{Only: nonNil(r.opts.Only), Skip: nonNil(r.opts.Skip)},
			Writers: r.profile.Writers, Rounds: r.profile.Rounds},
		Target:       r.target.Description,
		Modes:        map[Mode]ModeVerdict{},
		Features:     judgeFeatures(b.results),
		Capabilities: r.caps,
		Checks:       []CheckReport{},
		Perf:         []Perf{},
		Cost: Cost{Requests: traffic.Requests, BytesWritten: traffic.BytesWritten, BytesRead: traffic.BytesRead,
			USD: math.Round(r.opts.Prices.Cost(traffic.Requests)*1e6) / 1e6, PriceDate: r.opts.Prices.Date},
		Cleanup:  CleanupReport{Deleted: r.cleanup.Deleted, Leftovers: nonNil(r.cleanup.Leftovers), Kept: errors.Is(r.cleanup.err, errKept)},
		Warnings: []string{},
	}
	rep.Target.Endpoints = nonNil(rep.Target.Endpoints)
	if v, ok := r.caps["versioning"].(string); ok {
		rep.Target.Versioning = v
	}
	for _, m := range Modes() {
		rep.Modes[m] = judgeMode(b.results, m)
	}
	for _, res := range b.results {
		rep.Checks = append(rep.Checks, res.report())
		if res.Check.Group == speedGroup {
			rep.Perf = append(rep.Perf, res.Finding.Perf...)
		}
	}
	asked := rep.Modes[r.opts.Mode]
	rep.Verdict = asked.Verdict
	rep.Reason = reason(r.opts.Mode, asked, b.results)
	rep.Warnings = append(rep.Warnings, b.warnings()...)
	rep.scrub(r.target.Secrets)
	rep.Digest = rep.digest()
	return rep
}

// stopped says what ended the run before its last check.
func (b *report) stopped() string {
	for _, res := range b.results {
		switch {
		case res.Finding.Outcome == Skipped && strings.Contains(res.Finding.Detail, "time was over"):
			return "timeout"
		case res.Finding.Outcome == Skipped && strings.Contains(res.Finding.Detail, "budget was used up"):
			return "budget"
		}
	}
	return ""
}

func (b *report) warnings() []string {
	var w []string
	switch b.r.caps["versioning"] {
	case "enabled", "suspended":
		w = append(w, fmt.Sprintf("the bucket's versioning is %v: deleted objects stay billed as old versions until a lifecycle rule removes them", b.r.caps["versioning"]))
	}
	if len(b.r.cleanup.Leftovers) > 0 {
		w = append(w, fmt.Sprintf("%d objects could not be removed: wpcompat clean ADDRESS will", len(b.r.cleanup.Leftovers)))
	}
	return w
}

func (r Result) report() CheckReport {
	f := r.Finding
	c := CheckReport{
		ID: r.Check.ID, Group: r.Check.Group, Level: r.Check.Level, Outcome: f.Outcome, Class: f.Fault, Detail: f.Detail,
		NotApplicable: f.NotApplicable, Trials: f.Trials, Anomalies: f.Anomalies,
		DurationMS: math.Round(float64(r.Duration.Microseconds())/10) / 100,
		Requests:   r.Traffic.Requests.Total(), Bytes: r.Traffic.BytesWritten + r.Traffic.BytesRead, Evidence: nonNil(f.Evidence),
	}
	if f.Trials > 0 && f.Anomalies == 0 {
		// The rule of three: no violation in n trials bounds its chance.
		u := math.Round(min(1, 3/float64(f.Trials))*1e6) / 1e6
		c.Upper95 = &u
	}
	return c
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// scrub removes secrets from every text of the report. Nothing should have put
// one there; this is the second lock.
func (r *Report) scrub(secrets []string) {
	clean := func(s string) string { return Scrub(s, secrets) }
	r.Reason = clean(r.Reason)
	for i := range r.Checks {
		r.Checks[i].Detail = clean(r.Checks[i].Detail)
		for j := range r.Checks[i].Evidence {
			r.Checks[i].Evidence[j] = clean(r.Checks[i].Evidence[j])
		}
	}
	for i := range r.Features {
		for j := range r.Features[i].Conditions {
			r.Features[i].Conditions[j] = clean(r.Features[i].Conditions[j])
		}
	}
	for i := range r.Warnings {
		r.Warnings[i] = clean(r.Warnings[i])
	}
}

// Scrub replaces every occurrence of a secret of at least 4 bytes.
func Scrub(s string, secrets []string) string {
	for _, secret := range secrets {
		if len(secret) >= 4 {
			s = strings.ReplaceAll(s, secret, "[redacted]")
		}
	}
	return s
}

// digest is the SHA-256 over the canonical JSON without the digest: object keys
// sorted, no white space.
func (r *Report) digest() string {
	c := *r
	c.Digest = ""
	sum := sha256.Sum256(canonical(c))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func canonical(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("conformance: a report always encodes: %v", err))
	}
	var tree map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		panic(fmt.Sprintf("conformance: a report always decodes: %v", err))
	}
	return canonicalTree(tree)
}

func canonicalTree(tree map[string]any) []byte {
	delete(tree, "digest")
	out, err := json.Marshal(tree) // sorts the keys of maps
	if err != nil {
		panic(fmt.Sprintf("conformance: a decoded report always encodes: %v", err))
	}
	return out
}

// Encode writes the report as indented JSON.
func (r *Report) Encode(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// DecodeReport reads a report and checks its schema version and its digest, so
// that an edited report is refused. Fields that it does not know are covered by
// the digest and otherwise ignored.
func DecodeReport(data []byte) (*Report, error) {
	var tree map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("not a report: %w", err)
	}
	if s, _ := tree["schema"].(string); s != ReportSchema {
		return nil, fmt.Errorf("a report of schema %q; this program reads %s", s, ReportSchema)
	}
	digest, _ := tree["digest"].(string)
	sum := sha256.Sum256(canonicalTree(tree))
	if want := "sha256:" + hex.EncodeToString(sum[:]); digest != want {
		return nil, errors.New("the report was changed after it was written: its digest does not match")
	}
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("not a report of schema %s: %w", ReportSchema, err)
	}
	return &r, nil
}

// KeepEvidence drops the evidence of the checks for which keep is false, and
// renews the digest.
func (r *Report) KeepEvidence(keep func(CheckReport) bool) {
	for i := range r.Checks {
		if !keep(r.Checks[i]) {
			r.Checks[i].Evidence = []string{}
		}
	}
	r.Digest = r.digest()
}

// A Regression is a check that used to pass and does not any more.
type Regression struct {
	ID       string
	Was, Is  Outcome
	Detail   string
	Deciding bool // a MUST of the asked mode
}

// Regressions compares a report with an older one: what passed there and fails
// or is refused here.
func (r *Report) Regressions(old *Report) []Regression {
	var out []Regression
	for _, c := range r.Checks {
		i := slices.IndexFunc(old.Checks, func(o CheckReport) bool { return o.ID == c.ID })
		if i < 0 || old.Checks[i].Outcome != Pass || (c.Outcome != Fail && c.Outcome != Unsupported) {
			continue
		}
		out = append(out, Regression{ID: c.ID, Was: old.Checks[i].Outcome, Is: c.Outcome, Detail: c.Detail, Deciding: c.Level == Must})
	}
	return out
}
