package bare_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/testenv"
	"docstream/ops/bench/bare"
)

func topics(t *testing.T) int {
	cl, err := testenv.Kafka(t).Client()
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	all, err := kadm.NewClient(cl).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestALaidLogIsReadAsOftenAsAskedAndRemoved(t *testing.T) {
	conn, before := testenv.Kafka(t), topics(t)
	l, err := bare.Lay(t.Context(), conn, "test.", func(add func(*kgo.Record)) error {
		for i := range 5000 {
			add(&kgo.Record{Topic: "another", Partition: 99, Key: fmt.Append(nil, i), Value: []byte("value")})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if took, err := l.Read(t.Context()); err != nil || took <= 0 || took > time.Minute {
			t.Errorf("read in %s: %v", took, err)
		}
	}
	if err := l.Remove(t.Context()); err != nil || topics(t) != before {
		t.Errorf("%d topics, %d before: %v", topics(t), before, err)
	}
}

func TestALogThatCannotBeMadeLeavesNothing(t *testing.T) {
	conn, before := testenv.Kafka(t), topics(t)
	broken := errors.New("no more")
	if _, err := bare.Lay(t.Context(), conn, "test.", func(func(*kgo.Record)) error { return broken }); !errors.Is(err, broken) || topics(t) != before {
		t.Errorf("%d topics, %d before: %v", topics(t), before, err)
	}
}
