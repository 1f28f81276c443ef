package ocr_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"log/slog"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"docstream/internal/blob"
	"docstream/internal/engine"
	"docstream/internal/fault"
	"docstream/internal/testenv/models"
	"docstream/processors/ocr"
	"docstream/schemas"
	"docstream/schemas/document"
)

// TestMain makes the test binary its own engine: started with the word engine it is a child, with scripted answers or real models.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "engine" {
		build := scripted
		if len(os.Args) > 2 {
			build = func(m *engine.Mux) error { return real(m, os.Args[2], os.Args[3:]) }
		}
		if err := engine.Main(context.Background(), build); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// real reads with the models: by itself (models), on a device that all share (shared), or as that device (device BATCH).
func real(m *engine.Mux, mode string, args []string) error {
	set := engine.DefaultModelSet()
	if mode != "models" {
		set.Share = engine.On
	}
	if mode == "device" {
		batch, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		set.Batch = batch
		return engine.ServeDevice(context.Background(), m, set)
	}
	models, err := set.Open()
	if err == nil {
		ocr.Register(m, models)
	}
	return err
}

// scripted reads what the image's bytes say.
func scripted(m *engine.Mux) error {
	engine.Handle(m, ocr.Method, func(_ context.Context, req ocr.Request) (ocr.Result, error) {
		switch string(req.Image) {
		case "crash":
			os.Exit(1)
		case "bad":
			return ocr.Result{}, fault.Document(schemas.PageCorrupt, "No.")
		}
		p := document.Page{Format: document.PageFormat, Number: req.Number, Unit: "pt", Source: "ocr", Confidence: .5, Blocks: []document.Block{
			{Kind: document.Paragraph, Text: string(req.Image), Lines: []document.Line{{Text: string(req.Image), Words: make([]document.Word, 2)}}}}}
		b, err := json.Marshal(p)
		r := ocr.Result{JSON: b, Lines: 1, Words: 2, Confidence: .5}
		if req.Figures {
			r.Figures = []ocr.Figure{{Name: "figures/000007-1.png", PNG: []byte("pixels")}}
		}
		return r, err
	})
	return nil
}

// shelf is an object store in memory.
type shelf struct {
	mu      sync.Mutex
	objects map[string][]byte
	meta    map[string]map[string]string
	gets    int
	failing error
	before  func() // called once before a Put looks
}

func newShelf() *shelf {
	return &shelf{objects: map[string][]byte{}, meta: map[string]map[string]string{}}
}

func (s *shelf) Get(_ context.Context, key string, _, _ int64) (io.ReadCloser, blob.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets++
	if s.failing != nil {
		return nil, blob.Object{}, s.failing
	}
	b, ok := s.objects[key]
	if !ok {
		return nil, blob.Object{}, fmt.Errorf("%s: %w", key, blob.ErrNotFound)
	}
	return io.NopCloser(bytes.NewReader(b)), blob.Object{Key: key, Size: int64(len(b)), Meta: s.meta[key]}, nil
}

