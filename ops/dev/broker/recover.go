package broker

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// The fake's state logs.
const (
	producerLog = "pids.log"
	groupLog    = "groups.log"
)

// producerEntry and groupEntry are lines of the fake's state logs, as far as recovery writes them.
type producerEntry struct {
	Type    string `json:"type"`
	PID     int64  `json:"pid"`
	Epoch   int16  `json:"epoch"`
	TxID    string `json:"txid,omitempty"`
	Timeout int32  `json:"timeout,omitempty"`
	Commit  *bool  `json:"commit,omitempty"`
}

type groupEntry struct {
	Type       string  `json:"type"`
	Group      string  `json:"g"`
	Topic      string  `json:"t,omitempty"`
	Part       int32   `json:"p,omitempty"`
	Offset     int64   `json:"o,omitempty"`
	Epoch      int32   `json:"e,omitempty"`
	Metadata   *string `json:"m,omitempty"`
	LastCommit *int64  `json:"lc,omitempty"`
}

// prepare makes the directory ready for the fake to load. After an orderly stop there is nearly nothing to do. After a
// kill, or where a segment has lost its tail since, it finishes the transaction that was being ended, aborts every other open one for good, with a record in the
// log (the fake would do so in memory only, and forget it at the next kill), and cuts torn tails off.
func (k keeper) prepare(log *slog.Logger) error {
	if err := os.MkdirAll(k.logDir, 0o700); err != nil {
		return err
	}
	if err := k.restoreCopies(log.Warn); err != nil {
		return err
	}
	orderly := os.Remove(filepath.Join(k.dir, cleanFile)) == nil
	if orderly {
		var err error
		if orderly, err = k.whole(); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(k.logDir, "meta.json")); err == nil && !orderly {
		if err := k.recover(log); err != nil {
			return err
		}
	}
	return k.restoreEnds()
}

// stopped notes an orderly stop: the fake's own snapshots hold.
func (k keeper) stopped() error { return os.WriteFile(filepath.Join(k.dir, cleanFile), nil, 0o600) }

func (k keeper) recover(log *slog.Logger) error {
	// Sessions saved by an earlier orderly stop speak of transactions that have ended since.
	if err := ignoreGone(os.Remove(filepath.Join(k.logDir, "session_state.json"))); err != nil {
		return err
	}
	for _, name := range []string{producerLog, groupLog} {
		if err := cutTornEntries(filepath.Join(k.logDir, name), log); err != nil {
			return err
		}
	}
	unfinished, err := k.unfinished()
	if err != nil {
		return err
	}
	dirs, err := os.ReadDir(k.partitions())
	if err := ignoreGone(err); err != nil {
		return err
	}
	endings, err := k.endings()
	if err != nil {
		return err
	}
	if unfinished != nil {
		endings[ending{unfinished.ProducerID, unfinished.Epoch}] = unfinished.Commit
	}
	aborted, ends := map[int64]int16{}, map[string]int64{}
	for _, d := range dirs {
		p, err := k.closeTransactions(d.Name(), endings, aborted, log)
		if err != nil {
			return fmt.Errorf("partition %s: %w", d.Name(), err)
		}
		if p.base >= 0 {
			ends[d.Name()] = p.next
		}
	}
	if unfinished != nil {
		log.Warn("finished a transaction that was being ended", "producer", unfinished.ProducerID, "commit", unfinished.Commit)
		if err := k.finish(*unfinished); err != nil {
			return err
		}
	}
	for pid, epoch := range aborted {
		// A new epoch fences the producer. That the last transaction was no commit must be said too: a producer that
		// retries its commit would otherwise be told the outcome of the transaction before.
		abort := false
		if err := appendEntry(filepath.Join(k.logDir, producerLog),
			producerEntry{Type: "endtx", PID: pid, Epoch: epoch + 1, Commit: &abort}); err != nil {
			return err
		}
	}
	if err := k.rewindGroups(ends, log); err != nil {
		return err
	}
	return ignoreGone(os.Remove(filepath.Join(k.dir, decisionFile)))
}

