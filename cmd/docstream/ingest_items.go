package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"docstream/internal/blob"
)

// item is one document of an ingestion: a file, an address, or an object of a registered bucket.
type item struct {
	name    string // as a person knows it
	path    string
	url     string
	object  *object
	version string // tells an object from what lay under its name before

	customID, filename string
	metadata           map[string]string
}

// object names an object of a bucket as the API does.
type object struct {
	Bucket  string `json:"bucket"`
	Key     string `json:"key"`
	Version string `json:"version,omitempty"`
}

// maxLine bounds a line of a manifest, in bytes.
const maxLine = 64 << 10

// each calls do for every document the arguments name, in an order that is always the same, and ends with the first error. It holds one
// document at a time, however many there are (P6).
func (p *program) each(ctx context.Context, sources []string, do func(item) error) error {
	for _, s := range sources {
		err := ctx.Err()
		switch {
		case err != nil:
		case strings.HasPrefix(s, "s3://"):
			err = p.eachObject(ctx, s, do)
		case strings.HasSuffix(s, ".jsonl"), strings.HasSuffix(s, ".ndjson"):
			err = eachLine(s, do)
		default:
			err = eachFile(s, do)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// eachFile walks a folder, or takes the one file. What begins with a dot is left out, and so is what is no file: links are not followed.
func eachFile(root string, do func(item) error) error {
	full, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	return filepath.WalkDir(full, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path != full && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case !d.Type().IsRegular():
			return nil
		}
		name := root
		if path != full {
			name = filepath.Join(root, strings.TrimPrefix(path, full))
		}
		return do(item{name: name, path: path, filename: filepath.Base(path)})
	})
}

// listed is one line of a manifest.
type listed struct {
	Path     string            `json:"path"` // relative to the manifest
	URL      string            `json:"url"`
	S3       string            `json:"s3"` // s3://bucket/key
	CustomID string            `json:"custom_id"`
	Filename string            `json:"filename"`
	Metadata map[string]string `json:"metadata"`
}

// eachLine reads a manifest: a JSON object a line.
func eachLine(path string, do func(item) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 0, 4<<10), maxLine)
	n := 0
	for lines.Scan() {
		n++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		it, err := readListed(lines.Bytes(), filepath.Dir(path))
		if err != nil {
			return fail(exitUsage, "%s:%d: %v", path, n, err)
		}
		if err := do(it); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fail(exitUsage, "%s:%d: %v", path, n+1, err)
	}
	return nil
}

func readListed(b []byte, folder string) (item, error) {
	var l listed
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return item{}, fmt.Errorf("want {\"path\": …}, {\"url\": …} or {\"s3\": …}, with custom_id, filename and metadata where wanted: %w", err)
	}
	it := item{url: l.URL, customID: l.CustomID, filename: l.Filename, metadata: l.Metadata}
	sources := 0
	if l.Path != "" {
		sources++
		if !filepath.IsAbs(l.Path) {
			l.Path = filepath.Join(folder, l.Path)
		}
		full, err := filepath.Abs(l.Path)
		if err != nil {
			return it, err
		}
		it.name, it.path = l.Path, full
		if it.filename == "" {
			it.filename = filepath.Base(full)
		}
	}
	if l.URL != "" {
		sources++
		it.name = l.URL
	}
	if l.S3 != "" {
		sources++
		bucket, key := split(l.S3)
		if bucket == "" || key == "" {
			return it, fmt.Errorf("%s is no s3://bucket/key", l.S3)
		}
		it.name, it.object = l.S3, &object{Bucket: bucket, Key: key}
	}
	if sources != 1 {
		return it, fmt.Errorf("name one source: path, url or s3")
	}
	return it, nil
}

// split parts s3://bucket/key.
func split(address string) (bucket, key string) {
	rest, ok := strings.CutPrefix(address, "s3://")
	if !ok {
		return "", ""
	}
	bucket, key, _ = strings.Cut(rest, "/")
	return bucket, key
}

// eachObject lists a bucket below a prefix. The bytes go from the bucket to a worker, which must be allowed to read it: prepare.buckets.
func (p *program) eachObject(ctx context.Context, address string, do func(item) error) error {
	bucket, prefix := split(address)
	if bucket == "" {
		return fail(exitUsage, "%s is no s3://bucket/prefix", address)
	}
	objects, err := p.objects()
	if err != nil {
		return err
	}
	var failed error
	err = objects.In(bucket).ListVersions(ctx, prefix, func(o blob.Object) bool {
		if strings.HasSuffix(o.Key, "/") { // a folder, as some tools draw one
			return true
		}
		it := item{name: "s3://" + bucket + "/" + o.Key, object: &object{Bucket: bucket, Key: o.Key, Version: o.Version}, version: o.Version}
		if it.version == "" {
			it.version = strings.Trim(o.ETag, `"`)
		}
		failed = do(it)
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	return err
}

// objects is the store of the configuration, or that of the one-machine service the client commands speak to.
func (p *program) objects() (*blob.S3, error) {
	cfg, err := p.config()
	if err != nil {
		return nil, err
	}
	if p.data != "" || p.getenv("DOCSTREAM_SERVER") == "" {
		d, err := p.service()
		if err != nil {
			return nil, err
		}
		cfg.Objects.Endpoint, cfg.Objects.Bucket, cfg.Objects.AccessKey, cfg.Objects.SecretKey = d.S3, d.S3Bucket, d.S3AccessKey, d.S3SecretKey
	}
	objects, err := blob.Open(cfg.Objects, prometheus.NewRegistry())
	if err != nil {
		return nil, exit{exitUsage, err.Error()}
	}
	return objects, nil
}

// key is the Idempotency-Key of a document: the same document from the same place, asked for in the same way, has the same one, whoever
// ingests it and when. What lies there now under the name of what lay there before is another document.
func (it item) key(s submission, label string) (string, error) {
	content, where := it.version, it.url
	switch {
	case it.path != "":
		f, err := os.Open(it.path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return "", err
		}
		content, where = hex.EncodeToString(h.Sum(nil)), it.path
	case it.object != nil:
		where = "s3://" + it.object.Bucket + "/" + it.object.Key
	}
	b, err := json.Marshal([]any{label, where, content, it.customID, it.filename, it.metadata, s.priority, s.formats, s.ocr, s.pages})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return "ingest-" + hex.EncodeToString(sum[:]), nil
}
