// Command cluster starts the services of docker-compose.kafka.yml as processes of this machine and runs the end-to-end suite on them.
//
// What a process is, its command line, its environment, its health check and its place in the order come from the compose file itself, so
// that the two cannot drift. Only addresses and paths are this machine's, and a few sizes. For the images that are not ours stand: Apache
// Kafka from its jars, Apicurio from its archive, the S3 server and ClickHouse's engine of ops/dev, and Debian's nginx and Prometheus.
//
// Everything listens on loopback at free ports. What was started is ended, by its id and by nothing else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(ctx, log, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// run starts the cluster, runs the suite and takes everything down.
func run(ctx context.Context, log *slog.Logger, args []string) error {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	dir := flags.String("dir", "", "folder of data and logs (default: one that is removed at the end)")
	keep := flags.Bool("keep", false, "stay up when the suite has ended, until Ctrl-C")
	suite := flags.String("run", "", "only the tests of the suite that match; none: no suite")
	if err := flags.Parse(args); err != nil {
		return err
	}
	began := time.Now()
	if *dir == "" {
		made, err := os.MkdirTemp("", "docstream-cluster-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(made)
		*dir = made
	}
	c, err := prepare(ctx, *dir, log)
	if err != nil {
		return err
	}
	lock, err := claim(c.dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	defer c.stop()
	if err := c.start(ctx); err != nil {
		return err
	}
	if err := c.open(ctx); err != nil {
		return err
	}
	log.Info("the cluster serves", "seconds", seconds(began), "folder", c.dir)
	asked := time.Now()
	failed := c.inbox(ctx)
	log.Info("an object that was announced twice is one completed job", "error", failed, "seconds", seconds(asked))
	failed = errors.Join(failed, c.suite(ctx, *suite))
	log.Info("the suite has ended", "error", failed, "seconds", seconds(began))
	if *keep && ctx.Err() == nil {
		fmt.Printf("\nThe cluster stays up; Ctrl-C stops it.\n  API                        %s\n  API key and all addresses  %s\n  Logs                       %s\n\nTry:  bin/docstream submit FILE --wait --data %s\n",
			c.file.API, filepath.Join(c.dir, serviceName), filepath.Join(c.dir, "logs"), c.dir)
		<-ctx.Done()
	}
	return failed
}

// prepare reads the compose file with secrets of its own and plans the processes.
func prepare(ctx context.Context, dir string, log *slog.Logger) (*cluster, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	root, err := repositoryRoot()
	if err != nil {
		return nil, err
	}
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "logs"), 0o700); err != nil {
		return nil, err
	}
	env := filepath.Join(dir, "env")
	if out, err := exec.CommandContext(ctx, filepath.Join(root, "ops", "docker", "secrets.sh"), env).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("making secrets: %w: %s", err, out)
	}
	project, err := load(ctx, root, env)
	if err != nil {
		return nil, err
	}
	c, err := newCluster(project, root, dir, cache, log)
	if err != nil {
		return nil, err
	}
	return c, c.needs()
}

// suite runs the end-to-end suite on the cluster; pattern narrows it, none leaves it out.
func (c *cluster) suite(ctx context.Context, pattern string) error {
	if pattern == "none" {
		return nil
	}
	args := []string{"test", "-count=1", "-v", "-timeout", "25m", "-run", pattern, "./internal/e2e"}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.root, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "DOCSTREAM_TEST_CLUSTER="+c.dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd.Run()
}
