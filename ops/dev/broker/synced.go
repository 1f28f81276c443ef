package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"
)

// synced makes what is acknowledged lie on the disk. The fake would sync two files for every batch, inside its one request loop, so that
// nobody is served meanwhile; here the loop only writes, and the answer to a request that changes something is held back on its connection
// until a sync that began after it was handled has ended. One sync serves all answers that wait.
//
// Batches outside transactions are synced apart from everything else: a client waits for each of them, and would wait for the files of all
// stages, too.
type synced struct {
	logDir string
	sync   func([]string) error // makes files durable
	log    *slog.Logger

	mu      sync.Mutex
	current touched // what the request in hand appends to: it may be handled already, or not yet
	kinds   [2]*kind
	open    map[string]map[string]struct{} // transactional id → partitions its transaction has touched: its end is marked in each
}

// promise is what an answer says is kept.
type promise int

const (
	batch promise = iota // outside a transaction
	rest                 // the end of a transaction, an offset, a producer's id
)

var everything = []promise{batch, rest}

// kind is what is synced together.
type kind struct {
	logs  []string // files that are always part of it
	wake  chan struct{}
	dirty map[string]struct{} // partitions appended to by requests before the one in hand
	next  *flush              // one that has not begun
}

type flush struct{ done chan struct{} }

// touched is what one request appends to.
type touched struct {
	as         promise
	partitions []string
}

func newSynced(logDir string, log *slog.Logger) *synced {
	s := &synced{logDir: logDir, log: log, sync: syncFiles, open: map[string]map[string]struct{}{}}
	for _, as := range everything {
		s.kinds[as] = &kind{wake: make(chan struct{}, 1), dirty: map[string]struct{}{}, next: &flush{make(chan struct{})}}
	}
	s.kinds[rest].logs = []string{filepath.Join(logDir, groupLog), filepath.Join(logDir, producerLog)}
	return s
}

// produced is called before a batch is appended, inside the request loop. name finds the topic of an id.
func (s *synced) produced(req *kmsg.ProduceRequest, name func([16]byte) string) {
	now := touched{as: batch}
	for _, t := range req.Topics {
		topic := t.Topic
		if topic == "" {
			topic = name(t.TopicID)
		}
		for _, p := range t.Partitions {
			now.partitions = append(now.partitions, directory(topic, p.Partition))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if id := req.TransactionID; id != nil {
		now.as = rest
		if s.open[*id] == nil {
			s.open[*id] = map[string]struct{}{}
		}
		for _, p := range now.partitions {
			s.open[*id][p] = struct{}{}
		}
	}
	s.turn(now)
}

// ending is called before a transaction is ended, inside the request loop.
func (s *synced) ending(req *kmsg.EndTxnRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(touched{rest, slices.Collect(maps.Keys(s.open[req.TransactionalID]))})
	delete(s.open, req.TransactionalID)
}

// turn takes the next request in hand: the one before has been handled.
func (s *synced) turn(now touched) {
	for _, p := range s.current.partitions {
		s.kinds[s.current.as].dirty[p] = struct{}{}
	}
	s.current = now
}

// wait returns once everything that was written before the call and is synced with what is promised is on the disk.
func (s *synced) wait(as promise) {
	k := s.kinds[as]
	s.mu.Lock()
	f := k.next
	s.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
	<-f.done
}

// run syncs whenever somebody waits, until stop is closed. A broker that cannot sync stops: it would acknowledge what it may not have.
func (s *synced) run(stop <-chan struct{}) {
	var g sync.WaitGroup
	defer g.Wait()
	for _, as := range everything {
		g.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-s.kinds[as].wake:
					if err := s.flush(as); err != nil {
						s.log.Error("embedded broker cannot sync its log: stopping", "error", err.Error())
						os.Exit(1)
					}
				}
			}
		})
	}
}

// flush syncs what was appended since the last one of its kind.
func (s *synced) flush(as promise) error {
	s.mu.Lock()
	k := s.kinds[as]
	f := k.next
	k.next = &flush{make(chan struct{})}
	partitions := k.dirty
	k.dirty = map[string]struct{}{}
	if s.current.as == as {
		for _, p := range s.current.partitions { // it stays current: when it has been handled in truth is seen only by the next one
			partitions[p] = struct{}{}
		}
	}
	s.mu.Unlock()
	files := slices.Clone(k.logs)
	for p := range partitions {
		newest, err := newestSegments(filepath.Join(s.logDir, "partitions", p))
		if err != nil {
			return err
		}
		files = append(files, newest...)
	}
	if err := s.sync(files); err != nil {
		return err
	}
	close(f.done)
	return nil
}

