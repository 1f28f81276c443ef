package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"docstream/ops/supervise"
)

// question is what a health check of the compose file asks: an address that must answer 200, or a port that must be open.
type question struct{ url, port string }

var (
	asksURL  = regexp.MustCompile(`https?://[^\s"']+`)
	asksPort = regexp.MustCompile(`nc -z 127\.0\.0\.1 ([0-9]+)`)
)

// questionOf reads the question out of a health check's command.
func questionOf(test []string) (question, error) {
	text := strings.Join(test, " ")
	if url := asksURL.FindString(text); url != "" {
		return question{url: url}, nil
	}
	if port := asksPort.FindStringSubmatch(text); port != nil {
		return question{port: port[1]}, nil
	}
	return question{}, fmt.Errorf("the health check %q asks nothing that can be asked from outside", text)
}

// healthy waits until an instance answers its health check, or is given up.
func (c *cluster) healthy(ctx context.Context, k *supervise.Keeper, in instance) error {
	if in.service.HealthCheck == nil {
		return fmt.Errorf("%s has no health check", in.service.Name)
	}
	q, err := questionOf(in.service.HealthCheck.Test)
	if err != nil {
		return err
	}
	for {
		if err := k.Failed(); err != nil {
			return err
		}
		if c.answers(ctx, q, in) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w (see %s)", in.name, context.Cause(ctx), c.dir+"/logs/"+in.name+".log")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// answers asks once.
func (c *cluster) answers(ctx context.Context, q question, in instance) bool {
	if q.port != "" {
		conn, err := net.DialTimeout("tcp", c.book.address(in, q.port), time.Second)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.book.local(in, q.url), nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body) // only the status counts
	return res.StatusCode == http.StatusOK
}
