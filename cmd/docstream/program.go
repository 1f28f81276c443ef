package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"docstream/internal/telemetry"
)

// Main is the program without its process, so that a test runs the very program.
type Main struct {
	Version string
	Env     []string // NAME=value
}

// program is one run of Main: where it reads and writes, and the flags every command has.
type program struct {
	Main
	stdin          io.Reader
	stdout, stderr io.Writer

	file     string
	sets     []string
	json     bool
	data     string
	lifeline bool

	running bool // a command's own work has begun: errors are no longer wrong usage
}

// Run runs one command and returns its exit code. It returns when ctx ends and the command has finished its work in flight.
func (m Main) Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{Main: m, stdin: stdin, stdout: stdout, stderr: stderr}
	root := p.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return p.report(root.ExecuteContext(ctx))
}

// Exit codes. They are part of the interface.
const (
	exitDone         = 0
	exitFailed       = 1
	exitUsage        = 2
	exitUnreachable  = 3
	exitUnauthorised = 4
	exitPartial      = 5
	exitNotFound     = 6
	exitNotReady     = 7
	exitWarned       = 8
	exitInterrupted  = 130
)

const exitHelp = `
Exit codes:
  0  done
  1  the job failed, or an error
  2  wrong usage or configuration
  3  the service cannot be reached
  4  not authorised
  5  the result is partial: some pages failed
  6  no such job, key or result
  7  the job has not ended yet
  8  doctor: nothing fails, and something should be looked at
  130  interrupted

`

// exit is an error with its exit code; an empty text is not printed.
type exit struct {
	code int
	text string
}

func (e exit) Error() string { return e.text }

func fail(code int, format string, a ...any) error { return exit{code, fmt.Sprintf(format, a...)} }

// report prints an error as one plain line and returns the exit code.
func (p *program) report(err error) int {
	if err == nil {
		return exitDone
	}
	var e exit
	code, text := exitFailed, err.Error()
	switch {
	case errors.As(err, &e):
		code, text = e.code, err.Error()
	case !p.running:
		code = exitUsage
	case errors.Is(err, context.Canceled):
		code, text = exitInterrupted, "interrupted"
	}
	if text != "" {
		fmt.Fprintln(p.stderr, "docstream: "+telemetry.Redact(strings.Join(strings.Fields(text), " ")))
	}
	return code
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "docstream",
		Short: "Documents into Markdown, JSON, HTML, CSV and text, as a stream",
		Long: "Docstream turns documents into Markdown, JSON, HTML, CSV and text.\n" +
			"Start with: docstream dev, then: docstream submit FILE --wait\n" + exitHelp +
			"Configuration: defaults, then the YAML file, then DOCSTREAM_<SECTION>_<KEY>, then --set; see docstream config.",
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRun: func(*cobra.Command, []string) { p.running = true },
	}
	f := root.PersistentFlags()
	f.StringVar(&p.file, "config", p.getenv("DOCSTREAM_CONFIG"), "YAML file of the configuration (DOCSTREAM_CONFIG)")
	f.StringArrayVar(&p.sets, "set", nil, "set one key of the configuration: section.key=value; may be repeated")
	f.StringVar(&p.data, "data", p.getenv("DOCSTREAM_DATA"), "folder of a one-machine service (DOCSTREAM_DATA)")
	f.BoolVar(&p.json, "json", false, "print data as JSON")
	f.BoolVar(&p.lifeline, "lifeline", false, "end when standard input ends")
	_ = f.MarkHidden("lifeline") // the flag exists: it cannot fail
	root.AddCommand(
		p.devCommand(), p.gatewayCommand(), p.processorCommand(), p.sinkCommand(), p.rebuildCommand(), p.connectorCommand(), p.engineCommand(),
		p.submitCommand(), p.ingestCommand(), p.batchCommand(), p.statusCommand(), p.resultCommand(),
		p.topicsCommand(), p.lagCommand(), p.doctorCommand(), p.topologyCommand(), p.configCommand(), p.keysCommand(), p.tenantsCommand(), p.replayCommand(), p.dlqCommand(), p.verifyCommand(), p.sqlCommand(),
		p.benchCommand(), p.sampleCommand(), p.versionCommand(), p.readyCommand(), p.bucketCommand(),
	)
	return root
}

// getenv looks a variable up in the environment the program was given.
func (p *program) getenv(name string) string {
	for i := len(p.Env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(p.Env[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// config composes the configuration from all layers; more are settings that stand above the command line's.
func (p *program) config(more ...string) (Config, error) {
	cfg, err := load(layers{file: p.file, env: p.Env, flags: append(append([]string{}, p.sets...), more...)})
	if err != nil {
		return cfg, exit{exitUsage, err.Error()}
	}
	return cfg, nil
}

// alive is ctx, ended also when standard input ends, where --lifeline asks for it: a role does not outlive who started it.
func (p *program) alive(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if p.lifeline {
		go func() {
			_, _ = io.Copy(io.Discard, p.stdin) // any end will do
			cancel()
		}()
	}
	return ctx, cancel
}