// newestSegments returns the last two segments of a partition: the fake may have begun a new one since the sync before. Their index is not
// synced; recovery completes it.
func newestSegments(dir string) ([]string, error) {
	bases, err := segmentBases(dir)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, base := range bases[max(0, len(bases)-2):] {
		paths = append(paths, filepath.Join(dir, strconv.FormatInt(base, 10)+".dat"))
	}
	return paths, nil
}

// syncFiles syncs files side by side, for a file system can make one commit of that. A file that was deleted meanwhile needs none.
func syncFiles(paths []string) error {
	var g errgroup.Group
	g.SetLimit(8)
	for _, path := range paths {
		g.Go(func() error {
			f, err := os.Open(path)
			if err != nil {
				return ignoreGone(err)
			}
			return errors.Join(f.Sync(), f.Close())
		})
	}
	return g.Wait()
}

// listen listens for connections whose answers wait for a sync where they have to.
func (s *synced) listen(network, address string) (net.Listener, error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	return syncedListener{l, s}, nil
}

type syncedListener struct {
	net.Listener
	s *synced
}

func (l syncedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &syncedConn{Conn: c, s: l.s}, nil
}

// syncedConn reads along which requests come in, and holds their answers back. The fake writes an answer with one call.
type syncedConn struct {
	net.Conn
	s      *synced
	frames frames // of the one goroutine that reads

	mu   sync.Mutex
	asks []ask // requests that are not answered yet, in order
}

// ask is a request: its correlation id, and what its answer says is kept.
type ask struct {
	id       uint32
	promises []promise
}

func (c *syncedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.frames.see(b[:n], func(head []byte) {
		if a, ok := asked(head); ok {
			c.mu.Lock()
			c.asks = append(c.asks, a)
			c.mu.Unlock()
		}
	})
	return n, err
}

func (c *syncedConn) Write(b []byte) (int, error) {
	if len(b) < 8 {
		return 0, fmt.Errorf("an answer of %d bytes", len(b))
	}
	for _, as := range c.answered(binary.BigEndian.Uint32(b[4:])) {
		c.s.wait(as)
	}
	return c.Conn.Write(b)
}

// answered takes the request with the id out, and those before it that want no answer.
func (c *syncedConn) answered(id uint32) []promise {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, a := range c.asks {
		if a.id == id {
			c.asks = c.asks[i+1:]
			return a.promises
		}
	}
	return everything
}

// asked reads the head of a request.
func asked(head []byte) (ask, bool) {
	if len(head) < 8 {
		return ask{}, false
	}
	a := ask{id: binary.BigEndian.Uint32(head[4:])}
	switch kmsg.Key(binary.BigEndian.Uint16(head)) {
	case kmsg.Produce:
		if !inTransaction(head) { // what belongs to a transaction is kept when that is ended
			a.promises = []promise{batch}
		}
	case kmsg.EndTxn, kmsg.InitProducerID, kmsg.OffsetCommit, kmsg.OffsetDelete, kmsg.DeleteGroups:
		a.promises = []promise{rest}
	}
	return a, true
}

// inTransaction reports whether a produce request names a transaction. The layout is that of Kafka's protocol: a client id and, from version
// 9 on, tags, then the transactional id.
func inTransaction(head []byte) bool {
	version := binary.BigEndian.Uint16(head[2:])
	r := kbin.Reader{Src: head[8:]}
	r.NullableString()
	var id *string
	switch {
	case version >= 9:
		kmsg.SkipTags(&r)
		id = r.CompactNullableString()
	case version >= 3:
		id = r.NullableString()
	}
	return r.Ok() && id != nil
}

// frames cuts a stream into Kafka's frames, of which it keeps the beginning.
type frames struct {
	size [4]byte
	have int // bytes of size
	left int // bytes of the frame that are still to come
	head []byte
}

// maxHead is enough of a request for its header and a transactional id.
const maxHead = 1024

func (f *frames) see(b []byte, each func(head []byte)) {
	for len(b) > 0 {
		if f.left == 0 {
			n := copy(f.size[f.have:], b)
			f.have, b = f.have+n, b[n:]
			if f.have == len(f.size) {
				f.left, f.have, f.head = int(binary.BigEndian.Uint32(f.size[:])), 0, f.head[:0]
			}
			continue
		}
		n := min(f.left, len(b))
		f.head = append(f.head, b[:min(n, maxHead-len(f.head))]...)
		f.left, b = f.left-n, b[n:]
		if f.left == 0 {
			each(f.head)
		}
	}
}
