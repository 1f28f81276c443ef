package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"docstream/schemas"
)

// folder is the DIR of a one-machine service: one dev process at a time holds it.
type folder struct {
	dir  string
	lock *os.File
}

// secrets are made once for a folder.
type secrets struct {
	HouseKey    string `json:"house_key"`
	S3AccessKey string `json:"s3_access_key"`
	S3SecretKey string `json:"s3_secret_key"`
	APIKey      string `json:"api_key"`

	APIKeyEvent *schemas.APIKeyChanged `json:"api_key_event"` // what makes the key known
	KnownTo     string                 `json:"known_to"`      // the log that has the event
}

// service is dev.json: how the other commands find a running service.
type service struct {
	API          string         `json:"api"`
	APIReference string         `json:"api_reference"`
	Kafka        string         `json:"kafka"`
	Registry     string         `json:"registry"`
	TopicsPrefix string         `json:"topics_prefix"`
	S3           string         `json:"s3"`
	S3Bucket     string         `json:"s3_bucket"`
	S3AccessKey  string         `json:"s3_access_key"`
	S3SecretKey  string         `json:"s3_secret_key"`
	ClickHouse   string         `json:"clickhouse"` // empty: analytics is off
	Metrics      string         `json:"metrics"`
	APIKey       string         `json:"api_key"`
	PIDs         map[string]int `json:"pids"`
	Data         string         `json:"data"`
}

const serviceFile = "dev.json"

// dataDir is where a one-machine service lies when nobody says otherwise.
func (p *program) dataDir() (string, error) {
	dir := p.data
	if dir == "" {
		base := p.getenv("XDG_DATA_HOME")
		if base == "" {
			home := p.getenv("HOME")
			if home == "" {
				return "", fail(exitUsage, "there is no home folder: say --data DIR")
			}
			base = filepath.Join(home, ".local", "share")
		}
		dir = filepath.Join(base, "docstream")
	}
	return filepath.Abs(dir)
}

// openFolder makes the folder and holds it; that somebody else does is an error that says who.
func openFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(filepath.Join(dir, "logs"), 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		who, _ := io.ReadAll(io.LimitReader(lock, 32)) // only to name it
		lock.Close()
		return nil, fail(exitFailed, "%s is in use by another docstream dev (pid %s)", dir, strings.TrimSpace(string(who)))
	}
	if err := errors.Join(lock.Truncate(0), writeAt(lock, fmt.Sprintln(os.Getpid()))); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	f := &folder{dir, lock}
	return f, f.forget() // of a dev that was killed
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

func (f *folder) path(name ...string) string {
	return filepath.Join(append([]string{f.dir}, name...)...)
}

func (f *folder) close() error { return errors.Join(f.forget(), f.lock.Close()) }

// announce writes dev.json whole; only its owner may read it, because it holds keys.
func (f *folder) announce(s service) error { return f.save(serviceFile, s) }

// forget removes dev.json.
func (f *folder) forget() error {
	if err := os.Remove(f.path(serviceFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (f *folder) save(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(f.dir, "."+name+"-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(append(b, '\n'))
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return os.Rename(tmp.Name(), f.path(name))
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// secrets reads the folder's secrets, making them at the first start.
func (f *folder) secrets() (secrets, error) {
	var s secrets
	err := readJSON(f.path("secrets"), &s)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	if s, err = newSecrets(); err != nil {
		return s, err
	}
	return s, f.save("secrets", s)
}

func random(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // it never fails
	return hex.EncodeToString(b)
}

// ports gives each name a port of this machine: the one it had before where that is free, else another. The preferred port is taken at
// the first start where it is free. They lie below the range from which the system serves outgoing connections.
func (f *folder) ports(names []string, preferred map[string]int) (map[string]int, error) {
	had := map[string]int{}
	if err := readJSON(f.path("ports"), &had); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	taken := map[int]bool{}
	for _, name := range names {
		port := had[name]
		if port == 0 {
			port = preferred[name]
		}
		for try := 0; port == 0 || taken[port] || !free("127.0.0.1:"+strconv.Itoa(port)); try++ {
			if try == 1000 {
				return nil, errors.New("no free port was found on this machine")
			}
			port = 20000 + mathrand.IntN(12000)
		}
		had[name], taken[port] = port, true
	}
	return had, f.save("ports", had)
}

// free reports whether an address can be listened on now.
func free(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// service finds the running service of the folder.
func (p *program) service() (service, error) {
	dir, err := p.dataDir()
	if err != nil {
		return service{}, err
	}
	var s service
	err = readJSON(filepath.Join(dir, serviceFile), &s)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && !held(filepath.Join(dir, "lock"))) {
		return s, fail(exitUnreachable, "no service is running in %s: start one with docstream dev, or set DOCSTREAM_SERVER and DOCSTREAM_API_KEY", dir)
	}
	return s, err
}

// held reports whether a process holds the lock: the kernel lets go of it when that process ends, however it ends.
func held(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}
