package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// composeFile is what this program starts, beside the root of the repository.
const composeFile = "docker-compose.kafka.yml"

// load reads the compose file as Docker Compose does, with the variables of an env file.
func load(ctx context.Context, root, envFile string, profiles ...string) (*types.Project, error) {
	o, err := cli.NewProjectOptions([]string{filepath.Join(root, composeFile)},
		cli.WithWorkingDirectory(root), cli.WithEnvFiles(envFile), cli.WithDotEnv, cli.WithProfiles(profiles))
	if err != nil {
		return nil, err
	}
	p, err := o.LoadProject(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", composeFile, err)
	}
	return p, nil
}

// repository is an image without its tag, which says how its service is run here.
func repository(image string) string {
	name, _, _ := strings.Cut(image, "@")
	if i := strings.LastIndex(name, ":"); i > strings.LastIndex(name, "/") {
		name = name[:i]
	}
	return name
}

// instance is one replica of a service.
type instance struct {
	name    string // of its process and its log; a service's only replica has the service's name
	service types.ServiceConfig
}

// fewer says of which services this machine starts fewer replicas than the compose file asks for.
var fewer = map[string]int{"gateway": 2}

// replicas lists the instances of a service on this machine.
func replicas(s types.ServiceConfig) []instance {
	n := s.GetScale()
	if limit, ok := fewer[s.Name]; ok {
		n = min(n, limit)
	}
	if n == 1 {
		return []instance{{s.Name, s}}
	}
	var out []instance
	for i := range n {
		out = append(out, instance{fmt.Sprintf("%s-%d", s.Name, i+1), s})
	}
	return out
}

// smaller replaces sizes that a service of three hosts has and one small machine has not. Nothing else of an environment is changed but
// addresses and paths.
var smaller = map[string]string{
	"KAFKA_HEAP_OPTS":        "-Xms128m -Xmx384m",
	"JAVA_OPTS_APPEND":       "-Xmx384m",
	"DOCSTREAM_ENGINE_SLOTS": "1",
}

// environment is what the compose file gives an instance, with addresses and paths of this machine.
func (b *book) environment(in instance) map[string]string {
	out := map[string]string{}
	for name, value := range in.service.Environment {
		if value == nil {
			continue
		}
		out[name] = b.local(in, *value)
		if small, ok := smaller[name]; ok {
			out[name] = small
		}
	}
	return out
}

// pairs are variables as a process takes them, in order.
func pairs(env map[string]string) []string {
	var out []string
	for name, value := range env {
		out = append(out, name+"="+value)
	}
	slices.Sort(out)
	return out
}
