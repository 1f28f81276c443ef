package broker

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// longestTransaction is past the broker's transaction.max.timeout.ms: what is older was ended by the broker itself.
const longestTransaction = 16 * time.Minute

// transactions follows what producers do, from inside the fake's request loop, to know two things that the fake does
// not write down: which transactions are open (compaction must wait for them), and how the one that is just being
// ended was decided. Its methods run one at a time, before the fake handles the same request.
type transactions struct {
	mu     sync.Mutex // the loop is one writer, the start another
	open   map[int64]openTransaction
	staged map[int64][]stagedOffset
	dir    string // of the decision
	logDir string
}

type openTransaction struct {
	id    string
	epoch int16
	since time.Time
}

// anyEpoch marks a transaction that was found open at start: the end of any epoch ends it.
const anyEpoch = int16(-1)

// stagedOffset is an offset that waits for the commit of its transaction.
type stagedOffset struct {
	Group     string  `json:"group"`
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Offset    int64   `json:"offset"`
	Leader    int32   `json:"leader_epoch"`
	Metadata  *string `json:"metadata,omitempty"`
}

// decision is how one transaction ends. The fake ends a transaction partition by partition and then moves the group's
// offsets: killed in between, it would keep half of it. The decision is written before it begins, so that recovery can
// finish what was begun. Requests are handled one at a time, so there is never more than one.
type decision struct {
	ProducerID int64          `json:"producer_id"`
	Epoch      int16          `json:"epoch"`
	Commit     bool           `json:"commit"`
	Bumps      bool           `json:"bumps"` // the request's version gives the producer a new epoch (KIP-890)
	Offsets    []stagedOffset `json:"offsets,omitempty"`
	// StateSize is the size of the fake's producer log when the decision was written. The fake appends to it once
	// the transaction is ended: a log of another size means that nothing is left to finish.
	StateSize int64 `json:"state_size"`
}

func newTransactions(dir, logDir string) *transactions {
	return &transactions{open: map[int64]openTransaction{}, staged: map[int64][]stagedOffset{}, dir: dir, logDir: logDir}
}

// inherited adds a transaction that was open before this start.
func (t *transactions) inherited(id string, pid int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.open[pid]; !ok {
		t.open[pid] = openTransaction{id: id, epoch: anyEpoch, since: time.Now()}
	}
}

// produced opens a transaction for each transactional batch of the request.
func (t *transactions) produced(req *kmsg.ProduceRequest) {
	if req.TransactionID == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, topic := range req.Topics {
		for _, p := range topic.Partitions {
			pid, epoch, ok := producerOf(p.Records)
			if known := t.open[pid]; ok && known.epoch <= epoch {
				t.open[pid] = openTransaction{id: *req.TransactionID, epoch: epoch, since: time.Now()}
			}
		}
	}
}

// stagedOffsets remembers what the request adds to its transaction. Newer clients name a topic by its id only; nameOf
// turns that into the name.
func (t *transactions) stagedOffsets(req *kmsg.TxnOffsetCommitRequest, nameOf func(id [16]byte) string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, topic := range req.Topics {
		name := topic.Topic
		if name == "" {
			name = nameOf(topic.TopicID)
		}
		for _, p := range topic.Partitions {
			t.staged[req.ProducerID] = append(t.staged[req.ProducerID], stagedOffset{
				Group: req.Group, Topic: name, Partition: p.Partition,
				Offset: p.Offset, Leader: p.LeaderEpoch, Metadata: p.Metadata,
			})
		}
	}
}

// ending writes the decision down and closes the transaction.
func (t *transactions) ending(req *kmsg.EndTxnRequest) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := decision{
		ProducerID: req.ProducerID, Epoch: req.ProducerEpoch, Commit: req.Commit, Bumps: req.Version >= 5,
		Offsets: t.staged[req.ProducerID],
	}
	if info, err := os.Stat(filepath.Join(t.logDir, producerLog)); err == nil {
		d.StateSize = info.Size()
	}
	if known, ok := t.open[req.ProducerID]; ok && (known.epoch == anyEpoch || known.epoch == req.ProducerEpoch) {
		delete(t.open, req.ProducerID)
	}
	delete(t.staged, req.ProducerID)
	return writeJSON(filepath.Join(t.dir, decisionFile), d)
}

// initialised drops what was open under the id: a new producer aborts its predecessor's transaction.
func (t *transactions) initialised(req *kmsg.InitProducerIDRequest) {
	if req.TransactionalID == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for pid, known := range t.open {
		if known.id == *req.TransactionalID {
			delete(t.open, pid)
			delete(t.staged, pid)
		}
	}
}

// none reports whether no transaction is open.
func (t *transactions) none() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for pid, known := range t.open {
		if time.Since(known.since) > longestTransaction {
			delete(t.open, pid)
			delete(t.staged, pid)
		}
	}
	return len(t.open) == 0
}

// producerOf reads producer id and epoch of an encoded batch; ok is false where it is not transactional.
func producerOf(batch []byte) (pid int64, epoch int16, ok bool) {
	if len(batch) < batchHeader || binary.BigEndian.Uint16(batch[21:])&transactional == 0 {
		return 0, 0, false
	}
	return int64(binary.BigEndian.Uint64(batch[43:])), int16(binary.BigEndian.Uint16(batch[51:])), true
}

// writeJSON replaces a file in one step. It is not synced: it guards against a killed process, not a power cut.
func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
