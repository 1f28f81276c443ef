package broker

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// whole reports whether every segment ends where its last batch does. A kill is not all that cuts files short: a copy that was broken off
// does, and a file system that was mended. What the fake saved when it stopped does not hold then.
func (k keeper) whole() (bool, error) {
	dirs, err := os.ReadDir(k.partitions())
	if err := ignoreGone(err); err != nil {
		return false, err
	}
	for _, d := range dirs {
		p, err := readPartition(filepath.Join(k.partitions(), d.Name()))
		if err != nil {
			return false, err
		}
		if len(p.torn) > 0 {
			return false, nil
		}
	}
	return true, nil
}

// ending names a transaction; only a producer that gets an epoch for each of them tells them apart.
type ending struct {
	pid   int64
	epoch int16
}

// endings is how transactions ended, as far as the producers' log and the markers in all partitions say. Where the end of one was cut off
// one partition, the others still know it.
func (k keeper) endings() (map[ending]bool, error) {
	out := map[ending]bool{}
	newest := map[int64]int16{}
	err := k.entries(producerLog, func(body []byte) {
		var e producerEntry
		if json.Unmarshal(body, &e) != nil {
			return
		}
		newest[e.PID] = e.Epoch
		switch {
		case e.Commit == nil:
		case e.Type == "endtx":
			out[ending{e.PID, e.Epoch}] = *e.Commit
		case e.Type == "init": // what an orderly stop leaves of it: the epoch after, and how the last one ended
			out[ending{e.PID, e.Epoch - 1}] = *e.Commit
		}
	})
	if err != nil {
		return nil, err
	}
	dirs, err := os.ReadDir(k.partitions())
	if err := ignoreGone(err); err != nil {
		return nil, err
	}
	for _, d := range dirs {
		p, err := readPartition(filepath.Join(k.partitions(), d.Name()))
		if err != nil {
			return nil, err
		}
		for e, commit := range p.ended {
			out[e] = commit
		}
	}
	for e := range out {
		if newest[e.pid] <= e.epoch {
			delete(out, e) // the epoch goes on: an earlier transaction may have ended so, the open one has not
		}
	}
	return out, nil
}

// rewindGroups moves what groups have read back to the end of their partitions. Behind it they would wait for the log to grow past their
// offsets, and never read what was written until then.
func (k keeper) rewindGroups(ends map[string]int64, log *slog.Logger) error {
	type place struct {
		group, topic string
		partition    int32
	}
	ahead := map[place]groupEntry{}
	err := k.entries(groupLog, func(body []byte) {
		var e groupEntry
		if json.Unmarshal(body, &e) != nil || (e.Type != "commit" && e.Type != "delete") {
			return
		}
		at := place{e.Group, e.Topic, e.Part}
		delete(ahead, at)
		if end, known := ends[directory(e.Topic, e.Part)]; known && e.Type == "commit" && e.Offset > end {
			e.Offset = end
			ahead[at] = e
		}
	})
	if err != nil {
		return err
	}
	now := time.Now().UnixMilli()
	for at, e := range ahead {
		log.Warn("moved a group back to the end of a partition that lost its tail", "group", at.group, "topic", at.topic, "partition", at.partition, "offset", e.Offset)
		e.LastCommit = &now
		if err := appendEntry(filepath.Join(k.logDir, groupLog), e); err != nil {
			return err
		}
	}
	return nil
}

// entries hands out the whole entries of a state log, in order.
func (k keeper) entries(name string, each func(body []byte)) error {
	data, err := os.ReadFile(filepath.Join(k.logDir, name))
	if err != nil {
		return ignoreGone(err)
	}
	for size := entrySize(data); size > 0; size = entrySize(data) {
		each(data[entryHeader:size])
		data = data[size:]
	}
	return nil
}
