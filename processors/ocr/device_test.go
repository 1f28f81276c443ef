package ocr_test

import (
	"bytes"
	"fmt"
	"image/png"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"docstream/internal/engine"
	"docstream/internal/fault"
	"docstream/internal/testenv/models"
	"docstream/processors/ocr"
	"docstream/schemas"
)

// sharedEngine is a pool whose children compute on one device.
func sharedEngine(t *testing.T, slots, batch int, reg prometheus.Registerer) *engine.Pool {
	t.Helper()
	c := engine.DefaultConfig()
	c.Slots = slots
	p := engine.NewPool(c, []string{os.Args[0], "engine", "shared"}, nil, slog.New(slog.NewTextHandler(t.Output(), nil)), nil)
	t.Cleanup(p.Close)
	if err := p.Share([]string{os.Args[0], "engine", "device", strconv.Itoa(batch)}, reg); err != nil {
		t.Fatal(err)
	}
	return p
}

// encoded are pages of different sizes and print.
func encoded(t *testing.T) (pages [][]byte) {
	t.Helper()
	for i, points := range []float64{9, 11, 14} {
		var b bytes.Buffer
		if err := png.Encode(&b, drawn(t, 100, points, 800+16*i, 1000, prose)); err != nil {
			t.Fatal(err)
		}
		pages = append(pages, b.Bytes())
	}
	return pages
}

// readOn reads one page on a child of the pool.
func readOn(t *testing.T, p *engine.Pool, page []byte) ([]byte, error) {
	t.Helper()
	s, err := p.Lease(t.Context())
	if err != nil {
		return nil, err
	}
	defer s.Release()
	var res ocr.Result
	req := ocr.Request{Image: page, MaxPixels: 1e8, Reading: engine.DefaultModelSet().Reading().String(), Number: 1, DPI: 100}
	_, err = s.Call(t.Context(), ocr.Method, req, &res)
	return res.JSON, err
}

func TestASharedDeviceGivesTheBytesOfAnEngineOfItsOwnHoweverItBatches(t *testing.T) {
	models.Open(t, engine.DefaultModelSet())
	pages := encoded(t)
	var want [][]byte
	alone := newEngine(t, "models")
	for _, page := range pages {
		b, err := readOn(t, alone, page)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, b)
	}
	for _, tc := range []struct{ slots, batch int }{{1, 1}, {1, 16}, {3, 5}, {3, 64}} {
		t.Run(fmt.Sprintf("%d slots, batches of %d", tc.slots, tc.batch), func(t *testing.T) {
			p := sharedEngine(t, tc.slots, tc.batch, nil)
			var all sync.WaitGroup
			for range tc.slots {
				for i, page := range pages {
					all.Go(func() {
						if got, err := readOn(t, p, page); err != nil || !bytes.Equal(got, want[i]) {
							t.Errorf("page %d: %v\n got %s\nwant %s", i, err, got, want[i])
						}
					})
				}
			}
			all.Wait()
		})
	}
}

func TestADeviceThatDiesCostsWhatWasOnItAndComesBack(t *testing.T) {
	models.Open(t, engine.DefaultModelSet())
	reg := prometheus.NewRegistry()
	p, page := sharedEngine(t, 2, 16, reg), encoded(t)[0]
	if err := p.StartDevice(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := p.DevicePIDs()
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := readOn(t, p, page); err != nil {
				ended <- err
				return
			}
		}
	}()
	for connected(t, reg) == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := syscall.Kill(first[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// Nobody can tell which page killed it: all that were on it are read again and use up one attempt; one that it had not received whole
	// uses up none.
	if err := <-ended; err == nil || fault.Of(err).Kind == fault.Permanent ||
		fault.Of(err).Code != schemas.EngineCrashed && fault.Of(err).Code != schemas.EngineUnavailable {
		t.Errorf("the page on the device got %v", err)
	}
	_, err := readOn(t, p, page)
	for err != nil && fault.Of(err).Kind == fault.Unavailable { // until it is seen to be gone, no attempt is used up
		_, err = readOn(t, p, page)
	}
	if err != nil {
		t.Errorf("the next page got %v", err)
	}
	if again := p.DevicePIDs(); len(again) != 1 || again[0] == first[0] {
		t.Errorf("the device was %v and is %v", first, again)
	}
}

// connected is the number of slots that the device says it serves.
func connected(t *testing.T, reg *prometheus.Registry) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "docstream_engine_device_slots" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return 0
}

func TestADeviceThatCannotWorkSaysWhatIsMissing(t *testing.T) {
	p := engine.NewPool(engine.DefaultConfig(), []string{os.Args[0], "engine", "shared"}, append(os.Environ(), "DOCSTREAM_CACHE=/no/such/folder"), nil, nil)
	t.Cleanup(p.Close)
	if err := p.Share([]string{os.Args[0], "engine", "device", "16"}, nil); err != nil {
		t.Fatal(err)
	}
	err := p.StartDevice(t.Context())
	f := fault.Of(err)
	if err == nil || f.Kind != fault.Unavailable || f.Cause == nil || !bytes.Contains([]byte(f.Cause.Error()), []byte("/no/such/folder")) {
		t.Errorf("got %v", err)
	}
	if bytes.Contains([]byte(f.Message), []byte("/no/such")) {
		t.Errorf("the message for clients tells internals: %s", f.Message)
	}
}
