package broker

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// limit keeps the log under a size. A full broker refuses to append, with a reason, and still serves reads, commits
// and the end of transactions; it accepts again once retention or compaction made room.
type limit struct {
	max  int64
	dir  string
	log  *slog.Logger
	size atomic.Int64
}

func newLimit(maxBytes int64, dir string, log *slog.Logger) *limit {
	l := &limit{max: maxBytes, dir: dir, log: log}
	l.measure()
	return l
}

// watch measures the directory, because compaction and retention shrink it, until ctx ends.
func (l *limit) watch(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.measure()
		}
	}
}

func (l *limit) measure() {
	if size, err := sizeOf(l.dir); err == nil {
		l.size.Store(size)
	}
}

// refuse counts a produce request, or answers it when it would pass the limit: POLICY_VIOLATION, which no client
// retries, with the reason in words.
func (l *limit) refuse(req *kmsg.ProduceRequest) kmsg.Response {
	var bytes int64
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			bytes += int64(len(p.Records))
		}
	}
	if size := l.size.Add(bytes); size <= l.max {
		return nil
	}
	l.size.Add(-bytes)
	why := fmt.Sprintf("the embedded broker is full: its log is limited to %d bytes (--max-bytes); "+
		"delete topics or data, raise the limit, or move to Apache Kafka", l.max)
	l.log.Error("refused to append", "error", why, "bytes", bytes)
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range req.Topics {
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			part := kmsg.NewProduceResponseTopicPartition()
			part.Partition, part.ErrorCode, part.ErrorMessage = p.Partition, kerr.PolicyViolation.Code, &why
			topic.Partitions = append(topic.Partitions, part)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp
}

// sizeOf adds up the files below dir; a directory that does not exist yet holds nothing.
func sizeOf(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreGone(err)
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return ignoreGone(err)
	})
	return total, err
}
