package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"docstream/internal/telemetry"
	"docstream/ops/sample"
)

// devOptions are the flags of dev.
type devOptions struct {
	listen          string
	kafka, registry string
	s3              string // URL; empty: the embedded one
	workers         int
	parts           string // path of docstream-parts
	try             string // document to submit once everything serves
	tries           bool
}

func (p *program) devCommand() *cobra.Command {
	var o devOptions
	c := &cobra.Command{Use: "dev", Short: "Run the whole service on this machine", Args: cobra.NoArgs,
		Long: "Run everything on this machine: an embedded broker with a registry, S3, ClickHouse, and every role of Docstream, each a process\n" +
			"of its own that is started again when it dies. When it serves, DIR/dev.json says where; Ctrl-C stops it without losing work.\n" +
			"The embedded broker calls itself a fake: it is for trying, developing and testing. Move to Kafka with --kafka and --registry.",
		RunE: func(c *cobra.Command, _ []string) error {
			o.tries = c.Flags().Changed("try")
			if (o.kafka == "") != (o.registry == "") {
				return fail(exitUsage, "--kafka and --registry go together")
			}
			if o.workers < 1 {
				return fail(exitUsage, "--workers must be at least 1")
			}
			return p.dev(c.Context(), o)
		}}
	f := c.Flags()
	f.StringVar(&o.listen, "listen", "", "address of the API; port 0 picks one and remembers it (default 127.0.0.1:8080, or another port where that is taken)")
	f.StringVar(&o.kafka, "kafka", "", "brokers to use instead of the embedded one, parted by commas")
	f.StringVar(&o.registry, "registry", "", "URL of the schema registry that goes with --kafka")
	f.StringVar(&o.s3, "s3", "", "URL of the S3 endpoint to use instead of the embedded one, with the objects settings for bucket and keys")
	f.IntVar(&o.workers, "workers", runtime.NumCPU(), "pages read at a time")
	f.StringVar(&o.parts, "parts-bin", "", "path of docstream-parts (default beside docstream)")
	f.StringVar(&o.try, "try", "", "once everything serves, submit this document and print its text; without a value: a bundled scan")
	f.Lookup("try").NoOptDefVal = bundled
	return c
}

// bundled stands for the sample that dev makes itself.
const bundled = "sample"

// startPatience bounds a start; stopPatience a stop, after which what is left is killed.
const (
	startPatience = 90 * time.Second
	stopPatience  = 30 * time.Second
)

// dev runs the service until ctx ends.
func (p *program) dev(ctx context.Context, o devOptions) error {
	dir, err := p.dataDir()
	if err != nil {
		return err
	}
	f, err := openFolder(dir)
	if err != nil {
		return err
	}
	log := telemetry.NewLogger(p.stderr, "info")
	if terminal(p.stderr) {
		log = slog.New(&plainHandler{w: p.stderr})
	}
	s := &supervisor{program: p, options: o, folder: f, log: log}
	starting, cancel := context.WithTimeoutCause(ctx, startPatience, errors.New("it took too long"))
	err = s.start(starting)
	cancel()
	if err == nil {
		err = p.serveDev(ctx, s, o)
	}
	s.stop()
	if err == nil || (ctx.Err() != nil && errors.Is(err, context.Canceled)) {
		s.say("stopped")
		err = nil
	}
	return errors.Join(err, f.close())
}

// serveDev tells that everything serves, tries a document where asked, and waits for the end.
func (p *program) serveDev(ctx context.Context, s *supervisor, o devOptions) error {
	if o.tries {
		if err := p.try(ctx, s, o.try); err != nil {
			s.say("the document did not go through: %v", err)
		}
	}
	d := s.service()
	if p.json {
		d.S3SecretKey = "***"
		if err := p.print(d); err != nil {
			return err
		}
	} else {
		p.printAddresses(d)
	}
	return s.wait(ctx)
}

func (p *program) printAddresses(d service) {
	sql := d.ClickHouse + "/?database=docstream&query=SELECT+*+FROM+jobs"
	if d.ClickHouse == "" {
		sql = "off (libchdb is missing)"
	}
	try := "bin/docstream submit FILE --wait"
	if usual, err := (&program{Main: p.Main}).dataDir(); err != nil || usual != d.Data {
		try += " --data " + d.Data
	}
	fmt.Fprintf(p.stdout, "\nDocstream is serving.\n  API            %s\n  API reference  %s\n  Metrics        %s\n  SQL            %s\n"+
		"  API key        %s\n  Data           %s\n\nTry:  %s\nStop: Ctrl-C\n",
		d.API, d.APIReference, d.Metrics, sql, d.APIKey, d.Data, try)
}

// try submits a document and prints its text.
func (p *program) try(ctx context.Context, s *supervisor, file string) error {
	if file == bundled || file == "" {
		file = s.folder.path("sample.pdf")
		if err := writeFile(file, func(w io.Writer) error { return sample.Write(w, sample.Default()) }); err != nil {
			return err
		}
		if err := writeFile(s.folder.path("sample.txt"), func(w io.Writer) error { return sample.WriteTruth(w, sample.Default()) }); err != nil {
			return err
		}
	}
	d := s.service()
	c := newClient(d.API, d.APIKey)
	s.say("submitting %s", file)
	began := time.Now()
	j, err := c.submit(ctx, file, submission{})
	if err != nil {
		return err
	}
	last, err := c.follow(ctx, j.JobID, p.progress(j.JobID))
	if err != nil {
		return err
	}
	s.say("job %s %s after %.1f s", j.JobID, last.Status, time.Since(began).Seconds())
	if last.Status == "completed" || last.Status == "partial" {
		if err := c.result(ctx, j.JobID, url.Values{"format": {"markdown"}}, p.stdout); err != nil {
			return err
		}
	}
	return last.outcome()
}

// address turns --listen into an address with a port, which is 0 where any will do.
func address(listen string) (host string, port string, err error) {
	if listen == "" {
		return "127.0.0.1", "", nil
	}
	host, port, err = net.SplitHostPort(listen)
	if err != nil {
		return "", "", fail(exitUsage, "--listen %s is not host:port", listen)
	}
	return host, strings.TrimPrefix(port, "0"), nil
}

// inherited is the environment that children get of ours: everything but our own settings, which are handed on one by one.
func (p *program) inherited() []string {
	var out []string
	for _, pair := range p.Env {
		if !strings.HasPrefix(pair, envPrefix) || strings.HasPrefix(pair, "DOCSTREAM_CACHE=") {
			out = append(out, pair)
		}
	}
	return out
}

// self is the path of this program.
func self() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding our own program: %w", err)
	}
	return exe, nil
}
