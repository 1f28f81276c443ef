package xlsx

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/xuri/excelize/v2"

	"docstream/processors/prepare/formats"
)

const (
	maxCodes  = 4096   // number formats of one workbook that are looked at
	maxCached = 20_000 // values that were formatted
	scratch   = "Sheet1"
)

// formatter writes numbers the way their cells' formats say. It has excelize format them in a workbook of one cell.
type formatter struct {
	codes  []string // format by style; "" is General
	ids    []int    // built-in format by style, where there is no code
	book   *excelize.File
	styles map[string]int // style of the scratch workbook by code or built-in number
	cached map[key]string
	old    bool // days count from 1904
}

// moment reads a date or a time in ISO 8601.
func moment(value string) (time.Time, bool) {
	value = strings.TrimSuffix(strings.TrimSpace(value), "Z")
	for _, layout := range []string{"2006-01-02T15:04:05.999", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, value); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

type key struct {
	style int
	value string
}

func (b *book) readStyles(main string, old bool) (*formatter, error) {
	f := &formatter{book: excelize.NewFile(), styles: map[string]int{}, cached: map[key]string{}, old: old}
	if err := f.book.SetWorkbookProps(&excelize.WorkbookPropsOptions{Date1904: &old}); err != nil {
		return nil, formats.Corrupt(err)
	}
	name := b.pkg.Related(main, "styles")
	if name == "" {
		return f, nil
	}
	t, err := b.pkg.Tree(name)
	if err != nil {
		return nil, err
	}
	codes := map[string]string{}
	for _, n := range t.Child("numFmts").All("numFmt") {
		codes[n.Attr("numFmtId")] = n.Attr("formatCode")
	}
	for _, x := range t.Child("cellXfs").All("xf") {
		id, _ := strconv.Atoi(x.Attr("numFmtId"))
		f.ids = append(f.ids, id)
		f.codes = append(f.codes, codes[x.Attr("numFmtId")])
	}
	return f, nil
}

// format writes a value: a number, or for iso a date in ISO 8601.
func (f *formatter) format(value string, style int, iso bool) string {
	v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if iso {
		if t, ok := moment(value); ok {
			v, err = float64(t.UnixMilli())/86_400_000+25_569, nil
			if f.old {
				v -= 1462
			}
		}
	}
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		return value
	}
	if style < 0 || style >= len(f.ids) || f.ids[style] == 0 && f.codes[style] == "" || strings.EqualFold(f.codes[style], "general") {
		return general(v)
	}
	k := key{style, value}
	if s, ok := f.cached[k]; ok {
		return s
	}
	s := f.shown(v, f.ids[style], f.codes[style])
	if len(f.cached) == maxCached {
		clear(f.cached)
	}
	f.cached[k] = s
	return s
}

// builtin are the formats that Excel shows otherwise than the library does. Those from 27 on are of East Asia.
var builtin = map[int]string{5: `"$"#,##0_);("$"#,##0)`, 6: `"$"#,##0_);("$"#,##0)`, 7: `"$"#,##0.00_);("$"#,##0.00)`, 8: `"$"#,##0.00_);("$"#,##0.00)`,
	12: "# ?/?", 13: "# ??/??", 14: "m/d/yyyy", 20: "h:mm", 21: "h:mm:ss", 22: "m/d/yyyy h:mm",
	27: monthCJK, 28: dayCJK, 29: dayCJK, 30: "m/d/yy", 31: `yyyy"年"m"月"d"日"`, 32: "h:mm", 33: "h:mm:ss", 34: "h:mm AM/PM", 35: "h:mm:ss AM/PM", 36: monthCJK,
	41: `_(* #,##0_);_(* \(#,##0\);_(* "-"_);_(@_)`, 42: `_($* #,##0_);_($* \(#,##0\);_($* "-"_);_(@_)`, 43: `_(* #,##0.00_);_(* \(#,##0.00\);_(* "-"??_);_(@_)`,
	44: `_($* #,##0.00_);_($* \(#,##0.00\);_($* "-"??_);_(@_)`, 48: "##0.0E+0",
	50: monthCJK, 51: dayCJK, 52: monthCJK, 53: dayCJK, 54: dayCJK, 55: "h:mm AM/PM", 56: "h:mm:ss AM/PM", 57: monthCJK, 58: dayCJK}

const (
	monthCJK = `yyyy"年"m"月"`
	dayCJK   = `m"月"d"日"`
)

// shown has the library format a number. A format that it cannot read, or breaks on, shows the number as it is.
func (f *formatter) shown(v float64, id int, code string) (s string) {
	defer func() {
		if recover() != nil {
			s = general(v)
		}
	}()
	if code == "" {
		code = builtin[id]
	}
	if s, ok := plainly(code, v); ok {
		return strings.TrimSpace(s)
	}
	if s, ok := engineering(code, v); ok {
		return s
	}
	if nothing(code, v) {
		return ""
	}
	if v == 0 {
		part, text, alone := ofZero(code)
		if alone {
			return text
		}
		code = part
	}
	code = fixed(code, v)
	name := code
	if name == "" {
		name = strconv.Itoa(id)
	}
	style, ok := f.styles[name]
	if !ok {
		if len(f.styles) == maxCodes || len(code) > 1024 {
			return general(v)
		}
		want := &excelize.Style{NumFmt: id}
		if code != "" {
			want = &excelize.Style{CustomNumFmt: &code}
		}
		var err error
		if style, err = f.book.NewStyle(want); err != nil {
			return general(v)
		}
		f.styles[name] = style
	}
	if f.book.SetCellFloat(scratch, "A1", v, -1, 64) != nil || f.book.SetCellStyle(scratch, "A1", "A1", style) != nil {
		return general(v)
	}
	s, err := f.book.GetCellValue(scratch, "A1")
	if err != nil {
		return general(v)
	}
	return fraction(code, strings.TrimSpace(s))
}

// general writes a number as the format General does where there is room: 15 digits, an exponent only for the very large and small.
func general(v float64) string {
	if a := math.Abs(v); a != 0 && (a < 1e-9 || a >= 1e21) {
		s := strconv.FormatFloat(v, 'E', -1, 64)
		if r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'E', 14, 64), 64); err == nil {
			s = strconv.FormatFloat(r, 'E', -1, 64)
		}
		return s
	}
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'e', 14, 64), 64)
	if err != nil {
		r = v
	}
	return strconv.FormatFloat(r, 'f', -1, 64)
}
