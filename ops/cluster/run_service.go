package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"docstream/ops/supervise"
)

// ours is the image of our own program.
const ours = "docstream"

// runner turns an instance into a process of this machine.
type runner func(*cluster, instance) (supervise.Spec, error)

// runners say, image by image, what stands for a container here.
var runners = map[string]runner{
	ours:                                  (*cluster).role,
	"apache/kafka":                        (*cluster).kafka,
	"apicurio/apicurio-registry-kafkasql": (*cluster).registry,
	"versity/versitygw":                   (*cluster).objects,
	"clickhouse/clickhouse-server":        (*cluster).clickhouse,
	"nginxinc/nginx-unprivileged":         (*cluster).nginx,
	"prom/prometheus":                     (*cluster).prometheus,
}

// leftOut are the images that nothing stands for here, each with the reason.
var leftOut = map[string]string{
	"prom/alertmanager": "nobody is told of alerts on a machine for testing",
	"grafana/grafana":   "nobody looks",
}

// role runs a role of ours: the very command line and environment of the compose file.
func (c *cluster) role(in instance) (supervise.Spec, error) {
	return supervise.Spec{Command: c.program(in), Env: append(c.inherited(), pairs(c.book.environment(in))...)}, nil
}

// program is the command line of an instance of ours.
func (c *cluster) program(in instance) []string {
	command := []string{c.bin("docstream")}
	for _, arg := range in.service.Command {
		command = append(command, c.book.local(in, arg))
	}
	return command
}

// registry runs Apicurio from its pinned archive. It keeps the schemas in memory: the flavour that keeps them in Kafka is an image only.
func (c *cluster) registry(in instance) (supervise.Spec, error) {
	env := c.book.environment(in)
	host, port, _ := strings.Cut(c.book.address(in, "8080"), ":")
	command := append([]string{"java"}, strings.Fields(env["JAVA_OPTS_APPEND"])...)
	jar := c.apicurio()
	return supervise.Spec{Command: append(command, "-jar", jar), Env: append(c.inherited(), "QUARKUS_HTTP_HOST="+host, "QUARKUS_HTTP_PORT="+port)}, nil
}

// apicurio is the registry's program in the cache.
func (c *cluster) apicurio() string {
	found, _ := filepath.Glob(filepath.Join(c.cache, "apicurio", "*", "*-runner.jar")) // the pattern is a good one
	if len(found) == 0 {
		return ""
	}
	slices.Sort(found)
	return found[len(found)-1]
}

// objects runs the same S3 server as a part of its own.
func (c *cluster) objects(in instance) (supervise.Spec, error) {
	env := c.book.environment(in)
	keys := []string{"DOCSTREAM_PARTS_S3_ACCESS_KEY=" + env["ROOT_ACCESS_KEY"], "DOCSTREAM_PARTS_S3_SECRET_KEY=" + env["ROOT_SECRET_KEY"]}
	return supervise.Spec{Says: true, Env: append(c.inherited(), keys...),
		Command: []string{c.bin("docstream-parts"), "s3", "--lifeline", "--data", env["VGW_BACKEND_ARG"], "--listen", env["VGW_PORT"], "--bucket", "parts"}}, nil
}

// clickhouse runs ClickHouse's engine behind its HTTP interface.
func (c *cluster) clickhouse(in instance) (supervise.Spec, error) {
	return supervise.Spec{Says: true, Env: c.inherited(),
		Command: []string{c.bin("docstream-parts"), "clickhouse", "--lifeline", "--data", filepath.Join(c.dir, in.name, "clickhouse"),
			"--listen", c.book.address(in, "8123"), "--lib", filepath.Join(c.cache, "parts", "libchdb.so")}}, nil
}

// nginx runs Debian's nginx as one process, so that none is left behind, whatever ends it.
func (c *cluster) nginx(in instance) (supervise.Spec, error) {
	dir := filepath.Join(c.dir, in.name)
	conf, err := c.nginxFiles(in, dir)
	return supervise.Spec{Env: c.inherited(),
		Command: []string{"nginx", "-p", dir, "-e", "stderr", "-c", conf, "-g", "daemon off; master_process off;"}}, err
}

// prometheus runs Debian's Prometheus with the flags of the compose file.
func (c *cluster) prometheus(in instance) (supervise.Spec, error) {
	conf, err := c.prometheusFile(in, filepath.Join(c.dir, in.name))
	command := []string{"prometheus"}
	for _, flag := range in.service.Command {
		name, value, _ := strings.Cut(flag, "=")
		if name == "--config.file" {
			value = conf
		}
		command = append(command, name+"="+c.book.local(in, value))
	}
	return supervise.Spec{Command: append(command, "--web.listen-address="+c.book.address(in, "9090")), Env: c.inherited()}, err
}

func (c *cluster) bin(name string) string { return filepath.Join(c.root, "bin", name) }

// inherited is the environment every process gets of ours: nothing of our own settings but where the parts are.
func (c *cluster) inherited() []string {
	out := []string{"DOCSTREAM_CACHE=" + c.cache}
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "DOCSTREAM_") {
			out = append(out, pair)
		}
	}
	return out
}

// runnerOf finds what stands for a service; none and no error where it is left out.
func runnerOf(in instance) (runner, error) {
	image := repository(in.service.Image)
	if r, ok := runners[image]; ok {
		return r, nil
	}
	if _, ok := leftOut[image]; ok {
		return nil, nil
	}
	return nil, fmt.Errorf("nothing here stands for the image %s", image)
}
