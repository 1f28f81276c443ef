package view

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// question asks how far everything that is followed reaches, as [reader.ends] does, but the leaders themselves and in words that are found
// once: under look-ups it is asked hundreds of times a second, and the client's own way divides it among the leaders each time anew. One may
// ask at a time.
type question struct {
	r      *reader
	parts  []part
	places int       // in all parts
	until  time.Time // when it is written anew: a leader that was replaced may not know it
}

// part is what one leader is asked at one isolation level.
type part struct {
	leader *kgo.Broker
	places int
	req    *kmsg.ListOffsetsRequest
}

// leadersKnown is for how long who leads is believed: as long as in the client's own way, see [stream.Connection.Client].
const leadersKnown = 250 * time.Millisecond

// ends asks, and once more where that fails: a leader may have moved. The words are new then, for a request that was given up may still be on its
// way.
func (q *question) ends(ctx context.Context) (out map[place]int64, err error) {
	for range 2 {
		if out, err = q.ask(ctx); err == nil {
			return out, nil
		}
		q.parts = nil
	}
	return nil, err
}

func (q *question) ask(ctx context.Context) (map[place]int64, error) {
	if q.parts == nil || q.places != q.r.v.reach.partitions() || time.Now().After(q.until) {
		if err := q.write(ctx); err != nil {
			return nil, err
		}
	}
	type answer struct {
		of   part
		resp kmsg.Response
		err  error
	}
	answers := make(chan answer, len(q.parts))
	for _, p := range q.parts {
		go func() {
			resp, err := p.leader.Request(ctx, p.req)
			answers <- answer{p, resp, err}
		}()
	}
	out, failed := make(map[place]int64, q.places), error(nil)
	for range q.parts {
		a := <-answers
		if a.err == nil {
			a.err = readOffsets(a.resp.(*kmsg.ListOffsetsResponse), a.of.places, out)
		}
		failed = errors.Join(failed, a.err)
	}
	return out, failed
}

// write finds the words: for each leader one request about what is read committed and one about the rest.
func (q *question) write(ctx context.Context) error {
	q.parts, q.places, q.until = nil, 0, time.Now().Add(leadersKnown)
	tail, jobs := q.r.followed()
	leaders, err := q.r.ask.leaders(ctx, slices.Concat(tail, jobs))
	if err != nil {
		return err
	}
	for level, places := range map[int8][]place{uncommitted: tail, committed: jobs} {
		led := map[int32][]place{}
		for _, p := range places {
			led[leaders[p]] = append(led[leaders[p]], p)
		}
		for leader, of := range led {
			q.parts = append(q.parts, part{q.r.ask.cl.Broker(int(leader)), len(of), listOffsets(of, latest, level)})
			q.places += len(of)
		}
	}
	return nil
}
