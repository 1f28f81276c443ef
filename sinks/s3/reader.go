package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"docstream/internal/blob"
	"docstream/internal/fault"
	"docstream/schemas"
)

// Reader reads the archive. It holds the names of the files of one topic and a few blocks of one file at a time, whatever the size of the
// archive (P6).
type Reader struct {
	objects Objects
	// Damaged is told of each file that is missing or cannot be read to its end; with nil as its answer reading goes on behind it, any
	// error ends it. Without Damaged the first such file ends it. The records of a file before its damage have been yielded.
	Damaged func(*Damage) error
}

// NewReader returns a reader that makes no call yet.
func NewReader(objects Objects) *Reader { return &Reader{objects: objects} }

// Damage is a stretch of the log that the archive should hold and does not.
type Damage struct {
	File        string // its key; a missing one's day is not known, and stands as *
	First, Next int64  // the offsets that are not known to have been yielded: from First, below Next; Next is 0 where that is not known
	Err         error
}

// Error names the file.
func (d *Damage) Error() string {
	if d.Next == 0 {
		return fmt.Sprintf("archive: %s: %v (records from offset %d on)", d.File, d.Err, d.First)
	}
	return fmt.Sprintf("archive: %s: %v (offsets %d to %d)", d.File, d.Err, d.First, d.Next-1)
}

// Unwrap returns the cause.
func (d *Damage) Unwrap() error { return d.Err }

var errMissing = errors.New("the file is missing")

// Selection is what to read. Zero values select all.
type Selection struct {
	Topics     []string  // without prefix, in the order in which to read them
	Partitions []int32   // none: all
	From, To   time.Time // timestamps from From on and before To
	First      int64     // offsets from First on
	Next       int64     // and before Next; 0: no end
}

// Read yields the records of topics whose timestamps lie from from on and before to (zero: no bound), see [Reader.Select].
func (r *Reader) Read(ctx context.Context, topics []string, from, to time.Time, yield func(schemas.Record) error) error {
	return r.Select(ctx, Selection{Topics: topics, From: from, To: to}, yield)
}

// Select yields what is selected: topic by topic, in it partition by partition, in it by offset, each record once. An error of yield ends it
// and is returned as it is. The records carry the text of their schema, see [schemas.Archived]. They are to be read only, and those of a
// block share its memory: who keeps one of them keeps all.
func (r *Reader) Select(ctx context.Context, s Selection, yield func(schemas.Record) error) error {
	for _, topic := range s.Topics {
		if err := r.topic(ctx, topic, s, yield); err != nil {
			return err
		}
	}
	return nil
}

// Ends returns up to which offset each partition of a topic is archived, as it was noted last: what lies before is there.
func (r *Reader) Ends(ctx context.Context, topic string) ([]schemas.Progress, error) {
	var numbers []int32
	err := r.objects.List(ctx, positionsOf(topic), func(o blob.Object) bool {
		if n, ok := positionOf(topic, o.Key); ok {
			numbers = append(numbers, n)
		}
		return ctx.Err() == nil
	})
	if err := errors.Join(err, ctx.Err()); err != nil {
		return nil, err
	}
	var out []schemas.Progress
	for _, n := range numbers {
		pos, err := readPosition(ctx, r.objects, topic, n)
		switch {
		case err == nil:
			out = append(out, schemas.Progress{Partition: schemas.Partition{Topic: topic, TopicID: pos.TopicID, Number: n}, Next: pos.Next})
		case !errors.Is(err, blob.ErrNotFound):
			return nil, err
		}
	}
	return out, nil
}

// topic reads the chains of one topic.
func (r *Reader) topic(ctx context.Context, topic string, s Selection, yield func(schemas.Record) error) error {
	files, err := r.files(ctx, topic, s)
	if err != nil {
		return err
	}
	c := &chain{r: r, topic: topic, s: s, yield: yield}
	for i, f := range files {
		if i == 0 || f.partition != files[i-1].partition || f.epoch != files[i-1].epoch {
			if err := c.end(ctx); err != nil {
				return err
			}
			c.begin(f)
		}
		if i+1 < len(files) && files[i+1].partition == f.partition && files[i+1].epoch == f.epoch && files[i+1].first <= s.First {
			c.next = files[i+1].first // all of it lies before what is asked for
			continue
		}
		if s.Next > 0 && f.first >= s.Next {
			continue
		}
		if err := c.file(ctx, f); err != nil {
			return err
		}
	}
	return c.end(ctx)
}

const (
	day      = 24 * time.Hour
	manyDays = 400 // above it one listing of everything is cheaper than one a day
)

// files lists the files of a topic that may hold what is selected, by partition, epoch and offset. With bounds in time, only the days between
// them are listed.
func (r *Reader) files(ctx context.Context, topic string, s Selection) ([]name, error) {
	to := s.To
	if to.IsZero() {
		to = time.Now().Add(day) // a broker's clock may be ahead of ours
	}
	prefixes := []string{root + topic + "/"}
	if !s.From.IsZero() && to.Sub(s.From) < manyDays*day {
		prefixes = prefixes[:0]
		for d := s.From.UTC().Truncate(day); d.Before(to); d = d.Add(day) {
			prefixes = append(prefixes, root+topic+"/dt="+dayOf(d)+"/")
		}
	}
	var out []name
	for _, prefix := range prefixes {
		err := r.objects.List(ctx, prefix, func(o blob.Object) bool {
			n, ok := parse(o.Key)
			if ok && (len(s.Partitions) == 0 || slices.Contains(s.Partitions, n.partition)) && (s.From.IsZero() || n.day >= dayOf(s.From)) && (s.To.IsZero() || n.day <= dayOf(s.To)) {
				out = append(out, n)
			}
			return ctx.Err() == nil
		})
		if err := errors.Join(err, ctx.Err()); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b name) int {
		return cmp.Or(cmp.Compare(a.partition, b.partition), cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.first, b.first))
	})
	return out, nil
}

