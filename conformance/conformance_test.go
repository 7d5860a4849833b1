package conformance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/woodpecker-wal/woodpecker/backends"
	"github.com/woodpecker-wal/woodpecker/backends/mem"
	"github.com/woodpecker-wal/woodpecker/conformance"
)

// memTarget is a target on the reference store, or on what wrap makes of it.
func memTarget(wrap func(backends.Store) backends.Store) (conformance.Target, *mem.Store) {
	ref := mem.New()
	open := func(_ context.Context, o backends.Options) (backends.Store, error) {
		if wrap == nil {
			return ref.With(o), nil
		}
		return wrap(ref.With(o)), nil
	}
	return conformance.Target{Open: open, Hold: conformance.StepHolder(open),
		Description: conformance.Description{Scheme: "mem", Adapter: "mem", Provider: "reference"}}, ref
}

// The reference store keeps every promise, and the run leaves nothing behind.
func TestReferencePasses(t *testing.T) {
	target, ref := memTarget(nil)
	rep, err := conformance.Run(t.Context(), target, conformance.Options{Profile: conformance.Quick})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range rep.Checks {
		if c.Outcome != conformance.Pass && !c.NotApplicable {
			t.Errorf("%s: %s (%s) %s", c.ID, c.Outcome, c.Class, c.Detail)
		}
	}
	for _, m := range conformance.Modes() {
		if v := rep.Modes[m]; v.Verdict != conformance.Supported {
			t.Errorf("mode %s: %+v", m, v)
		}
	}
	if code := rep.ExitCode(true); code != conformance.ExitSafe {
		t.Errorf("exit code %d", code)
	}
	if page, err := ref.List(t.Context(), "", "", 0); err != nil || len(page.Objects) != 0 {
		t.Errorf("left behind: %v, %v", page.Objects, err)
	}
	t.Logf("%s; %+v", rep.Reason, rep.Cost)
}

// A report is what its schema says, survives a round trip, and an edited one is
// refused.
func TestReportForm(t *testing.T) {
	target, _ := memTarget(nil)
	rep, err := conformance.Run(t.Context(), target, conformance.Options{Profile: conformance.Quick, Only: []string{"put.*", "clean"}})
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := rep.Encode(&buf); err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(conformance.JSONSchema))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiler.AddResource("report.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("report.json")
	if err != nil {
		t.Fatal(err)
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(buf.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(instance); err != nil {
		t.Error(err)
	}
	instance.(map[string]any)["verdict"] = "fine"
	if schema.Validate(instance) == nil {
		t.Error("the schema accepts a verdict that does not exist")
	}
	if _, err := conformance.DecodeReport(buf.Bytes()); err != nil {
		t.Error(err)
	}
	edited := bytes.Replace(buf.Bytes(), []byte(`"outcome": "pass"`), []byte(`"outcome": "fail"`), 1)
	if _, err := conformance.DecodeReport(edited); err == nil {
		t.Error("an edited report was accepted")
	}
	var unknown map[string]any
	if err := json.Unmarshal(buf.Bytes(), &unknown); err != nil {
		t.Fatal(err)
	}
	unknown["schema"] = "wpcompat.report/v2"
	other, err := json.Marshal(unknown)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conformance.DecodeReport(other); err == nil {
		t.Error("a report of an unknown schema was accepted")
	}
}

// Every check says all that explain prints, and has an id of its own.
func TestCatalogue(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range conformance.All() {
		if seen[c.ID] {
			t.Errorf("%s stands twice", c.ID)
		}
		seen[c.ID] = true
		if c.Group == "" || c.Feature == "" || c.Level == "" || c.Promise == "" || c.Why == "" || c.How == "" || c.Failing == "" || c.Run == nil {
			t.Errorf("%s is incomplete", c.ID)
		}
	}
	t.Logf("%d checks", len(seen))
}
