package main

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// setting is one key of the configuration, as the struct that owns it declares it.
type setting struct {
	key    string // section.key
	value  reflect.Value
	secret bool
}

// env is the variable that sets the key.
func (s setting) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

// text is the value as a variable or a flag would give it.
func (s setting) text() string {
	if list(s.value.Type()) {
		if s.value.Len() == 0 {
			return ""
		}
		b, _ := json.Marshal(entries(s.value)) // of maps and scalars: it cannot fail
		return string(b)
	}
	if s.value.Kind() == reflect.Slice {
		parts := make([]string, s.value.Len())
		for i := range parts {
			parts[i] = fmt.Sprint(s.value.Index(i).Interface())
		}
		return strings.Join(parts, ",")
	}
	return fmt.Sprint(s.value.Interface())
}

// list reports whether a setting is a list of entries that have keys of their own.
func list(t reflect.Type) bool { return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct }

// entry is one entry of such a list, its keys in the order of the struct.
type entry struct {
	keys   []string
	values map[string]any
}

func entries(v reflect.Value) []entry {
	out := []entry{}
	for i := range v.Len() {
		e := entry{values: map[string]any{}}
		for _, s := range settings(v.Index(i)) {
			if !s.value.IsZero() {
				e.keys, e.values[s.key] = append(e.keys, s.key), s.value.Interface()
			}
		}
		out = append(out, e)
	}
	return out
}

// MarshalJSON writes what differs from the zero value.
func (e entry) MarshalJSON() ([]byte, error) { return json.Marshal(e.values) }

// MarshalYAML writes the same as one line, in the struct's order.
func (e entry) MarshalYAML() (any, error) {
	m := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	for _, k := range e.keys {
		m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: k}, scalar(reflect.ValueOf(e.values[k]), false))
	}
	return m, nil
}

// settings lists the keys of a configuration in the order its structs declare them.
func settings(v reflect.Value) []setting { return appendSettings(nil, "", v) }

func appendSettings(out []setting, prefix string, v reflect.Value) []setting {
	t := v.Type()
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("koanf")
		key := name
		if prefix != "" {
			key = prefix + "." + name
		}
		if name == "" || name == "-" || derived[key] {
			continue
		}
		if f := v.Field(i); f.Kind() == reflect.Struct {
			out = appendSettings(out, key, f)
		} else {
			out = append(out, setting{key, f, t.Field(i).Tag.Get("secret") == "true"})
		}
	}
	return out
}

func find(known []setting, key string) *setting {
	for i := range known {
		if known[i].key == key {
			return &known[i]
		}
	}
	return nil
}

// environment returns the variables that hand the named sections to another process of ours, secrets included; all sections where none
// is named. Values equal to the defaults are left out.
func environment(cfg Config, sections ...string) []string {
	usual := settings(reflect.ValueOf(defaults()))
	var out []string
	for i, s := range settings(reflect.ValueOf(cfg)) {
		name, _, _ := strings.Cut(s.key, ".")
		wanted := len(sections) == 0
		for _, want := range sections {
			wanted = wanted || name == want
		}
		if wanted && s.text() != usual[i].text() {
			out = append(out, s.env()+"="+s.text())
		}
	}
	return out
}

// printYAML writes the configuration, every secret as ***.
func printYAML(w io.Writer, cfg Config) error {
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(node("", reflect.ValueOf(cfg))); err != nil {
		return err
	}
	return e.Close()
}

// node keeps the order of the structs, which a map would lose.
func node(section string, v reflect.Value) *yaml.Node {
	m := &yaml.Node{Kind: yaml.MappingNode}
	t := v.Type()
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("koanf")
		if name == "" || name == "-" || derived[section+name] {
			continue
		}
		f := v.Field(i)
		var value *yaml.Node
		if f.Kind() == reflect.Struct {
			value = node(section+name+".", f)
		} else {
			value = scalar(f, t.Field(i).Tag.Get("secret") == "true")
		}
		m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, value)
	}
	return m
}

func scalar(v reflect.Value, secret bool) *yaml.Node {
	shown := v.Interface()
	switch d, ok := shown.(time.Duration); {
	case secret && !v.IsZero():
		shown = "***"
	case ok:
		shown = d.String()
	}
	if list(v.Type()) {
		shown = entries(v)
	}
	n := &yaml.Node{}
	if err := n.Encode(shown); err != nil {
		return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(shown)}
	}
	if n.Kind == yaml.SequenceNode && (!list(v.Type()) || v.Len() == 0) {
		n.Style = yaml.FlowStyle
	}
	return n
}