// closeTransactions mends one partition and ends each transaction that is open in it.
func (k keeper) closeTransactions(name string, endings map[ending]bool, aborted map[int64]int16, log *slog.Logger) (*partition, error) {
	p, err := readPartition(filepath.Join(k.partitions(), name))
	if err != nil {
		return nil, err
	}
	for _, what := range p.torn {
		log.Warn("cut off a torn tail", "partition", name, "cut", what)
	}
	if err := p.mend(); err != nil {
		return nil, err
	}
	for pid, epoch := range p.open {
		if commit, known := endings[ending{pid, epoch}]; known {
			if err := p.append(marker(pid, epoch, commit)); err != nil {
				return nil, err
			}
			continue
		}
		log.Warn("aborted a transaction that a kill left open", "partition", name, "producer", pid)
		aborted[pid] = max(aborted[pid], epoch)
		if err := p.append(marker(pid, epoch+1, false)); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// unfinished returns the decision that the fake had begun to carry out, nil where there is none.
func (k keeper) unfinished() (*decision, error) {
	data, err := os.ReadFile(filepath.Join(k.dir, decisionFile))
	if err != nil {
		return nil, ignoreGone(err)
	}
	var d decision
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("%s: %w", decisionFile, err)
	}
	info, err := os.Stat(filepath.Join(k.logDir, producerLog))
	if err != nil {
		return nil, ignoreGone(err)
	}
	known, err := k.producer(d.ProducerID)
	if err != nil || info.Size() != d.StateSize || known == nil || known.Epoch != d.Epoch {
		return nil, err // carried out, or refused: the request came from a fenced producer
	}
	return &d, nil
}

// finish writes what the fake writes at the end of a transaction: the group's offsets, then the producer's new state,
// in such a way that the producer's own retry of the request is answered with success.
func (k keeper) finish(d decision) error {
	if d.Commit {
		now := time.Now().UnixMilli()
		for _, o := range d.Offsets {
			if err := appendEntry(filepath.Join(k.logDir, groupLog), groupEntry{
				Type: "commit", Group: o.Group, Topic: o.Topic, Part: o.Partition, Offset: o.Offset,
				Epoch: o.Leader, Metadata: o.Metadata, LastCommit: &now,
			}); err != nil {
				return err
			}
		}
	}
	known, err := k.producer(d.ProducerID)
	if err != nil {
		return err
	}
	path := filepath.Join(k.logDir, producerLog)
	if err := appendEntry(path, producerEntry{Type: "endtx", PID: d.ProducerID, Epoch: d.Epoch, Commit: &d.Commit}); err != nil {
		return err
	}
	if !d.Bumps {
		return nil
	}
	known.Epoch, known.Commit = d.Epoch+1, &d.Commit
	return appendEntry(path, *known)
}

// producer replays the producer log for one producer; nil where it was never initialised.
func (k keeper) producer(pid int64) (*producerEntry, error) {
	var known *producerEntry
	err := k.entries(producerLog, func(body []byte) {
		var e producerEntry
		if err := json.Unmarshal(body, &e); err == nil && e.PID == pid {
			if e.Type == "init" {
				known = &e
			} else if known != nil {
				known.Epoch = e.Epoch
			}
		}
	})
	return known, err
}

// entryHeader frames an entry of a state log: length and CRC of what follows, then a version; little-endian.
const entryHeader = 10

// entrySize is the size of the whole entry that data begins with, 0 where there is none.
func entrySize(data []byte) int {
	if len(data) < entryHeader {
		return 0
	}
	size := 8 + int(binary.LittleEndian.Uint32(data))
	if size < entryHeader || size > len(data) ||
		binary.LittleEndian.Uint32(data[4:]) != crc32.Checksum(data[8:size], castagnoli) {
		return 0
	}
	return size
}

func appendEntry(path string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	entry := make([]byte, entryHeader, entryHeader+len(body))
	binary.LittleEndian.PutUint32(entry, uint32(2+len(body)))
	binary.LittleEndian.PutUint16(entry[8:], 1)
	entry = append(entry, body...)
	binary.LittleEndian.PutUint32(entry[4:], crc32.Checksum(entry[8:], castagnoli))
	return appendTo(path, entry)
}

// cutTornEntries truncates a state log after its last whole entry. The fake reads up to there but appends behind the
// torn bytes, where its next start would not find it.
func cutTornEntries(path string, log *slog.Logger) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return ignoreGone(err)
	}
	whole := 0
	for size := entrySize(data); size > 0; size = entrySize(data[whole:]) {
		whole += size
	}
	if whole == len(data) {
		return nil
	}
	log.Warn("cut off a torn tail that was never acknowledged", "file", filepath.Base(path), "bytes", len(data)-whole)
	return os.Truncate(path, int64(whole))
}
