package s3_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"docstream/internal/testenv"
	"docstream/schemas"
	"docstream/sinks/s3"
)

// chained archives a log as files of ten records each.
func chained(t *testing.T, o s3.Objects, log []schemas.Record) {
	t.Helper()
	s := sink(o, small())
	open(t, s, schemas.Partition{Topic: log[0].Topic, TopicID: "id", Number: log[0].Partition})
	for i := 0; i < len(log); i += 10 {
		appendAll(t, s, log[i:min(len(log), i+10)])
		store(t, s)
	}
}

func TestSelections(t *testing.T) {
	o := objects(t, testenv.S3(t))
	var log []schemas.Record
	for _, p := range []int32{0, 1} {
		part := written(rand.New(rand.NewPCG(30, uint64(p))), "facts", p, 100)
		chained(t, o, part)
		log = append(log, part...)
	}
	mid := log[50].Timestamp
	for name, s := range map[string]s3.Selection{
		"all":                 {},
		"from a time":         {From: mid},
		"before a time":       {To: mid},
		"a day":               {From: day.Add(24 * time.Hour), To: day.Add(48 * time.Hour)},
		"long ago":            {To: day},
		"from the beginnings": {From: time.Unix(0, 0)},
		"a partition":         {Partitions: []int32{1}},
		"from an offset":      {First: 33},
		"offsets":             {Partitions: []int32{0}, First: 33, Next: 71},
		"offsets and times":   {From: mid, First: 33},
	} {
		t.Run(name, func(t *testing.T) {
			var want, got []schemas.Record
			for _, r := range log {
				if (s.From.IsZero() || !r.Timestamp.Before(s.From)) && (s.To.IsZero() || r.Timestamp.Before(s.To)) && r.Offset >= s.First &&
					(s.Next == 0 || r.Offset < s.Next) && (s.Partitions == nil || r.Partition == s.Partitions[0]) {
					want = append(want, r)
				}
			}
			s.Topics = []string{"facts"}
			if err := s3.NewReader(o).Select(t.Context(), s, func(r schemas.Record) error { got = append(got, r); return nil }); err != nil {
				t.Fatal(err)
			}
			same(t, got, want)
		})
	}
	t.Run("an error of the caller ends it", func(t *testing.T) {
		enough, n := errors.New("enough"), 0
		err := s3.NewReader(o).Read(t.Context(), []string{"facts"}, time.Time{}, time.Time{}, func(schemas.Record) error {
			if n++; n == 15 {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) || n != 15 {
			t.Errorf("%v after %d records", err, n)
		}
	})
	t.Run("a topic nobody archived is empty", func(t *testing.T) {
		if got := all(t, o, "nothing"); len(got) > 0 {
			t.Error(got)
		}
	})
}

func TestDamageIsNamedAndTheRestIsRead(t *testing.T) {
	cfg := testenv.S3(t)
	o := objects(t, cfg)
	for name, c := range map[string]struct {
		spoil func(key string)
		file  int // which one of ten
		says  string
		lost  int // records, at most
	}{
		"missing in the middle": {func(key string) { _ = o.Delete(t.Context(), key) }, 4, "the file is missing", 10},
		"missing at the end":    {func(key string) { _ = o.Delete(t.Context(), key) }, 9, "the file is missing", 10},
		"cut off": {func(key string) {
			b := content(t, o, key)
			put(t, o, key, b[:len(b)-40])
		}, 4, "EOF", 10},
		"a block less":   {func(key string) { b := content(t, o, key); put(t, o, key, b[:headerEnd(b)]) }, 4, "it holds 0 records and says 10", 10},
		"something else": {func(key string) { put(t, o, key, []byte("hello")) }, 4, "", 10},
		"empty":          {func(key string) { put(t, o, key, nil) }, 4, "", 10},
		"flipped": {func(key string) {
			b := content(t, o, key)
			for i := len(b) - 400; i < len(b)-200; i++ {
				b[i] ^= 0x55
			}
			put(t, o, key, b)
		}, 4, "", 10},
	} {
		t.Run(name, func(t *testing.T) {
			topic := "t-" + strings.ReplaceAll(name, " ", "-")
			log := written(rand.New(rand.NewPCG(31, 1)), topic, 0, 100)
			for i := range log {
				log[i].Timestamp = day
			}
			chained(t, o, log)
			files := keys(t, o, "archive/"+topic+"/")
			if len(files) != 10 {
				t.Fatalf("%d files", len(files))
			}
			c.spoil(files[c.file])
			var told []*s3.Damage
			var got []schemas.Record
			r := s3.NewReader(o)
			r.Damaged = func(d *s3.Damage) error { told = append(told, d); return nil }
			read := func() error {
				return r.Read(t.Context(), []string{topic}, time.Time{}, time.Time{}, func(r schemas.Record) error { got = append(got, r); return nil })
			}
			if err := read(); err != nil {
				t.Fatal(err)
			}
			wantName := strings.Replace(files[c.file], "dt=2026-11-24", "dt=*", 1)
			if len(told) != 1 || told[0].File != files[c.file] && told[0].File != wantName || !strings.Contains(told[0].Error(), c.says) {
				t.Fatalf("told %v", told)
			}
			if len(got) < len(log)-c.lost || len(got) >= len(log) {
				t.Errorf("%d records of %d", len(got), len(log))
			}
			r.Damaged = nil
			var d *s3.Damage
			if err := read(); !errors.As(err, &d) || d.File != told[0].File {
				t.Errorf("without a listener: %v", err)
			}
		})
	}
}

// headerEnd is where the blocks of a file begin: after the first sync marker, which its last 16 bytes repeat.
func headerEnd(b []byte) int {
	return strings.Index(string(b), string(b[len(b)-16:])) + 16
}

func TestConfigRefusesWhatCannotWork(t *testing.T) {
	if err := s3.DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*s3.Config){
		"tiny files": func(c *s3.Config) { c.FileBytes = 10 },
		"no age":     func(c *s3.Config) { c.FileAge = 0 },
		"no memory":  func(c *s3.Config) { c.BufferBytes = c.FileBytes - 1 },
		"no upload":  func(c *s3.Config) { c.Uploads = 0 },
	} {
		c := s3.DefaultConfig()
		spoil(&c)
		if c.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
