package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/sync/errgroup"

	"docstream/ops/supervise"
)

// cluster is the services of the compose file as processes of this machine.
type cluster struct {
	root, dir, cache string
	log              *slog.Logger
	services         map[string]types.ServiceConfig
	instances        map[string][]instance
	book             *book

	mu      sync.Mutex
	keepers map[string][]*supervise.Keeper // by service
	file    service
	serving bool
}

// startPatience bounds the start of one service; stopPatience the end of one.
const (
	startPatience = 2 * time.Minute
	stopPatience  = 10 * time.Second
)

// newCluster plans the processes; nothing is started.
func newCluster(project *types.Project, root, dir, cache string, log *slog.Logger) (*cluster, error) {
	c := &cluster{root: root, dir: dir, cache: cache, log: log, services: map[string]types.ServiceConfig{}, instances: map[string][]instance{},
		keepers: map[string][]*supervise.Keeper{}}
	for name, s := range project.Services {
		r, err := runnerOf(instance{name, s})
		if err != nil {
			return nil, err
		}
		if r != nil {
			c.services[name], c.instances[name] = s, replicas(s)
		}
	}
	c.book = newBook(dir, c.instances)
	return c, nil
}

// start brings every service up, each after what it depends on.
func (c *cluster) start(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	up := map[string]chan struct{}{}
	for name := range c.services {
		up[name] = make(chan struct{})
	}
	for name, s := range c.services {
		g.Go(func() error {
			for dep := range s.DependsOn {
				if err := wait(ctx, up[dep]); err != nil {
					return err
				}
			}
			began := time.Now()
			if err := c.bring(ctx, s); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			c.log.Info("up", "service", name, "replicas", len(c.instances[name]), "seconds", seconds(began))
			close(up[name])
			return nil
		})
	}
	return g.Wait()
}

// wait waits for a service to be up; one that is left out is waited for by nobody.
func wait(ctx context.Context, up chan struct{}) error {
	if up == nil {
		return nil
	}
	select {
	case <-up:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// bring starts the instances of one service and waits until each answers its health check, or runs it to its end where it is a task.
func (c *cluster) bring(ctx context.Context, s types.ServiceConfig) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startPatience, errors.New("it took too long"))
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	for _, in := range c.instances[s.Name] {
		if s.Restart == types.RestartPolicyOnFailure {
			g.Go(func() error { return c.task(ctx, in) })
			continue
		}
		g.Go(func() error { return c.keep(ctx, in) })
	}
	return g.Wait()
}

// task runs an instance to its end, again where it fails.
func (c *cluster) task(ctx context.Context, in instance) error {
	for {
		err := c.try(ctx, in)
		if err == nil {
			return nil
		}
		c.log.Warn("the task failed", "task", in.name, "error", err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(time.Second):
		}
	}
}

// try runs a task once.
func (c *cluster) try(ctx context.Context, in instance) error {
	if repository(in.service.Image) != ours {
		return c.createTopic(ctx, in)
	}
	_, err := c.once(ctx, in, c.program(in)[1:]...)
	return err
}

// once runs our own program with the environment of an instance and returns the last line of what it prints.
func (c *cluster) once(ctx context.Context, in instance, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.bin("docstream"), args...)
	cmd.Env = append(c.inherited(), pairs(c.book.environment(in))...)
	var says bytes.Buffer
	cmd.Stderr = &says
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, lastLine(says.Bytes()))
	}
	return lastLine(out), nil
}

// keep starts an instance under a keeper, which starts it again when it dies, and waits until it serves.
func (c *cluster) keep(ctx context.Context, in instance) error {
	r, err := runnerOf(in)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(c.dir, in.name), 0o700); err != nil {
		return err
	}
	spec, err := r(c, in)
	if err != nil {
		return err
	}
	spec.Name, spec.Log = in.name, filepath.Join(c.dir, "logs", in.name+".log")
	k := supervise.New(spec, c.log, c.announce)
	if err := k.Start(); err != nil {
		return err
	}
	c.mu.Lock()
	c.keepers[in.service.Name] = append(c.keepers[in.service.Name], k)
	c.mu.Unlock()
	if spec.Says {
		_, err = k.Said(ctx)
	} else {
		err = c.healthy(ctx, k, in)
	}
	if err == nil {
		k.Settle()
	}
	return err
}

// stop takes the services down, each after those that depend on it.
func (c *cluster) stop() {
	c.mu.Lock()
	c.serving = false
	c.mu.Unlock()
	down := map[string]chan struct{}{}
	for name := range c.services {
		down[name] = make(chan struct{})
	}
	var all sync.WaitGroup
	for name := range c.services {
		all.Go(func() {
			defer close(down[name])
			for other, s := range c.services {
				if _, depends := s.DependsOn[name]; depends {
					<-down[other]
				}
			}
			c.mu.Lock()
			keepers := c.keepers[name]
			c.mu.Unlock()
			var each sync.WaitGroup
			for _, k := range keepers {
				each.Go(func() { k.Stop(stopPatience) })
			}
			each.Wait()
		})
	}
	all.Wait()
}

func seconds(since time.Time) string { return fmt.Sprintf("%.1f", time.Since(since).Seconds()) }
