// Package s3 turns the notifications of S3 buckets into jobs: an object that was created becomes one submission by reference, once per
// version of the object, and stays where it lies.
//
// Notifications come from an SQS queue or a Kafka topic, at least once and in any order, in AWS's own JSON or wrapped by SNS or
// EventBridge. A message is acknowledged only after everything that follows from it is durable in the log (P1). The job's id is a hash of
// tenant, bucket, key and version, so that a notification that comes again names a job that is there already. Every record of a message
// ends as a submission, filtered on purpose, or with its message in the dead letters (P3). A scan reconciles: it lists the buckets and
// submits what nobody announced.
package s3

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/blob"
	"docstream/internal/stream"
	"docstream/internal/topology"
	"docstream/schemas"
)

// Name is how the connector is called in headers, dead letters, groups and metrics.
const Name = topology.S3Connector

// Objects is what the connector needs of the platform's object store: a look at what a job has left there.
type Objects interface {
	List(ctx context.Context, prefix string, f func(blob.Object) bool) error
}

// Connector reads notifications. Its methods may run at the same time.
type Connector struct {
	cfg     Config
	conn    stream.Connection
	plan    topology.Config
	codec   *schemas.Codec
	key     schemas.SigningKey
	objects Objects
	writer  *stream.Writer
	client  *kgo.Client
	recent  *recent
	metrics *metrics
	log     *slog.Logger
	open    atomic.Bool // the source has answered
}

// New returns a connector that writes through client, which is not transactional; it calls nothing yet. key signs the submissions. reg may
// be nil.
func New(cfg Config, conn stream.Connection, plan topology.Config, codec *schemas.Codec, key schemas.SigningKey, client *kgo.Client, objects Objects,
	log *slog.Logger, reg prometheus.Registerer) *Connector {
	return &Connector{cfg: cfg, conn: conn, plan: plan, codec: codec, key: key, objects: objects, client: client, log: log,
		writer: stream.NewWriter(plan, codec, Name, key), recent: newRecent(cfg.Recent), metrics: newMetrics(reg)}
}

// Ready says why the connector cannot work; nil once queue or topic have answered.
func (c *Connector) Ready() error {
	if !c.open.Load() {
		return errors.New("the source of the notifications does not answer")
	}
	return nil
}

// longest bounds the pauses between two attempts at something that does not answer.
const longest = 15 * time.Second
