// Command wpcompat probes a bucket or directory and says in plain words whether
// a write-ahead log is safe on it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/woodpecker-wal/woodpecker/backends"
	"github.com/woodpecker-wal/woodpecker/backends/all"
	"github.com/woodpecker-wal/woodpecker/conformance"
)

// version is set by releases.
var version = "dev"

func main() {
	os.Exit(run())
}

// exit carries an exit code out of a command whose message is already printed.
type exit struct{ code int }

func (e exit) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// usageError is a mistake on the command line.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func run() int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // ends with the program
		<-signals
		fmt.Fprintln(os.Stderr, "interrupted: cleaning up (once more to leave at once)")
		cancel()
		<-signals
		fmt.Fprintln(os.Stderr, "left without cleaning up: run wpcompat clean ADDRESS")
		os.Exit(conformance.ExitInterrupted)
	}()
	root := &cobra.Command{
		Use:           "wpcompat",
		Short:         "Is a write-ahead log safe on this bucket?",
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usageError{suggestFlag(c, err)} })
	root.AddCommand(checkCommand(), listCommand(), explainCommand(), planCommand(), cleanCommand(), selftestCommand(), versionCommand(), processCommand())
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var e exit
	if errors.As(err, &e) {
		return e.code
	}
	fmt.Fprintln(os.Stderr, "wpcompat: "+conformance.Scrub(oneLine(err.Error()), secrets()))
	return codeOf(err)
}

// codeOf is the exit code of an error that ended a command.
func codeOf(err error) int {
	var connect *conformance.ConnectError
	if errors.As(err, &connect) {
		return conformance.ExitConnect
	}
	switch backends.ClassOf(err) {
	case backends.Unknown:
		return conformance.ExitUsage
	default:
		return conformance.ExitConnect
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// secrets are values of the environment that no output may contain.
func secrets() []string {
	var s []string
	for _, kv := range os.Environ() {
		k, v, _ := strings.Cut(kv, "=")
		k = strings.ToUpper(k)
		for _, part := range []string{"SECRET", "PASSWORD", "TOKEN", "ACCESS_KEY", "SAS", "CREDENTIAL", "STORAGE_KEY", "CONNECTION_STRING"} {
			if strings.Contains(k, part) && len(v) >= 6 && !strings.HasPrefix(v, "/") {
				s = append(s, v)
				break
			}
		}
	}
	return s
}

// suggestFlag adds the nearest known flag to a complaint about an unknown one.
func suggestFlag(c *cobra.Command, err error) error {
	name, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !ok {
		return err
	}
	if near := backends.Nearest(name, flagNames(c)); near != "" {
		return fmt.Errorf("unknown flag --%s; did you mean --%s?", name, near)
	}
	return fmt.Errorf("unknown flag --%s; see wpcompat %s --help", name, c.Name())
}

func tool() conformance.Tool {
	t := conformance.Tool{Name: "wpcompat", Version: version}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				t.Commit = s.Value
			}
		}
	}
	return t
}

func versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: args(0, 0), RunE: func(c *cobra.Command, _ []string) error {
		t := tool()
		fmt.Fprintf(c.OutOrStdout(), "wpcompat %s, suite %s, %d checks\n", t.Version, conformance.SuiteVersion, len(conformance.All()))
		return nil
	}}
}

// args demands between least and most arguments.
func args(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, a []string) error {
		if len(a) < least {
			return usageError{fmt.Errorf("%s needs an argument: %s", c.Name(), c.UseLine())}
		}
		if most >= 0 && len(a) > most {
			return usageError{fmt.Errorf("%s takes at most %d arguments: %s", c.Name(), most, c.UseLine())}
		}
		return nil
	}
}

var registry = all.Registry()
