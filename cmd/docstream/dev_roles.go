package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"docstream/internal/topology"
	"docstream/ops/supervise"
)

// On one machine, accepting a document must not wait for the work on others, nor a page that somebody waits for until rows and archives of
// earlier ones are written. Niceness alone does not do it: a task that wakes is put where it last ran, so what yields must also leave
// processors alone, and gets half of them. The engine's children, one thread each, lie between the two.
const (
	background = 10 // niceness of the stages: what nobody waits for within a request
	afterwards = 19 // of the sinks and ClickHouse: what is done once a page is there
)

// role is one of our own processes.
type role struct {
	name   string // of the process, its log and its metrics port
	args   []string
	config []string // settings of this role alone
}

// roles lists the workers of one machine. Reading pages gets a process of its own, so that killing it hurts no other stage.
func (s *supervisor) roles() []role {
	few := strconv.Itoa(max(1, s.options.workers/2))
	// Small batches of pages: a person sees the pages come in, and a killed worker has little to look up again.
	batch := strconv.Itoa(max(4, s.options.workers))
	all := strconv.Itoa(s.options.workers)
	return []role{
		{"prepare", []string{"processor", "--stages", "prepare", "--class", "cpu"}, []string{"engine.slots=" + few, "stream.slots=" + all}},
		{"fetch", []string{"processor", "--stages", "fetch"}, nil},
		{"ocr", []string{"processor", "--stages", "layout,ocr", "--class", "gpu", "--device", "cpu"}, []string{"engine.slots=" + all, "stream.slots=" + strconv.Itoa(s.options.workers+1), "stream.batch=" + batch}},
		{"track", []string{"processor", "--stages", "track,compose,tally,deliver", "--class", "cpu"}, nil},
	}
}

// configure fills in where everything is: the same keys that production sets, so that the code path is the same.
func (s *supervisor) configure() {
	c := &s.config
	c.HouseKey = HouseKey{ID: houseKeyID, Secret: s.secrets.HouseKey}
	c.Kafka.Brokers, c.Kafka.Registry = []string{s.local("kafka")}, "http://"+s.local("registry")
	if s.options.kafka != "" {
		c.Kafka.Brokers, c.Kafka.Registry = strings.Split(s.options.kafka, ","), s.options.registry
	}
	if c.Objects.Endpoint = s.options.s3; s.options.s3 == "" {
		c.Objects.Endpoint, c.Objects.PathStyle = "http://"+s.local("s3"), true
		c.Objects.AccessKey, c.Objects.SecretKey = s.secrets.S3AccessKey, s.secrets.S3SecretKey
	}
	c.Prepare.SourceDir = s.folder.path("work", "sources")
	c.Prepare.CompileDir = compiled(*c)
	c.Telemetry.Metrics = "" // each role gets its own
	c.ClickHouse.DSN = "http://" + s.local("clickhouse")
	c.View.Dir = s.folder.path("work", "view")
	c.Gateway.Listen = strings.TrimPrefix(s.serving.API, "http://")

	d := &s.serving
	d.APIReference = d.API + "/openapi.json"
	d.Kafka, d.Registry = strings.Join(c.Kafka.Brokers, ","), c.Kafka.Registry
	d.TopicsPrefix = c.Topics.Prefix
	d.S3, d.S3Bucket, d.S3AccessKey, d.S3SecretKey = c.Objects.Endpoint, c.Objects.Bucket, c.Objects.AccessKey, c.Objects.SecretKey
	d.Metrics = "http://" + s.local("metrics") + "/metrics"
	d.APIKey, d.Data = s.secrets.APIKey, s.folder.dir
	if s.analytics() {
		d.ClickHouse = "http://" + s.local("clickhouse")
	}
}

// compiled is where the compiled PDF engine is kept: beside the models, so that every service of this machine starts fast.
func compiled(c Config) string { return filepath.Join(filepath.Dir(c.Models.Folder()), "compiled") }

// startRoles starts our own processes at once and waits until each says that it is ready.
func (s *supervisor) startRoles(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, r := range s.roles() {
		g.Go(func() error { return s.role(ctx, &s.work, r, "http://"+s.local(r.name)+"/readyz") })
	}
	to := []string{topology.S3.Name, topology.Ended.Name}
	if s.analytics() {
		to = append(to, topology.ClickHouse.Name)
	}
	g.Go(func() error {
		return s.role(ctx, &s.sinks, role{name: "sink", args: []string{"sink", "--to", strings.Join(to, ",")}}, "http://"+s.local("sink")+"/readyz")
	})
	g.Go(func() error {
		return s.role(ctx, &s.intake, role{name: "gateway", args: []string{"gateway"}}, s.serving.API+"/readyz")
	})
	return g.Wait()
}

// role starts one process of ours. Its configuration, the house key included, travels in its environment and never on a command line.
func (s *supervisor) role(ctx context.Context, group *[]*supervise.Keeper, r role, readyAt string) error {
	exe, err := self()
	if err != nil {
		return err
	}
	env := append(s.inherited(), environment(s.config)...)
	if _, ok := s.ports[r.name]; ok {
		env = append(env, "DOCSTREAM_TELEMETRY_METRICS="+s.local(r.name))
	}
	command := append([]string{exe, "--lifeline"}, r.args...)
	for _, set := range r.config {
		command = append(command, "--set", set)
	}
	spec := supervise.Spec{Name: r.name, Env: env, Command: command}
	if group != &s.intake {
		spec.Nice = background
		if group == &s.sinks {
			spec.Nice = afterwards
		}
		spec.Env = append(spec.Env, fmt.Sprintf("GOMAXPROCS=%d", max(1, runtime.NumCPU()/2)))
	}
	k, err := s.keep(group, spec)
	if err != nil {
		return err
	}
	if err := s.ready(ctx, k, readyAt); err != nil {
		return err
	}
	s.log.Info("role is ready", "role", r.name, "pid", k.PID(), "at", time.Now().UTC().Format(time.RFC3339))
	return nil
}
