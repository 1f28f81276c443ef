package gateway

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"docstream/internal/topology"
	"docstream/schemas"
)

// Formats are the outputs a job can compose, in the order they are offered.
var Formats = []string{"markdown", "json", "html", "csv", "text"}

const (
	maxMetadataKeys  = 50
	maxMetadataBytes = 8 << 10
	maxDeadline      = 72 * 60 * 60 // seconds: what waits in the lanes and lies in the store on the way lives longer than that
)

// options is what a client asks for beside the file.
type options struct {
	priority string
	webhook  string // address to tell when the job has ended
	deadline int    // seconds within which the job must have ended; 0: it may take as long as it takes
	asked    schemas.Options
	metadata map[string]string
	dry      bool // only say what would become of it
	fresh    bool // read it even where the same document was read lately
}

func defaultOptions() options {
	return options{priority: "normal", asked: schemas.Options{OCR: schemas.OCRModes[0]}}
}

// invalid refuses the value of an option.
func invalid(field, message string) *refusal {
	return refuse(schemas.InvalidOption, message).with("field", clip(field, 40))
}

// set takes one option. An empty value is the default.
func (o *options) set(name, value string) error {
	trimmed := strings.TrimSpace(value)
	switch name {
	case "priority":
		return choose(name, trimmed, topology.Priorities, &o.priority)
	case "ocr":
		return choose(name, trimmed, schemas.OCRModes, &o.asked.OCR)
	case "tables":
		return turn(name, trimmed, &o.asked.Tables)
	case "figures":
		return choose(name, trimmed, schemas.Switches, &o.asked.Figures)
	case "dpi":
		return number(name, trimmed, schemas.MinDPI, schemas.MaxDPI, &o.asked.DPI)
	case "max_pages":
		return number(name, trimmed, 1, 1_000_000, &o.asked.MaxPages)
	case "languages":
		return o.languages(trimmed)
	case "output_formats":
		return o.formats(trimmed)
	case "pages":
		return o.pages(trimmed)
	case "metadata":
		return o.labels(trimmed)
	case "dry_run":
		return truth(name, trimmed, &o.dry)
	case "cache":
		may := true
		err := truth(name, trimmed, &may)
		o.fresh = !may
		return err
	case "deadline_seconds":
		return number(name, trimmed, 1, maxDeadline, &o.deadline)
	case "webhook_url":
		o.webhook = trimmed
		return nil
	}
	return invalid(name, "There is no such option.").with("allowed", []string{"file", "priority", "output_formats", "ocr", "pages", "languages", "tables", "figures", "dpi", "max_pages", "metadata", "dry_run", "webhook_url", "deadline_seconds", "cache"})
}

func choose(name, value string, allowed []string, into *string) error {
	if value == "" {
		return nil
	}
	if !slices.Contains(allowed, value) {
		return invalid(name, "The value is not one of those allowed.").with("allowed", allowed)
	}
	*into = value
	return nil
}

// turn takes the switch of what is there unless it is off: on says nothing.
func turn(name, value string, into *string) error {
	said := ""
	if err := choose(name, value, schemas.Switches, &said); err != nil {
		return err
	}
	if *into = ""; said == schemas.Off {
		*into = said
	}
	return nil
}

func number(name, value string, least, most int, into *int) error {
	if value == "" {
		return nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		return invalid(name, "The value is not a number within its bounds.").with("least", least).with("most", most)
	}
	*into = n
	return nil
}

// languages adds to the list, which may come as the formats do.
func (o *options) languages(value string) error {
	for l := range strings.SplitSeq(value, ",") {
		if l = strings.TrimSpace(l); l != "" && !slices.Contains(o.asked.Languages, l) {
			o.asked.Languages = append(o.asked.Languages, l)
		}
	}
	slices.Sort(o.asked.Languages)
	if err := (schemas.Options{Languages: o.asked.Languages}).Check(); err != nil {
		return invalid("languages", "Languages are codes such as de or zh-Hans, parted by commas.").with("max_languages", schemas.MaxLanguages)
	}
	return nil
}

func truth(name, value string, into *bool) error {
	if value == "" {
		return nil
	}
	is, err := strconv.ParseBool(value)
	if err != nil {
		return invalid(name, "The value is not one of those allowed.").with("allowed", []string{"true", "false"})
	}
	*into = is
	return nil
}

// formats adds to the list, which may come as one field parted by commas or as several; the order is ours, so that it changes no result.
func (o *options) formats(value string) error {
	for f := range strings.SplitSeq(value, ",") {
		f = strings.TrimSpace(f)
		if f == "" {
			continue
		}
		if !slices.Contains(Formats, f) {
			return invalid("output_formats", "The value is not one of those allowed.").with("allowed", Formats)
		}
		if !slices.Contains(o.asked.OutputFormats, f) {
			o.asked.OutputFormats = append(o.asked.OutputFormats, f)
		}
	}
	slices.SortFunc(o.asked.OutputFormats, func(a, b string) int { return slices.Index(Formats, a) - slices.Index(Formats, b) })
	return nil
}

func (o *options) pages(value string) error {
	set, err := schemas.ParseRanges(value)
	if err != nil {
		return invalid("pages", "A page selection reads like 1-3,7.")
	}
	o.asked.Pages = set.String()
	return nil
}

func (o *options) labels(value string) error {
	if value == "" {
		return nil
	}
	if len(value) > maxMetadataBytes || !utf8.ValidString(value) {
		return invalid("metadata", "The metadata is too large or not UTF-8.").with("max_bytes", maxMetadataBytes)
	}
	var m map[string]string
	if err := json.Unmarshal([]byte(value), &m); err != nil || m == nil {
		return invalid("metadata", "The metadata is a JSON object whose values are strings.")
	}
	if _, unnamed := m[""]; unnamed || len(m) > maxMetadataKeys {
		return invalid("metadata", fmt.Sprintf("The metadata has at most %d keys, none of them empty.", maxMetadataKeys))
	}
	o.metadata = m
	return nil
}
