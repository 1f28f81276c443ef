package main

import (
	"context"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"docstream/ops/supervise"
)

// partsBinary is the program of the embedded parts; it is built as a module of its own, so that production carries none of them.
const partsBinary = "docstream-parts"

// findParts looks for docstream-parts where --parts-bin says, else beside this program.
func (s *supervisor) findParts() error {
	path := s.options.parts
	if path == "" {
		exe, err := self()
		if err != nil {
			return err
		}
		path = filepath.Join(filepath.Dir(exe), partsBinary)
	}
	if info, err := os.Stat(path); err != nil || info.IsDir() {
		return fail(exitFailed, "%s is missing: run make build, or say --parts-bin PATH", path)
	}
	s.options.parts = path
	return nil
}

// startParts starts broker, object store and analytics at once; each says when it serves.
func (s *supervisor) startParts(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if s.options.kafka == "" {
		g.Go(func() error {
			l, err := s.part(ctx, 0, nil, "broker", "--data", s.folder.path("kafka"), "--listen", s.local("kafka"), "--registry", s.local("registry"))
			if err == nil {
				s.log.Warn("the embedded broker is a fake: it is for trying, developing and testing one machine's worth", "addr", l.Addr)
			}
			return err
		})
	}
	if s.options.s3 == "" {
		g.Go(func() error {
			keys := []string{"DOCSTREAM_PARTS_S3_ACCESS_KEY=" + s.secrets.S3AccessKey, "DOCSTREAM_PARTS_S3_SECRET_KEY=" + s.secrets.S3SecretKey}
			_, err := s.part(ctx, 0, keys, "s3", "--data", s.folder.path("s3"), "--listen", s.local("s3"), "--bucket", s.config.Objects.Bucket)
			return err
		})
	}
	if s.analytics() {
		g.Go(func() error {
			_, err := s.part(ctx, afterwards, nil, "clickhouse", "--data", s.folder.path("clickhouse"), "--listen", s.local("clickhouse"), "--lib", s.library())
			return err
		})
	} else {
		s.say("warning: %s is missing, so analytics is off: no ClickHouse rows, no SQL; make parts fetches it where there is one for this platform", s.library())
	}
	return g.Wait()
}

// part starts one embedded part and waits until it serves. env is added to its environment: no secret stands on a command line.
func (s *supervisor) part(ctx context.Context, nice int, env []string, name string, args ...string) (line, error) {
	k, err := s.keep(&s.parts, supervise.Spec{Name: name, Says: true, Nice: nice, Env: append(s.inherited(), env...),
		Command: append([]string{s.options.parts, name, "--lifeline"}, args...)})
	if err != nil {
		return line{}, err
	}
	said, err := k.Said(ctx)
	if err != nil {
		return line{}, err
	}
	return readLine(said)
}

// library is ClickHouse's engine.
func (s *supervisor) library() string { return filepath.Join(s.config.Models.Folder(), "libchdb.so") }

// analytics reports whether this machine can have it.
func (s *supervisor) analytics() bool {
	_, err := os.Stat(s.library())
	return err == nil
}
