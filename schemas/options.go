package schemas

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The values of the options that are a choice. Off is also what the switches tables and figures are set to where they are not on.
var (
	OCRModes = []string{"auto", Force, Off}
	Switches = []string{On, Off}
)

// Force and Off are values of the ocr option; On and Off those of the switches.
const (
	Force = "force"
	Off   = "off"
	On    = "on"
)

// The bounds of the options that are numbers, and of the list of languages.
const (
	MinDPI       = 50
	MaxDPI       = 400
	MaxLanguages = 20
)

var languageForm = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}$`)

// ErrOption says which option has a value outside its documented set; a client is told no more than the field.
type ErrOption struct{ Field, Problem string }

func (e ErrOption) Error() string { return e.Field + ": " + e.Problem }

// Check refuses options outside their documented sets. Whoever takes options from outside asks: the gateway, and prepare, because the
// documents lanes are written by others, too.
func (o Options) Check() error {
	if _, err := ParseRanges(o.Pages); err != nil {
		return ErrOption{"pages", err.Error()}
	}
	choice := func(field, value string, of []string) error {
		if value != "" && !slices.Contains(of, value) {
			return ErrOption{field, fmt.Sprintf("%q is none of %v", value, of)}
		}
		return nil
	}
	number := func(field string, value, least, most int) error {
		if value != 0 && (value < least || value > most) {
			return ErrOption{field, fmt.Sprintf("%d is not %d to %d", value, least, most)}
		}
		return nil
	}
	if len(o.Languages) > MaxLanguages {
		return ErrOption{"languages", "too many"}
	}
	for _, l := range o.Languages {
		if !languageForm.MatchString(l) {
			return ErrOption{"languages", fmt.Sprintf("%q is no language code", l)}
		}
	}
	return errors.Join(choice("ocr", o.OCR, OCRModes), choice("tables", o.Tables, Switches), choice("figures", o.Figures, Switches),
		number("dpi", o.DPI, MinDPI, MaxDPI), number("max_pages", o.MaxPages, 1, 1<<30))
}

// Canonical writes options that mean the same in the same way: it is part of the pipeline version. Options that came later say nothing where
// they are left out, so that versions from before them stay what they were.
func (o Options) Canonical() string {
	pages, ocr := o.Pages, o.OCR
	if s, err := ParseRanges(o.Pages); err == nil {
		pages = s.String()
	}
	if ocr == "" {
		ocr = OCRModes[0]
	}
	out := fmt.Sprintf("ocr=%s pages=%s formats=%s", ocr, pages, strings.Join(distinct(o.OutputFormats), ","))
	if l := distinct(o.Languages); len(l) > 0 {
		out += " languages=" + strings.Join(l, ",")
	}
	if o.Tables == Off {
		out += " tables=off"
	}
	if o.Figures == Off || o.Figures == On {
		out += " figures=" + o.Figures
	}
	if o.DPI != 0 {
		out += fmt.Sprintf(" dpi=%d", o.DPI)
	}
	if o.MaxPages != 0 {
		out += fmt.Sprintf(" max_pages=%d", o.MaxPages)
	}
	return out
}

func distinct(of []string) []string { return slices.Compact(slices.Sorted(slices.Values(of))) }