func (s *shelf) Put(_ context.Context, key string, body []byte, o blob.Options) error {
	if f := s.before; f != nil {
		s.before = nil
		f()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.objects[key]; ok && o.Once {
		return fmt.Errorf("%s: %w", key, blob.ErrExists)
	}
	s.objects[key], s.meta[key] = bytes.Clone(body), o.Meta
	return nil
}

func newEngine(t testing.TB, args ...string) *engine.Pool {
	c := engine.DefaultConfig()
	c.Slots = 1
	p := engine.NewPool(c, append([]string{os.Args[0], "engine"}, args...), nil, slog.New(slog.NewTextHandler(t.Output(), nil)), nil)
	t.Cleanup(p.Close)
	return p
}

func event() *schemas.PageLaidOut {
	return &schemas.PageLaidOut{
		Head: schemas.Head{EventID: "evt_x", Tenant: "acme", JobID: "job_01", Run: 2, SubmittedAt: time.UnixMilli(5).UTC()},
		Page: 7, Image: schemas.Image{Key: "work/acme/job_01/2/pages/000007.png", DPI: 150},
		Costs: []schemas.StageCost{{Stage: "prepare", Device: "cpu", CPUMicros: 3, WallMicros: 4}, {Stage: "layout", Device: "cpu", CPUMicros: 5, WallMicros: 6}},
	}
}

const resultKey = "results/acme/job_01/2/pages/000007.json"

func work(t *testing.T, s *ocr.Stage, d schemas.Delivery) *schemas.PageFinished {
	t.Helper()
	out, err := s.Work(t.Context(), event(), d)
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != 1 {
		t.Fatalf("%d events", len(out))
	}
	return out[0].(*schemas.PageFinished)
}

func TestAPageBecomesOneResultObjectAndOneEvent(t *testing.T) {
	s := newShelf()
	s.objects[event().Image.Key] = []byte("hello world")
	got := work(t, ocr.New(ocr.DefaultConfig(), s, newEngine(t), slog.Default()), schemas.Delivery{})
	body := s.objects[resultKey]
	sum := sha256.Sum256(body)
	if want := (schemas.ObjectRef{Key: resultKey, Length: int64(len(body)), SHA256: hex.EncodeToString(sum[:])}); got.Result != want {
		t.Errorf("result %+v, want %+v", got.Result, want)
	}
	if got.EventID != schemas.EventIDFor("job_01", 2, "ocr", 7, "PageFinished", 0) || got.Tenant != "acme" || got.How != "ocr" ||
		got.Page != 7 || got.Lines != 1 || got.Words != 2 || got.Confidence != .5 || !got.SubmittedAt.Equal(event().SubmittedAt) || got.At.IsZero() {
		t.Errorf("event %+v", got)
	}
	if len(got.Costs) != 3 || got.Costs[2].Stage != "ocr" || got.Costs[2].Device != "cpu" || got.Costs[2].WallMicros == 0 {
		t.Errorf("costs %+v", got.Costs)
	}
	if s.gets != 1 {
		t.Errorf("%d reads: a first attempt looks for no earlier result", s.gets)
	}
}

func TestFiguresLieBesideTheResultWhereTheyAreAskedFor(t *testing.T) {
	for asked, want := range map[string]string{"on": "pixels", "": "", "off": ""} {
		s := newShelf()
		e := event()
		e.Options.Figures = asked
		s.objects[e.Image.Key] = []byte("hello")
		if _, err := ocr.New(ocr.DefaultConfig(), s, newEngine(t), slog.Default()).Work(t.Context(), e, schemas.Delivery{}); err != nil {
			t.Fatal(err)
		}
		if got := string(s.objects["results/acme/job_01/2/figures/000007-1.png"]); got != want {
			t.Errorf("asked %q: the figure is %q", asked, got)
		}
	}
}

func TestAFigureIsCutOutOfThePageAsItIsRead(t *testing.T) {
	models.Open(t, engine.DefaultModelSet())
	page := sheet(t, label{150, 200, "The harbour was quiet when the first boat came in"}, label{150, 260, "and nobody waited on the pier."})
	square := image.Rect(300, 600, 700, 800)
	m := image.NewGray(image.Rect(0, 0, page.W, page.H))
	copy(m.Pix, page.Planes[0])
	draw.Draw(m, square, image.NewUniform(color.Gray{90}), image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	s, err := newEngine(t, "models").Lease(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	var res ocr.Result
	region := schemas.LaidRegion{Kind: "figure", Score: .9, X0: 300, Y0: 600, X1: 700, Y1: 800}
	if _, err := s.Call(t.Context(), ocr.Method, ocr.Request{Image: b.Bytes(), MaxPixels: 1e8, Reading: ocr.DefaultConfig().Reading, Number: 3, DPI: 150,
		Regions: []schemas.LaidRegion{region}, Figures: true}, &res); err != nil {
		t.Fatal(err)
	}
	var p document.Page
	if err := json.Unmarshal(res.JSON, &p); err != nil || len(res.Figures) != 1 {
		t.Fatal(err, len(res.Figures), "figures")
	}
	f := p.Blocks[len(p.Blocks)-1]
	if f.Kind != document.Figure || f.Image == nil || *f.Image != (document.Image{Name: "figures/000003-1.png", MediaType: "image/png", Width: f.Image.Width, Height: f.Image.Height}) {
		t.Fatalf("the last block is %+v", f)
	}
	c, err := png.Decode(bytes.NewReader(res.Figures[0].PNG))
	if err != nil || c.Bounds().Dx() != f.Image.Width || f.Image.Width < 398 || f.Image.Width > 402 || f.Image.Height < 198 || f.Image.Height > 202 {
		t.Fatalf("%v, %+v", err, f.Image)
	}
	if grey := color.GrayModel.Convert(c.At(c.Bounds().Min.X+200, c.Bounds().Min.Y+100)); grey != (color.Gray{90}) {
		t.Errorf("its middle is %v", grey)
	}
}

func TestWhatIsReadInPicturesGoesIntoTheTextOfThePage(t *testing.T) {
	models.Open(t, engine.DefaultModelSet())
	page := sheet(t, label{150, 700, "North pier 4.20 metres deep"}, label{150, 760, "South pier 3.15 metres deep"})
	var b bytes.Buffer
	if err := png.Encode(&b, &image.Gray{Pix: page.Planes[0], Stride: page.W, Rect: image.Rect(0, 0, page.W, page.H)}); err != nil {
		t.Fatal(err)
	}
	block := func(kind, text string, y0, y1 float64) document.Block {
		return document.Block{Kind: kind, Text: text, Confidence: 1, Box: document.Box{60, y0, 400, y1}}
	}
	text, err := json.Marshal(document.Page{Format: document.PageFormat, Number: 7, Width: 595.2, Height: 841.9, Unit: "pt", Source: "text", Confidence: 1, Blocks: []document.Block{
		block(document.Paragraph, "Before the picture.", 100, 200), block(document.Figure, "", 300, 400), block(document.Paragraph, "Behind the picture.", 500, 600)}})
	if err != nil {
		t.Fatal(err)
	}
	s := newShelf()
	e := event()
	e.Text = "work/acme/job_01/2/pages/000007.text.json"
	s.objects[e.Image.Key] = b.Bytes()
	stage := ocr.New(ocr.DefaultConfig(), s, newEngine(t, "models"), slog.Default())
	if _, err := stage.Work(t.Context(), e, schemas.Delivery{}); fault.Of(err).Code != schemas.PageCorrupt {
		t.Errorf("without the text: %v", err)
	}
	s.objects[e.Text] = text
	out, err := stage.Work(t.Context(), e, schemas.Delivery{})
	if err != nil {
		t.Fatal(err)
	}
	var p document.Page
	if err := json.Unmarshal(s.objects[resultKey], &p); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range p.Blocks {
		got = append(got, b.Kind+" "+b.Text)
	}
	all := strings.Join(got, "|")
	if !strings.HasPrefix(all, "paragraph Before the picture.|figure |paragraph North pier 4.20 metres deep") || !strings.HasSuffix(all, "South pier 3.15 metres deep|paragraph Behind the picture.") {
		t.Errorf("the blocks are %s", all)
	}
	if p.Source != "mixed" || p.Confidence <= .8 || p.Confidence >= 1 || out[0].(*schemas.PageFinished).How != "ocr" {
		t.Errorf("source %s, %v sure, %+v", p.Source, p.Confidence, out[0])
	}
}

func TestWhoeverComesSecondReportsTheStoredResult(t *testing.T) {
	for name, again := range map[string]bool{"looks first": true, "loses the race": false} {
		t.Run(name, func(t *testing.T) {
			s := newShelf()
			s.objects[event().Image.Key] = []byte("hello world")
			stage := ocr.New(ocr.DefaultConfig(), s, newEngine(t), slog.Default())
			first := work(t, stage, schemas.Delivery{})
			s.objects[event().Image.Key] = []byte("another text, as if a model had changed")
			second := work(t, stage, schemas.Delivery{Attempt: 1, Again: again})
			second.At = first.At
			if !reflect.DeepEqual(first, second) {
				t.Errorf("first  %+v\nsecond %+v", first, second)
			}
		})
	}
}

func TestAgainWithoutAStoredResultWorks(t *testing.T) {
	s := newShelf()
	s.objects[event().Image.Key] = []byte("hello world")
	if got := work(t, ocr.New(ocr.DefaultConfig(), s, newEngine(t), slog.Default()), schemas.Delivery{Again: true}); got.Lines != 1 {
		t.Errorf("%+v", got)
	}
}

func TestFaultsSayWhose(t *testing.T) {
	away := fault.World(schemas.ServiceUnavailable, "Storage is away.")
	small := ocr.DefaultConfig()
	small.MaxImageBytes = 3
	for name, tc := range map[string]struct {
		image   string
		failing error
		cfg     ocr.Config
		kind    fault.Kind
		code    schemas.Code
	}{
		"missing image":  {"", nil, ocr.DefaultConfig(), fault.Permanent, schemas.PageCorrupt},
		"damaged image":  {"bad", nil, ocr.DefaultConfig(), fault.Permanent, schemas.PageCorrupt},
		"image too big":  {"four", nil, small, fault.Permanent, schemas.PageTooLarge},
		"engine crashes": {"crash", nil, ocr.DefaultConfig(), fault.Unknown, schemas.EngineCrashed},
		"store is away":  {"x", away, ocr.DefaultConfig(), fault.Unavailable, schemas.ServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShelf()
			if tc.image != "" {
				s.objects[event().Image.Key] = []byte(tc.image)
			}
			s.failing = tc.failing
			_, err := ocr.New(tc.cfg, s, newEngine(t), slog.Default()).Work(t.Context(), event(), schemas.Delivery{})
			if f := fault.Of(err); f.Kind != tc.kind || f.Code != tc.code {
				t.Errorf("got %v", err)
			}
			if len(s.objects[resultKey]) > 0 {
				t.Error("a failed page left a result")
			}
		})
	}
}

func TestACancelledPageIsNobodysFault(t *testing.T) {
	s := newShelf()
	s.objects[event().Image.Key] = []byte("x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := ocr.New(ocr.DefaultConfig(), s, newEngine(t), slog.Default()).Work(ctx, event(), schemas.Delivery{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestConfigNamesWhatCannotWork(t *testing.T) {
	if err := ocr.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	if err := (ocr.Config{Device: "tpu", Reading: ""}).Validate(); err == nil {
		t.Error("nothing was named")
	}
}
