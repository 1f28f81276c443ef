package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"
)

// The files that the keeper adds beside the fake's log directory.
const (
	decisionFile = "decision.json" // how the transaction that is being ended was decided
	endsFile     = "ends.json"     // where partitions end that hold no record any more
	cleanFile    = "clean"         // there while the broker is down after an orderly stop
	copyDir      = "cleaning"      // links to the segments while they are being rewritten
)

// keeper holds what makes the fake's files safe to be killed over.
type keeper struct {
	dir    string // ours
	logDir string // the fake's
}

func (k keeper) partitions() string { return filepath.Join(k.logDir, "partitions") }

// clean compacts and applies retention. The fake deletes a partition's files and then writes them anew; a kill in
// between would lose the partition, so links to the old files are kept until it is done.
func (k keeper) clean(cluster *kfake.Cluster) error {
	saved := filepath.Join(k.dir, copyDir)
	if err := os.RemoveAll(saved); err != nil {
		return err
	}
	if err := linkTree(k.partitions(), saved); err != nil {
		return fmt.Errorf("keeping the old segments: %w", err)
	}
	cluster.Compact()
	if err := k.noteEnds(cluster); err != nil {
		return fmt.Errorf("noting where empty partitions end: %w", err)
	}
	return os.RemoveAll(saved)
}

// noteEnds writes down the end of each partition that retention emptied: the fake would let it begin at 0 again after
// a restart, behind the offsets that groups committed.
func (k keeper) noteEnds(cluster *kfake.Cluster) error {
	ends := map[string]int64{}
	dirs, err := os.ReadDir(k.partitions())
	if err != nil {
		return ignoreGone(err)
	}
	for _, d := range dirs {
		topic, partition, ok := partitionOf(d.Name())
		if !ok {
			continue
		}
		if info := cluster.PartitionInfo(topic, partition); info != nil && info.HighWatermark > 0 &&
			info.LogStartOffset >= info.HighWatermark {
			ends[d.Name()] = info.HighWatermark
		}
	}
	return writeJSON(filepath.Join(k.dir, endsFile), ends)
}

// restoreCopies puts back the partitions whose rewriting a kill interrupted: those whose files no longer reach the
// last record of the copy. The fake keeps the last batch of what it compacts, so a finished rewriting reaches it.
func (k keeper) restoreCopies(say func(string, ...any)) error {
	saved := filepath.Join(k.dir, copyDir)
	dirs, err := os.ReadDir(saved)
	if err != nil {
		return ignoreGone(err)
	}
	for _, d := range dirs {
		old, err := readPartition(filepath.Join(saved, d.Name()))
		if err != nil {
			return err
		}
		now, err := readPartition(filepath.Join(k.partitions(), d.Name()))
		if err != nil {
			return err
		}
		if now.next >= old.next {
			continue
		}
		say("restored a partition whose compaction was interrupted", "partition", d.Name())
		target := filepath.Join(k.partitions(), d.Name())
		if err := os.RemoveAll(target); err != nil {
			return err
		}
		if err := linkTree(filepath.Join(saved, d.Name()), target); err != nil {
			return err
		}
	}
	return os.RemoveAll(saved)
}

// restoreEnds gives each noted partition that has no file one invisible record just before its end.
func (k keeper) restoreEnds() error {
	data, err := os.ReadFile(filepath.Join(k.dir, endsFile))
	if err != nil {
		return ignoreGone(err)
	}
	ends := map[string]int64{}
	if err := json.Unmarshal(data, &ends); err != nil {
		return fmt.Errorf("%s: %w", endsFile, err)
	}
	for name, end := range ends {
		dir := filepath.Join(k.partitions(), name)
		p, err := readPartition(dir)
		if err != nil {
			return err
		}
		if _, err := os.Stat(dir); err != nil || p.next > 0 {
			continue // deleted since, or written to
		}
		p.next = end - 1
		if err := p.append(marker(-1, -1, false)); err != nil {
			return err
		}
	}
	return nil
}

// partitionOf reads the fake's directory name: the escaped topic, a dash, the partition.
func partitionOf(name string) (topic string, partition int32, ok bool) {
	i := strings.LastIndexByte(name, '-')
	if i < 0 {
		return "", 0, false
	}
	if _, err := fmt.Sscanf(name[i+1:], "%d", &partition); err != nil {
		return "", 0, false
	}
	topic, err := unescape(name[:i])
	return topic, partition, err == nil
}

// directory is the fake's name for a partition.
func directory(topic string, partition int32) string {
	return url.PathEscape(topic) + "-" + strconv.Itoa(int(partition))
}

// linkTree links every file of a directory tree into another one.
func linkTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return ignoreGone(err)
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		return os.Link(path, filepath.Join(to, rel))
	})
}

// ignoreGone drops the error of a file that is not there.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
