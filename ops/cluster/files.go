package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// bound is the file of the repository that a service sees at a path.
func bound(in instance, target string) (string, error) {
	for _, v := range in.service.Volumes {
		if v.Type == "bind" && v.Target == target {
			return v.Source, nil
		}
	}
	return "", fmt.Errorf("%s sees no file at %s", in.service.Name, target)
}

// nginxFiles writes the configuration with the addresses and paths of this machine, and nothing else changed.
func (c *cluster) nginxFiles(in instance, dir string) (string, error) {
	source, err := bound(in, "/etc/nginx/nginx.conf")
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(source)
	if err != nil {
		return "", err
	}
	text := string(b)
	gateways := filepath.Join(dir, "gateways.conf")
	changes := []string{
		"listen 8080;", "listen " + c.book.address(in, "8080") + ";",
		"/etc/nginx/gateways.conf", gateways,
		"/tmp/", dir + "/",
		"access_log /dev/stdout line;", "access_log " + filepath.Join(dir, "access.log") + " line;",
		"error_log /dev/stderr warn;", "error_log stderr warn;",
	}
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(text, changes[i]) {
			return "", fmt.Errorf("%s has no %q", source, changes[i])
		}
	}
	var servers strings.Builder
	for _, g := range c.instances["gateway"] {
		fmt.Fprintf(&servers, "    server %s max_fails=0;\n", c.book.address(g, "8080"))
	}
	upstream := "upstream gateways {\n    zone gateways 64k;\n    least_conn;\n" + servers.String() + "    keepalive 32;\n}\n"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(gateways, []byte(upstream), 0o600); err != nil {
		return "", err
	}
	conf := filepath.Join(dir, "nginx.conf")
	return conf, os.WriteFile(conf, []byte(strings.NewReplacer(changes...).Replace(text)), 0o600)
}

// prometheusFile writes the configuration with the addresses of this machine for the names that Docker's resolver would look up.
func (c *cluster) prometheusFile(in instance, dir string) (string, error) {
	source, err := bound(in, "/etc/prometheus/prometheus.yml")
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(source)
	if err != nil {
		return "", err
	}
	var tree any
	if err := yaml.Unmarshal(b, &tree); err != nil {
		return "", fmt.Errorf("%s: %w", source, err)
	}
	var out bytes.Buffer
	if err := yaml.NewEncoder(&out).Encode(c.resolved(in, tree)); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	conf := filepath.Join(dir, "prometheus.yml")
	return conf, os.WriteFile(conf, out.Bytes(), 0o600)
}

// resolved walks the configuration: names become addresses, paths those of this machine.
func (c *cluster) resolved(in instance, v any) any {
	switch v := v.(type) {
	case string:
		return c.book.local(in, v)
	case []any:
		for i := range v {
			v[i] = c.resolved(in, v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = c.resolved(in, v[key])
		}
		if asked, ok := v["dns_sd_configs"].([]any); ok {
			delete(v, "dns_sd_configs")
			v["static_configs"] = []any{map[string]any{"targets": c.targets(asked)}}
		}
	}
	return v
}

// targets are the addresses of every instance of the services that are looked up.
func (c *cluster) targets(asked []any) []any {
	out := []any{}
	for _, a := range asked {
		ask, _ := a.(map[string]any)
		names, _ := ask["names"].([]any)
		for _, name := range names {
			for _, g := range c.instances[fmt.Sprint(name)] {
				out = append(out, c.book.address(g, fmt.Sprint(ask["port"])))
			}
		}
	}
	return out
}
