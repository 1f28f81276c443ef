package layout_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"docstream/internal/blob"
	"docstream/internal/engine"
	"docstream/internal/engine/raster"
	"docstream/internal/fault"
	"docstream/internal/testenv/models"
	"docstream/processors/layout"
	"docstream/schemas"
)

// TestMain makes the test binary its own engine: started with the word engine it is a child with scripted answers.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "engine" {
		err := engine.Main(context.Background(), func(m *engine.Mux) error {
			if len(os.Args) > 2 {
				models, err := engine.DefaultModelSet().Open()
				if err == nil {
					layout.Register(m, models.Layout, models.Orientation)
				}
				return err
			}
			engine.Handle(m, layout.Method, func(_ context.Context, req layout.Request) (layout.Result, error) {
				if len(req.Image) == 0 {
					os.Exit(1)
				}
				return layout.Result{Regions: []schemas.LaidRegion{{Kind: "text", Score: .9, X1: float64(len(req.Image)), Y1: 5}}}, nil
			})
			return nil
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

type shelf map[string][]byte

func (s shelf) Get(_ context.Context, key string, _, _ int64) (io.ReadCloser, blob.Object, error) {
	b, ok := s[key]
	if !ok {
		return nil, blob.Object{}, fmt.Errorf("%s: %w", key, blob.ErrNotFound)
	}
	return io.NopCloser(bytes.NewReader(b)), blob.Object{Key: key}, nil
}

func newEngine(t testing.TB, args ...string) *engine.Pool {
	c := engine.DefaultConfig()
	c.Slots = 1
	p := engine.NewPool(c, append([]string{os.Args[0], "engine"}, args...), nil, slog.New(slog.NewTextHandler(t.Output(), nil)), nil)
	t.Cleanup(p.Close)
	return p
}

func event() *schemas.PagePrepared {
	return &schemas.PagePrepared{
		Head: schemas.Head{EventID: "evt_x", Tenant: "acme", JobID: "job_01", Run: 1}, Page: 4, RequestID: "req_1", Class: "gpu", Priority: "low",
		Image: schemas.Image{Key: "work/x.png", DPI: 150, Width: 8, Height: 9}, Text: "work/x.text.json", Options: schemas.Options{OCR: "force"}, Pipeline: "pv_1",
		Costs: []schemas.StageCost{{Stage: "prepare", Device: "cpu", CPUMicros: 1}},
	}
}

func TestAPreparedPageIsLaidOutAndAllElseIsCopied(t *testing.T) {
	in := event()
	out, err := layout.New(layout.DefaultConfig(), shelf{"work/x.png": []byte("image")}, newEngine(t), slog.Default()).Work(t.Context(), in, schemas.Delivery{})
	if err != nil || len(out) != 1 {
		t.Fatalf("%v, %v", out, err)
	}
	got := out[0].(*schemas.PageLaidOut)
	if got.EventID != schemas.EventIDFor("job_01", 1, "layout", 4, "PageLaidOut", 0) || got.At.IsZero() {
		t.Errorf("head %+v", got.Head)
	}
	if len(got.Costs) != 2 || got.Costs[0] != in.Costs[0] || got.Costs[1].Stage != "layout" || got.Costs[1].Device != "cpu" || got.Costs[1].WallMicros == 0 {
		t.Errorf("costs %+v", got.Costs)
	}
	want := &schemas.PageLaidOut{Head: in.Head, Page: 4, RequestID: "req_1", Class: "gpu", Priority: "low", Image: in.Image, Options: in.Options,
		Text: "work/x.text.json", Pipeline: "pv_1", Regions: []schemas.LaidRegion{{Kind: "text", Score: .9, X1: 5, Y1: 5}}, Costs: got.Costs}
	want.EventID, want.At = got.EventID, got.At
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if len(in.Costs) != 1 {
		t.Error("the event that was read was changed")
	}
}

func TestFaultsSayWhose(t *testing.T) {
	small := layout.DefaultConfig()
	small.MaxImageBytes = 2
	for name, tc := range map[string]struct {
		objects shelf
		cfg     layout.Config
		kind    fault.Kind
		code    schemas.Code
	}{
		"missing image":  {shelf{}, layout.DefaultConfig(), fault.Permanent, schemas.PageCorrupt},
		"too many bytes": {shelf{"work/x.png": []byte("abc")}, small, fault.Permanent, schemas.PageTooLarge},
		"engine crashes": {shelf{"work/x.png": nil}, layout.DefaultConfig(), fault.Unknown, schemas.EngineCrashed},
	} {
		_, err := layout.New(tc.cfg, tc.objects, newEngine(t), slog.Default()).Work(t.Context(), event(), schemas.Delivery{})
		if f := fault.Of(err); f.Kind != tc.kind || f.Code != tc.code {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestConfigNamesWhatCannotWork(t *testing.T) {
	if err := layout.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	if err := (layout.Config{Device: "tpu"}).Validate(); err == nil {
		t.Error("nothing was named")
	}
}

func finder(t testing.TB) *layout.Finder {
	t.Helper()
	ms := models.Open(t, engine.DefaultModelSet())
	l, err := ms.Layout()
	if err != nil {
		t.Fatal(err)
	}
	o, err := ms.Orientation()
	if err != nil {
		t.Fatal(err)
	}
	f := layout.NewFinder(l, l.Metadata("character"))
	f.Orient(o)
	return f
}

// article is a page with a title over two columns of text, 150 dpi.
func article(t testing.TB) *image.Gray {
	im := image.NewGray(image.Rect(0, 0, 1240, 1754))
	draw.Draw(im, im.Bounds(), image.White, image.Point{}, draw.Src)
	text := func(ttf []byte, size float64, x, y, width int, words []string) {
		f, err := opentype.Parse(ttf)
		if err != nil {
			t.Fatal(err)
		}
		face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: size, DPI: 150})
		if err != nil {
			t.Fatal(err)
		}
		d := font.Drawer{Dst: im, Src: image.NewUniform(color.Black), Face: face}
		line := ""
		for _, w := range append(words, "") {
			if w == "" || d.MeasureString(line+" "+w).Ceil() > width {
				d.Dot = fixed.P(x, y)
				d.DrawString(line)
				y += int(size * 150 / 72 * 1.2)
				line = w
				continue
			}
			line = strings.TrimSpace(line + " " + w)
		}
	}
	body := strings.Fields(strings.Repeat("The measured tides of the northern harbours differ from those that the older tables promise to every pilot. ", 14))
	text(gobold.TTF, 20, 250, 170, 900, strings.Fields("Tides of the Northern Harbours"))
	text(goregular.TTF, 9, 110, 300, 490, body)
	text(goregular.TTF, 9, 650, 300, 490, body)
	return im
}

func TestATitleAndTwoColumnsAreFoundInReadingOrder(t *testing.T) {
	regions, err := finder(t).Find(raster.From(article(t)))
	if err != nil {
		t.Fatal(err)
	}
	if len(regions) < 3 || regions[0].Kind != "title" || regions[0].Y1 > 250 {
		t.Fatalf("%+v", regions)
	}
	for i, r := range regions[1:] {
		if left := r.X1 < 640; r.Kind != "text" || r.Score < .5 || (left != (r.X0 < 400)) {
			t.Errorf("region %d: %+v", i+1, r)
		}
		if i > 0 && r.X0 < regions[i].X0-50 {
			t.Errorf("region %d stands left of the one before: %+v", i+1, regions)
		}
	}
}

func TestATurnedPageHasTheSameRegionsWhereTheyLie(t *testing.T) {
	f := finder(t)
	im := raster.From(article(t))
	upright, err := f.Find(im)
	if err != nil {
		t.Fatal(err)
	}
	turned, err := f.Find(im.Turn(180))
	if err != nil {
		t.Fatal(err)
	}
	if len(turned) != len(upright) {
		t.Fatalf("%d and %d regions", len(turned), len(upright))
	}
	for i, r := range turned {
		u := upright[i]
		if r.Kind != u.Kind || r.X0 != float64(im.W)-u.X1 && r.X0-float64(im.W)+u.X1 > 1 || r.Y1-float64(im.H)+u.Y0 > 1 {
			t.Errorf("region %d: %+v turned, %+v upright", i, r, u)
		}
	}
}

func TestAChildLaysOutAnEncodedPageAndRefusesABomb(t *testing.T) {
	models.Open(t, engine.DefaultModelSet())
	var b bytes.Buffer
	if err := png.Encode(&b, article(t)); err != nil {
		t.Fatal(err)
	}
	s, err := newEngine(t, "models").Lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	var res layout.Result
	if _, err := s.Call(t.Context(), layout.Method, layout.Request{Image: b.Bytes(), MaxPixels: 1e8}, &res); err != nil || len(res.Regions) < 3 {
		t.Fatalf("%+v, %v", res, err)
	}
	for code, req := range map[schemas.Code]layout.Request{
		schemas.PageTooLarge: {Image: b.Bytes(), MaxPixels: 1000},
		schemas.PageCorrupt:  {Image: b.Bytes()[:2000], MaxPixels: 1e8},
	} {
		_, err := s.Call(t.Context(), layout.Method, req, &res)
		if f := fault.Of(err); f.Code != code || f.Kind != fault.Permanent {
			t.Errorf("want %s, got %v", code, err)
		}
	}
}

func BenchmarkLayout(b *testing.B) {
	f := finder(b)
	im := raster.From(article(b))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Find(im); err != nil {
			b.Fatal(err)
		}
	}
}
