// Command docstream-parts runs the embedded parts of a one-machine Docstream, one per process: a Kafka broker with a
// schema registry, an S3 endpoint, and a ClickHouse endpoint. They are for trying, developing and testing; production
// runs the real systems at the same addresses, and no production image carries this program.
//
// Each subcommand blocks until SIGTERM or SIGINT, or, with --lifeline, until its standard input ends, so that it dies
// with the process that started it. When it serves it prints exactly one line of JSON to standard output; everything
// else is a JSON log line on standard error.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"docstream/ops/dev/analytics"
	"docstream/ops/dev/broker"
	"docstream/ops/dev/claim"
	"docstream/ops/dev/objects"
)

const usage = `usage: docstream-parts COMMAND [flags]

  broker      a Kafka broker with a schema registry   --data DIR --listen ADDR --registry ADDR [--max-bytes N]
  s3          an S3 endpoint                          --data DIR --listen ADDR --bucket B
  clickhouse  a ClickHouse HTTP endpoint              --data DIR --listen ADDR --lib FILE
  version     what is inside

s3 takes the keys that requests must be signed with from the environment: ` + objects.AccessKeyVariable + `
and ` + objects.SecretKeyVariable + `. Every command takes --lifeline: end when standard input ends. Port 0 picks a free port.
`

// garbage is what broker and s3 let lie, in percent of what lives, as the gateway does: their heaps are small, who submits waits for each
// collection, and Go's own 100 collects several times a second.
const garbage = 400

func main() {
	stdout := os.Stdout
	// Whatever a library prints must not reach the reader of the ready line.
	os.Stdout = os.Stderr
	os.Exit(run(os.Args[1:], os.Stdin, stdout, os.Stderr))
}

// run is the program without its process: it returns the exit status (0 done, 1 failed, 2 wrong usage).
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return 2
	}
	log := slog.New(slog.NewJSONHandler(stderr, nil)).With("role", args[0])
	slog.SetDefault(log) // and with it the standard logger that libraries use
	p := part{flags: flag.NewFlagSet(args[0], flag.ContinueOnError), log: log, stdout: stdout}
	p.flags.SetOutput(stderr)
	lifeline := p.flags.Bool("lifeline", false, "end when standard input ends")
	switch args[0] {
	case "broker":
		p.broker()
	case "s3":
		p.s3()
	case "clickhouse":
		p.clickhouse()
	case "version":
		return printVersion(stdout)
	default:
		fmt.Fprint(stderr, usage)
		return 2
	}
	if err := p.flags.Parse(args[1:]); err != nil {
		return 2
	}
	if args[0] != "clickhouse" && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if *lifeline {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		go func() {
			_, _ = io.Copy(io.Discard, stdin)
			cancel()
		}()
	}
	if err := p.serve(ctx); err != nil && !errors.Is(err, context.Canceled) {
		log.Error("stopped", "error", err.Error())
		return 1
	}
	log.Info("stopped")
	return 0
}

// part is one subcommand: its flags, and what serves once they are parsed.
type part struct {
	flags  *flag.FlagSet
	log    *slog.Logger
	stdout io.Writer
	data   *string
	run    func(context.Context) error
}

// serve runs the part with its data directory claimed, so that no second process writes there.
func (p *part) serve(ctx context.Context) error {
	if *p.data == "" {
		return errors.New("--data is required")
	}
	release, err := claim.Directory(*p.data)
	if err != nil {
		return err
	}
	defer release()
	return p.run(ctx)
}

// ready prints the one line that says the part serves.
func (p *part) ready(facts map[string]any) {
	facts["ready"], facts["role"], facts["pid"] = true, p.flags.Name(), os.Getpid()
	line, _ := json.Marshal(facts)
	fmt.Fprintf(p.stdout, "%s\n", line)
	p.log.Info("serving", "addr", facts["addr"])
}

func (p *part) broker() {
	var cfg broker.Config
	p.data = p.flags.String("data", "", "directory of the log")
	p.flags.StringVar(&cfg.Listen, "listen", "127.0.0.1:0", "address of the Kafka protocol")
	p.flags.StringVar(&cfg.Registry, "registry", "127.0.0.1:0", "address of the schema registry")
	p.flags.Int64Var(&cfg.MaxBytes, "max-bytes", broker.DefaultMaxBytes, "refuse to grow past this many bytes on disk")
	p.flags.DurationVar(&cfg.CleanEvery, "clean-every", broker.DefaultCleanEvery, "how often compaction and retention run")
	p.run = func(ctx context.Context) error {
		cfg.Data = *p.data
		return broker.Run(ctx, cfg, p.log, func(kafka, registry string) {
			p.ready(map[string]any{"addr": kafka, "registry": "http://" + registry})
		})
	}
}

func (p *part) s3() {
	cfg := objects.Config{AccessKey: os.Getenv(objects.AccessKeyVariable), SecretKey: os.Getenv(objects.SecretKeyVariable)}
	p.data = p.flags.String("data", "", "directory of the buckets")
	p.flags.StringVar(&cfg.Listen, "listen", "127.0.0.1:0", "address of the S3 API")
	p.flags.StringVar(&cfg.Bucket, "bucket", "docstream", "bucket to create when it is missing")
	p.run = func(ctx context.Context) error {
		cfg.Data = *p.data
		return objects.Run(ctx, cfg, p.log, func(addr string) { p.ready(map[string]any{"addr": addr}) })
	}
}

func (p *part) clickhouse() {
	var cfg analytics.Config
	p.data = p.flags.String("data", "", "directory of the tables")
	p.flags.StringVar(&cfg.Listen, "listen", "127.0.0.1:0", "address of the HTTP interface")
	p.flags.StringVar(&cfg.Library, "lib", "", "path of libchdb.so")
	p.flags.IntVar(&cfg.Connections, "connections", analytics.DefaultConnections, "statements that run at one time")
	p.flags.Int64Var(&cfg.MemoryBytes, "memory-bytes", analytics.DefaultMemoryBytes, "the engine refuses queries above this")
	p.run = func(ctx context.Context) error {
		cfg.Data = *p.data
		return analytics.Run(ctx, cfg, p.log, func(addr, version string) {
			p.ready(map[string]any{"addr": addr, "version": version})
		})
	}
}

// printVersion names the embedded parts with the versions that this binary was built with.
func printVersion(w io.Writer) int {
	named := map[string]string{
		"github.com/twmb/franz-go/pkg/kfake": "broker", "github.com/twmb/franz-go/pkg/sr": "registry",
		"github.com/versity/versitygw": "s3", "github.com/ebitengine/purego": "library loader",
	}
	fmt.Fprintln(w, "docstream-parts, for trying, developing and testing; ClickHouse engine "+analytics.Engine)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if name := named[d.Path]; name != "" {
				fmt.Fprintf(w, "%s: %s %s\n", name, d.Path, d.Version)
			}
		}
	}
	return 0
}
