package s3

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// root holds everything of the archive.
const root = "archive/"

// name is what the key of a file says: archive/<topic>/dt=<day>/p=<partition>/<epoch>-<first offset>.avro.
//
// The last offset is not in it, on purpose: two workers that hold different stretches of the log from the same offset on must meet at one
// key, where the object store lets one of them win.
type name struct {
	topic     string
	day       string // of all its records, UTC
	partition int32
	epoch     int   // how often the topic was made anew
	first     int64 // offset; the file before ends there
}

func (n name) key() string {
	return fmt.Sprintf("%s%s/dt=%s/p=%d/%04d-%020d.avro", root, n.topic, n.day, n.partition, n.epoch, n.first)
}

// parse reads a key; ok is false for keys that are no files of the archive.
func parse(key string) (n name, ok bool) {
	parts := strings.Split(strings.TrimPrefix(key, root), "/")
	if !strings.HasPrefix(key, root) || len(parts) != 4 {
		return n, false
	}
	number, isPartition := strings.CutPrefix(parts[2], "p=")
	day, isDay := strings.CutPrefix(parts[1], "dt=")
	epoch, first, isFile := strings.Cut(strings.TrimSuffix(parts[3], ".avro"), "-")
	p, err1 := strconv.ParseInt(number, 10, 32)
	e, err2 := strconv.Atoi(epoch)
	f, err3 := strconv.ParseInt(first, 10, 64)
	n = name{topic: parts[0], day: day, partition: int32(p), epoch: e, first: f}
	return n, isPartition && isDay && isFile && err1 == nil && err2 == nil && err3 == nil && n.key() == key
}

// positionKey is where it is noted how far a partition is archived.
func positionKey(topic string, partition int32) string {
	return fmt.Sprintf("%sp=%d.json", positionsOf(topic), partition)
}

func positionsOf(topic string) string { return root + "_positions/" + topic + "/" }

func positionOf(topic, key string) (partition int32, ok bool) {
	n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(key, positionsOf(topic)+"p="), ".json"), 10, 32)
	return int32(n), err == nil
}

// dayOf is the UTC day of a time as four-digit years have it.
func dayOf(t time.Time) string {
	t = t.UTC()
	switch {
	case t.Year() < 1:
		return "0001-01-01"
	case t.Year() > 9999:
		return "9999-12-31"
	}
	return t.Format(time.DateOnly)
}
