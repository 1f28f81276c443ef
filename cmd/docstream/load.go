package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/v2"
	"go.yaml.in/yaml/v3"
)

// layers are the places a configuration comes from, each stronger than the one before: defaults, file, environment, flags.
type layers struct {
	file  string   // YAML; empty: none
	env   []string // NAME=value
	flags []string // key=value
}

// ours lists the variables that begin with DOCSTREAM_ and are no key of the configuration, with what they mean.
var ours = map[string]string{
	"DOCSTREAM_CONFIG":        "path of the YAML file",
	"DOCSTREAM_SERVER":        "URL of the gateway, for the client commands",
	"DOCSTREAM_API_KEY":       "API key, for the client commands",
	"DOCSTREAM_DATA":          "folder of a one-machine service",
	"DOCSTREAM_CACHE":         "folder of models and libraries",
	"DOCSTREAM_SAMPLES":       "folder of sample documents, for the tests",
	"DOCSTREAM_ENGINE_LIMITS": "set by a worker for its engine children",
}

// testPrefix begins the variables with which tests speak to their own processes.
const testPrefix = "DOCSTREAM_TEST_"

const envPrefix = "DOCSTREAM_"

// load reads every layer, refuses what no part asks for, and validates the whole.
func load(l layers) (Config, error) {
	known := settings(reflect.ValueOf(defaults()))
	k := koanf.New(".")
	add := func(values map[string]any) error { return k.Load(layer(values), nil) }

	base := map[string]any{}
	for _, s := range known {
		base[s.key] = s.value.Interface()
	}
	fromFile, err := readFile(l.file, known)
	if err != nil {
		return Config{}, err
	}
	fromEnv, err := readEnv(l.env, known)
	if err != nil {
		return Config{}, err
	}
	fromFlags, err := readFlags(l.flags, known)
	if err != nil {
		return Config{}, err
	}
	for _, values := range []map[string]any{base, fromFile, fromEnv, fromFlags} {
		if err := add(values); err != nil {
			return Config{}, err
		}
	}
	cfg, err := decode(k)
	if err != nil {
		return Config{}, err
	}
	cfg.derive()
	return cfg, cfg.Validate()
}

// layer hands koanf one layer, already flat.
type layer map[string]any

// ReadBytes is not offered: a layer is no file.
func (layer) ReadBytes() ([]byte, error) { return nil, errors.New("a layer has no bytes") }

// Read returns the layer as the tree koanf merges.
func (l layer) Read() (map[string]any, error) {
	tree := map[string]any{}
	for key, v := range l {
		at := tree
		parts := strings.Split(key, ".")
		for _, p := range parts[:len(parts)-1] {
			next, ok := at[p].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[p] = next
			}
			at = next
		}
		at[parts[len(parts)-1]] = v
	}
	return tree, nil
}

// decode turns the merged layers into the typed configuration.
func decode(k *koanf.Koanf) (Config, error) {
	var cfg Config
	err := k.UnmarshalWithConf("", &cfg, koanf.UnmarshalConf{Tag: "koanf", DecoderConfig: &mapstructure.DecoderConfig{
		Result: &cfg, TagName: "koanf", WeaklyTypedInput: true, ErrorUnused: true,
		DecodeHook: mapstructure.ComposeDecodeHookFunc(mapstructure.StringToTimeDurationHookFunc(), listHook, bytesHook),
	}})
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %s", oneLine(err))
	}
	return cfg, nil
}

// listHook reads a list given as text: entries parted by commas, blanks around them dropped; one whose entries have keys is JSON or YAML.
func listHook(from, to reflect.Type, v any) (any, error) {
	if from.Kind() != reflect.String || to.Kind() != reflect.Slice {
		return v, nil
	}
	if list(to) {
		entries := []map[string]any{}
		if err := yaml.Unmarshal([]byte(v.(string)), &entries); err != nil {
			return nil, errors.New("want a list such as [{key: value}]")
		}
		return entries, nil
	}
	out := []string{}
	for _, s := range strings.Split(v.(string), ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out, nil
}

// bytesHook reads a number with a unit of 1024, such as 64MiB, wherever a number of 64 bits is wanted.
func bytesHook(from, to reflect.Type, v any) (any, error) {
	if from.Kind() != reflect.String || to.Kind() != reflect.Int64 || to == reflect.TypeFor[time.Duration]() {
		return v, nil
	}
	text := v.(string)
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%q is no size", text)
			}
			return n << (10 * (i + 1)), nil
		}
	}
	return v, nil
}

// readFile reads the YAML file; a key no part knows is an error that names it.
func readFile(path string, known []setting) (map[string]any, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(b, &tree); err != nil {
		return nil, fmt.Errorf("configuration: %s: %s", path, oneLine(err))
	}
	out := map[string]any{}
	var unknown []string
	flatten("", tree, known, out, &unknown)
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return nil, fmt.Errorf("configuration: %s: unknown key %s", path, strings.Join(unknown, ", "))
	}
	return out, nil
}

func flatten(prefix string, v any, known []setting, out map[string]any, unknown *[]string) {
	if find(known, prefix) != nil {
		out[prefix] = v
		return
	}
	tree, ok := v.(map[string]any)
	if !ok {
		if v != nil || !section(known, prefix) { // an empty section is no mistake
			*unknown = append(*unknown, prefix)
		}
		return
	}
	for key, child := range tree {
		path := key
		if prefix != "" {
			path = prefix + "." + key
		}
		flatten(path, child, known, out, unknown)
	}
}

func section(known []setting, prefix string) bool {
	return prefix == "" || slices.ContainsFunc(known, func(s setting) bool { return strings.HasPrefix(s.key, prefix+".") })
}

// readEnv takes the variables that begin with DOCSTREAM_: each is a key, or one of ours, or an error.
func readEnv(env []string, known []setting) (map[string]any, error) {
	byName := map[string]string{}
	for _, s := range known {
		byName[s.env()] = s.key
	}
	out := map[string]any{}
	var unknown []string
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, envPrefix) || strings.HasPrefix(name, testPrefix) || ours[name] != "" {
			continue
		}
		key, ok := byName[name]
		if !ok {
			unknown = append(unknown, name)
			continue
		}
		out[key] = value
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return nil, fmt.Errorf("configuration: unknown variable %s", strings.Join(unknown, ", "))
	}
	return out, nil
}

// readFlags takes key=value pairs.
func readFlags(flags []string, known []setting) (map[string]any, error) {
	out := map[string]any{}
	for _, f := range flags {
		key, value, ok := strings.Cut(f, "=")
		if !ok {
			return nil, fmt.Errorf("configuration: --set %s: want key=value", f)
		}
		if find(known, key) == nil {
			return nil, fmt.Errorf("configuration: unknown key %s", key)
		}
		out[key] = value
	}
	return out, nil
}

// oneLine joins what a library says in several lines.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
