package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/internal/blob"
)

// inboxPatience bounds how long an object that was announced may take to be a completed job.
const inboxPatience = 2 * time.Minute

// inbox writes an object to the connector's bucket and announces it as the S3 server of the compose file does, which the one that stands
// for it here does not; then it waits for its job. The object is announced twice: there must be one job.
func (c *cluster) inbox(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, inboxPatience, errors.New("the announced object became no completed job"))
	defer cancel()
	if _, ok := c.services["connector"]; !ok {
		return errors.New("there is no connector")
	}
	env := c.book.environment(c.instances["connector"][0])
	name := fmt.Sprintf("announced-%d.txt", time.Now().UnixNano())
	o, err := c.putInbox(ctx, env, "in/"+name)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(env["DOCSTREAM_KAFKA_BROKERS"], ",")...))
	if err != nil {
		return err
	}
	defer client.Close()
	for range 2 {
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: env["DOCSTREAM_CONNECTORS_S3_TOPIC"], Value: announcement(o)}).FirstErr(); err != nil {
			return err
		}
	}
	for {
		n, status, err := c.jobsOf(ctx, name)
		switch {
		case err != nil && ctx.Err() == nil:
			return err
		case n > 1:
			return fmt.Errorf("the announced object became %d jobs", n)
		case status == "completed":
			return nil
		case status != "" && status != "pending" && status != "processing":
			return fmt.Errorf("the announced object's job is %s", status)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (c *cluster) putInbox(ctx context.Context, env map[string]string, key string) (blob.Object, error) {
	cfg := blob.DefaultConfig()
	cfg.Endpoint, cfg.Bucket, cfg.PathStyle = env["DOCSTREAM_OBJECTS_ENDPOINT"], "inbox", true
	cfg.AccessKey, cfg.SecretKey = env["DOCSTREAM_OBJECTS_ACCESS_KEY"], env["DOCSTREAM_OBJECTS_SECRET_KEY"]
	store, err := blob.Open(cfg, nil)
	if err != nil {
		return blob.Object{}, err
	}
	if err := store.Put(ctx, key, []byte("A letter that somebody put into the inbox.\n"), blob.Options{MediaType: "text/plain"}); err != nil {
		return blob.Object{}, err
	}
	return store.Head(ctx, key)
}

// announcement is the notification of an object that was created.
func announcement(o blob.Object) []byte {
	record := map[string]any{"eventVersion": "2.2", "eventSource": "aws:s3", "awsRegion": "us-east-1", "eventTime": o.Modified.UTC().Format(time.RFC3339),
		"eventName": "s3:ObjectCreated:Put", "s3": map[string]any{"s3SchemaVersion": "1.0", "bucket": map[string]any{"name": "inbox"},
			"object": map[string]any{"key": o.Key, "size": o.Size, "eTag": o.ETag, "sequencer": "1"}}}
	b, _ := json.Marshal(map[string]any{"Records": []any{record}}) // of texts and numbers: it cannot fail
	return b
}

// jobsOf counts the jobs of a file's name, and tells the status of the last.
func (c *cluster) jobsOf(ctx context.Context, name string) (n int, status string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.file.API+"/api/v1/jobs?limit=100", nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+c.file.APIKey)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	var list struct {
		Jobs []struct {
			Status string `json:"status"`
			Source struct {
				Filename string `json:"filename"`
			} `json:"source"`
		} `json:"jobs"`
	}
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil {
		return 0, "", err
	}
	for _, j := range list.Jobs {
		if j.Source.Filename == name {
			n, status = n+1, j.Status
		}
	}
	return n, status, nil
}
