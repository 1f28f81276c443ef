package broker

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// gate stands before the fake's request handlers and adds what they lack: the size limit, decisions of transactions
// that survive a kill, and cleaning (compaction and retention) that no transaction and no kill can hurt.
type gate struct {
	cluster *kfake.Cluster
	client  *kgo.Client
	limit   *limit
	disk    *synced
	txns    *transactions
	keeper  keeper
	log     *slog.Logger

	appends atomic.Int64 // produce requests so far
}

func newGate(cluster *kfake.Cluster, addr string, limit *limit, disk *synced, keep keeper, log *slog.Logger) (*gate, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return nil, fmt.Errorf("connecting to the embedded broker: %w", err)
	}
	return &gate{
		cluster: cluster, client: client, limit: limit, disk: disk, keeper: keep, log: log,
		txns: newTransactions(keep.dir, keep.logDir),
	}, nil
}

// guard puts the gate in place and learns which transactions an orderly stop left open.
func (g *gate) guard(ctx context.Context) error {
	g.observe(kmsg.Produce, func(req kmsg.Request) kmsg.Response {
		g.appends.Add(1)
		if refused := g.limit.refuse(req.(*kmsg.ProduceRequest)); refused != nil {
			return refused
		}
		g.txns.produced(req.(*kmsg.ProduceRequest))
		g.disk.produced(req.(*kmsg.ProduceRequest), g.topicName)
		return nil
	})
	g.observe(kmsg.TxnOffsetCommit, func(req kmsg.Request) kmsg.Response {
		g.txns.stagedOffsets(req.(*kmsg.TxnOffsetCommitRequest), g.topicName)
		return nil
	})
	g.observe(kmsg.InitProducerID, func(req kmsg.Request) kmsg.Response {
		g.txns.initialised(req.(*kmsg.InitProducerIDRequest))
		return nil
	})
	g.observe(kmsg.EndTxn, func(req kmsg.Request) kmsg.Response {
		if err := g.txns.ending(req.(*kmsg.EndTxnRequest)); err != nil {
			g.log.Error("embedded broker cannot write a transaction's decision: stopping", "error", err.Error())
			os.Exit(1) // before anything of the transaction was ended: it is still whole
		}
		g.disk.ending(req.(*kmsg.EndTxnRequest))
		return nil
	})
	g.observe(kmsg.CreateTopics, func(req kmsg.Request) kmsg.Response {
		keepCompacted(req.(*kmsg.CreateTopicsRequest))
		return nil
	})
	g.observe(kmsg.ListTransactions, g.clean)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	open, err := kadm.NewClient(g.client).ListTransactions(ctx, nil, []string{"Ongoing"})
	if err != nil {
		return fmt.Errorf("listing open transactions: %w", err)
	}
	for id, txn := range open {
		g.txns.inherited(id, txn.ProducerID)
	}
	return nil
}

// observe runs see before every request of the kind; a response it returns is the answer, nil lets the fake handle it.
func (g *gate) observe(kind kmsg.Key, see func(kmsg.Request) kmsg.Response) {
	g.cluster.ControlKey(int16(kind), func(req kmsg.Request) (kmsg.Response, error, bool) {
		g.cluster.KeepControl()
		resp := see(req)
		return resp, nil, resp != nil
	})
}

// topicName is empty where no topic has the id. Like clean, it asks from inside the request loop.
func (g *gate) topicName(id [16]byte) string {
	if info := g.cluster.TopicIDInfo(id); info != nil {
		return info.Topic
	}
	return ""
}

func (g *gate) close() { g.client.Close() }

// keepCompacted gives compacted topics what Apache Kafka gives them: no retention by age unless deletion is asked for.
func keepCompacted(req *kmsg.CreateTopicsRequest) {
	for i := range req.Topics {
		t := &req.Topics[i]
		compacted, aged := false, false
		for _, c := range t.Configs {
			switch {
			case c.Name == "cleanup.policy" && c.Value != nil:
				compacted = strings.TrimSpace(*c.Value) == "compact"
			case c.Name == "retention.ms" || c.Name == "retention.bytes":
				aged = true
			}
		}
		if compacted && !aged {
			c, forever := kmsg.NewCreateTopicsRequestTopicConfig(), "-1"
			c.Name, c.Value = "retention.ms", &forever
			t.Configs = append(t.Configs, c)
		}
	}
}
