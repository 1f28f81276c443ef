package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"docstream/ops/supervise"
)

// supervisor starts the parts and the roles of one machine, in order, and stops them in the other.
type supervisor struct {
	*program
	options devOptions
	folder  *folder
	log     *slog.Logger

	secrets secrets
	ports   map[string]int
	config  Config
	metrics *http.Server

	// In the order of stopping: intake first, then work, then what the work stands on.
	intake, work, sinks, parts []*supervise.Keeper

	mu       sync.Mutex
	serving  service
	complete bool // everything serves: dev.json is written at each change
}

// start brings everything up. On an error the caller stops what runs.
func (s *supervisor) start(ctx context.Context) error {
	began := time.Now()
	if err := s.prepare(); err != nil {
		return err
	}
	if err := s.startParts(ctx); err != nil {
		return err
	}
	if err := s.lay(ctx); err != nil {
		return err
	}
	if err := s.startRoles(ctx); err != nil {
		return err
	}
	if err := s.serveMetrics(); err != nil {
		return err
	}
	for _, k := range s.all() {
		k.Settle()
	}
	s.mu.Lock()
	s.complete = true
	s.mu.Unlock()
	s.announce()
	s.say("everything serves after %.1f s", time.Since(began).Seconds())
	return nil
}

// prepare finds out what to run, with which secrets, at which ports.
func (s *supervisor) prepare() (err error) {
	if err = s.findParts(); err != nil {
		return err
	}
	if s.config, err = s.program.config(); err != nil {
		return err
	}
	if err = s.config.Models.Check(); err != nil {
		return fail(exitFailed, "the models are not complete (%s): run make parts", oneLine(err))
	}
	if s.secrets, err = s.folder.secrets(); err != nil {
		return err
	}
	if err = s.choosePorts(); err != nil {
		return err
	}
	s.configure()
	return s.config.Validate()
}

// choosePorts gives every process its address; an address asked for that is taken is an error, not a reason to move.
func (s *supervisor) choosePorts() error {
	host, port, err := address(s.options.listen)
	if err != nil {
		return err
	}
	names := []string{"api", "metrics", "kafka", "registry", "s3", "clickhouse", "prepare", "fetch", "ocr", "track", "sink"}
	preferred := map[string]int{}
	if s.options.listen == "" {
		preferred["api"] = 8080
	}
	if s.ports, err = s.folder.ports(names, preferred); err != nil {
		return err
	}
	s.serving.API = "http://" + s.local("api")
	if port != "" {
		addr := net.JoinHostPort(host, port)
		if !free(addr) {
			return fail(exitFailed, "%s is taken: stop what listens there, or say --listen HOST:PORT", addr)
		}
		s.serving.API = "http://" + addr
	} else if host != "127.0.0.1" {
		s.serving.API = "http://" + net.JoinHostPort(host, fmt.Sprint(s.ports["api"]))
	}
	return nil
}

// local is the address of a named port.
func (s *supervisor) local(name string) string { return fmt.Sprintf("127.0.0.1:%d", s.ports[name]) }

// keep starts a child under a keeper and puts it into its group.
func (s *supervisor) keep(group *[]*supervise.Keeper, spec supervise.Spec) (*supervise.Keeper, error) {
	spec.Log = s.folder.path("logs", spec.Name+".log")
	k := supervise.New(spec, s.log, s.announce)
	if err := k.Start(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	*group = append(*group, k)
	s.mu.Unlock()
	return k, nil
}

func (s *supervisor) all() []*supervise.Keeper {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*supervise.Keeper
	for _, g := range [][]*supervise.Keeper{s.intake, s.work, s.sinks, s.parts} {
		out = append(out, g...)
	}
	return out
}

// service is what dev.json says now.
func (s *supervisor) service() service {
	all := s.all()
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.serving
	d.PIDs = map[string]int{"dev": os.Getpid()}
	for _, k := range all {
		d.PIDs[k.Name()] = k.PID()
	}
	return d
}

// announce writes dev.json once everything serves, and again whenever a process was started anew.
func (s *supervisor) announce() {
	d := s.service()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.complete {
		return
	}
	if err := s.folder.announce(d); err != nil {
		s.log.Error("dev.json cannot be written", "error", err)
	}
}

// wait returns when ctx ends.
func (s *supervisor) wait(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// stop takes everything down in order, all of it within stopPatience.
func (s *supervisor) stop() {
	s.mu.Lock()
	s.complete = false
	groups := [][]*supervise.Keeper{s.intake, s.work, s.sinks, s.parts}
	s.mu.Unlock()
	if err := s.folder.forget(); err != nil {
		s.log.Error("dev.json cannot be removed", "error", err)
	}
	if s.metrics != nil {
		_ = s.metrics.Close() // it only ever read
	}
	end := time.Now().Add(stopPatience)
	for i, group := range groups {
		// Each group may use half of what is left, the last all of it: the parts always get their turn.
		patience := time.Until(end) / 2
		if i == len(groups)-1 {
			patience = time.Until(end)
		}
		var wg sync.WaitGroup
		for _, k := range group {
			wg.Go(func() { k.Stop(patience) })
		}
		wg.Wait()
	}
}

// ready waits until an address answers 200, or the child behind it is given up.
func (s *supervisor) ready(ctx context.Context, k *supervise.Keeper, url string) error {
	c := http.Client{Timeout: 2 * time.Second}
	for {
		if err := k.Failed(); err != nil {
			return err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if res, err := c.Do(r); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w (see %s)", k.Name(), context.Cause(ctx), s.folder.path("logs", k.Name()+".log"))
		case <-time.After(25 * time.Millisecond):
		}
	}
}

// say tells a person, or the log, what happens.
func (s *supervisor) say(format string, a ...any) {
	if terminal(s.stderr) {
		fmt.Fprintf(s.stderr, "docstream: "+format+"\n", a...)
		return
	}
	s.log.Info(fmt.Sprintf(format, a...))
}

// line is what a part says when it serves.
type line struct {
	Addr     string `json:"addr"`
	Registry string `json:"registry"`
	Version  string `json:"version"`
}

func readLine(text string) (line, error) {
	var l line
	if err := json.Unmarshal([]byte(text), &l); err != nil || l.Addr == "" {
		return l, errors.New("the part said something that cannot be read: " + text)
	}
	return l, nil
}
