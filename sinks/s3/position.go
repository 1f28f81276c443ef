package s3

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"docstream/internal/blob"
	"docstream/schemas"
)

// position is where the chain of a partition ends, or ended a moment ago: it may lie behind, it always lies where a file ends. So it is safe
// to go on from there whatever became of the one who noted it.
type position struct {
	TopicID string `json:"topic_id,omitempty"`
	Epoch   int    `json:"epoch"`
	Next    int64  `json:"next"`
	File    string `json:"file"` // the one that ends there
}

// note tells whoever opens the partition next where to go on.
func (s *Sink) note(ctx context.Context, key string, of span) error {
	b, err := json.Marshal(position{TopicID: of.TopicID, Epoch: of.Epoch, Next: of.Next, File: key})
	if err != nil {
		return err
	}
	return s.objects.Put(ctx, positionKey(of.Topic, of.Partition), b, blob.Options{MediaType: "application/json"})
}

// position finds out how far a partition is archived: by its note, else by its files. found is false where nothing is.
func (s *Sink) position(ctx context.Context, at schemas.Partition) (pos position, found bool, err error) {
	pos, err = readPosition(ctx, s.objects, at.Topic, at.Number)
	switch {
	case errors.Is(err, blob.ErrNotFound), err == nil && pos.TopicID != at.TopicID:
		return s.locate(ctx, at)
	case err != nil:
		return pos, false, err
	}
	return pos, true, nil
}

// readPosition reads a note; one that cannot be read counts as missing.
func readPosition(ctx context.Context, objects Objects, topic string, partition int32) (pos position, err error) {
	body, _, err := objects.Get(ctx, positionKey(topic, partition), 0, 0)
	if err != nil {
		return pos, err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, 64<<10))
	if err != nil {
		return pos, err
	}
	if json.Unmarshal(b, &pos) != nil {
		return pos, blob.ErrNotFound
	}
	return pos, nil
}

// locate looks through the files of a topic for the last one of a partition. Where that is another topic's, one that had the name before,
// this one's chain begins in the next epoch.
func (s *Sink) locate(ctx context.Context, at schemas.Partition) (pos position, found bool, err error) {
	last := name{epoch: -1}
	err = s.objects.List(ctx, root+at.Topic+"/", func(o blob.Object) bool {
		if n, ok := parse(o.Key); ok && n.partition == at.Number && (n.epoch > last.epoch || n.epoch == last.epoch && n.first > last.first) {
			last = n
		}
		return ctx.Err() == nil
	})
	if err != nil || ctx.Err() != nil {
		return pos, false, errors.Join(err, ctx.Err())
	}
	pos.TopicID = at.TopicID
	if last.epoch < 0 {
		return pos, false, nil
	}
	of, err := look(ctx, s.objects, last.key())
	if err != nil {
		return pos, false, err
	}
	if of.TopicID != at.TopicID {
		s.log.WarnContext(ctx, "a topic was made anew; its archive goes on beside the old one's", "topic", at.Topic, "partition", at.Number, "epoch", last.epoch+1)
		pos.Epoch = last.epoch + 1
		return pos, false, nil
	}
	pos.Epoch, pos.Next, pos.File = last.epoch, of.Next, last.key()
	return pos, true, nil
}

// look reads what a file says of itself.
func look(ctx context.Context, objects Objects, key string) (span, error) {
	body, _, err := objects.Get(ctx, key, 0, 0)
	if err != nil {
		return span{}, err
	}
	defer body.Close()
	in, err := openFile(body)
	if in.failed != nil {
		return span{}, in.failed
	}
	if err != nil {
		return span{}, broken(key, err)
	}
	return in.span, nil
}