// chain is the reading of one partition, file by file.
type chain struct {
	r     *Reader
	topic string
	s     Selection
	yield func(schemas.Record) error

	at    name  // the last file read
	next  int64 // the offset at which the next file begins, -1 where that is not known
	given int64 // no record below is yielded any more
	whole bool  // the selection goes on to the end of the chain
	stop  error // of yield: it ends the reading as it is
}

// begin starts a chain. Where the days before were removed on purpose, it does not begin at offset 0: what is missing there is not told.
func (c *chain) begin(f name) {
	*c = chain{r: c.r, topic: c.topic, s: c.s, yield: c.yield, at: f, next: f.first, given: c.s.First, whole: c.s.To.IsZero() && c.s.Next == 0}
}

// end looks whether the chain went on: its position says where it ends.
func (c *chain) end(ctx context.Context) error {
	if !c.whole || c.next < 0 {
		return nil
	}
	pos, err := readPosition(ctx, c.r.objects, c.topic, c.at.partition)
	if err != nil {
		if errors.Is(err, blob.ErrNotFound) {
			return nil
		}
		return err
	}
	if pos.Epoch == c.at.epoch && pos.Next > c.next {
		return c.missing(ctx, pos.Next)
	}
	return nil
}

// missing tells of a gap before offset to, unless the file that fills it lies on a day that is not selected.
func (c *chain) missing(ctx context.Context, to int64) error {
	want := name{topic: c.topic, partition: c.at.partition, epoch: c.at.epoch, first: c.next}
	days, err := c.r.files(ctx, c.topic, Selection{Partitions: []int32{want.partition}})
	if err != nil {
		return err
	}
	for _, f := range days {
		if f.epoch != want.epoch || f.first != c.next || c.next >= to {
			continue
		}
		of, err := look(ctx, c.r.objects, f.key())
		if err != nil {
			return err
		}
		c.next = of.Next
	}
	if c.next >= to {
		return nil
	}
	want.day, want.first = "*", c.next
	return c.r.damaged(&Damage{File: want.key(), First: c.next, Next: to, Err: errMissing})
}

func (r *Reader) damaged(d *Damage) error {
	if r.Damaged == nil {
		return d
	}
	return r.Damaged(d)
}

// tries is how often a file is opened before a store that breaks off ends the reading. A reader that is slow to take records may well see
// its connection ended.
const tries = 5

// file yields the records of one file and goes on to the next, or tells what is wrong with it.
func (c *chain) file(ctx context.Context, f name) error {
	if c.next >= 0 && f.first > c.next {
		if err := c.missing(ctx, f.first); err != nil {
			return err
		}
	}
	c.at = f
	var err error
	for try := range tries {
		before := c.given
		if err = c.records(ctx, f); err == nil || c.stop != nil || ctx.Err() != nil || fault.KindOf(err) != fault.Unavailable {
			break
		}
		if c.given == before && try > 0 { // it does not come further
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(try) * 500 * time.Millisecond):
			}
		}
	}
	var d *Damage
	if c.stop == nil && errors.As(err, &d) {
		c.next = -1
		return c.r.damaged(d)
	}
	return err
}

// records reads a file from its beginning and yields what has not been yielded.
func (c *chain) records(ctx context.Context, f name) error {
	body, _, err := c.r.objects.Get(ctx, f.key(), 0, 0)
	if errors.Is(err, blob.ErrNotFound) {
		return &Damage{File: f.key(), First: max(f.first, c.given), Err: errMissing} // since it was listed
	}
	if err != nil {
		return err
	}
	defer body.Close()
	in, err := openFile(body)
	if err != nil {
		return c.broken(f, span{}, in, err)
	}
	var n int64
	for {
		records, err := in.next()
		for i := range records {
			if err := c.give(&records[i]); err != nil {
				return err
			}
		}
		n += int64(len(records))
		if err == io.EOF && n == in.Records {
			c.next, c.given = in.Next, max(c.given, in.Next)
			return nil
		}
		if err == io.EOF {
			err = fmt.Errorf("it holds %d records and says %d", n, in.Records)
		}
		if err != nil {
			return c.broken(f, in.span, in, err)
		}
	}
}

// broken says whether a file is damaged or the store broke off.
func (c *chain) broken(f name, of span, in *input, err error) error {
	if in.failed != nil && err == in.failed {
		return err
	}
	return &Damage{File: f.key(), First: max(f.first, c.given), Next: of.Next, Err: err}
}

// give yields a record that is selected.
func (c *chain) give(r *schemas.Record) error {
	if r.Offset < c.given || c.s.Next > 0 && r.Offset >= c.s.Next {
		return nil
	}
	if (c.s.From.IsZero() || !r.Timestamp.Before(c.s.From)) && (c.s.To.IsZero() || r.Timestamp.Before(c.s.To)) {
		if c.stop = c.yield(*r); c.stop != nil {
			return c.stop
		}
	}
	c.given = r.Offset + 1
	return nil
}
