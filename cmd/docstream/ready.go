package main

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// readyPatience bounds one question; a container's health check asks again.
const readyPatience = 4 * time.Second

func (p *program) readyCommand() *cobra.Command {
	return &cobra.Command{Use: "ready URL", Short: "Ask a role whether it is ready, for the health checks of containers", Args: cobra.ExactArgs(1),
		Long: "Ask a role whether it is ready: exit code 0, or 7 with what it lacks, or 3 where it does not answer.\n" +
			"A gateway answers at its own address, every other role beside its metrics: docstream ready http://127.0.0.1:9100/readyz",
		RunE: func(c *cobra.Command, args []string) error { return askReady(c.Context(), args[0]) }}
}

func askReady(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fail(exitUsage, "%q is no URL such as http://127.0.0.1:9100/readyz", address)
	}
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fail(exitUsage, "%v", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fail(exitUnreachable, "%s does not answer: %v", u.Host, err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		return nil
	}
	why, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) // only to say it
	return fail(exitNotReady, "%s is not ready: status %d: %s", u.Host, res.StatusCode, strings.TrimSpace(string(why)))
}
