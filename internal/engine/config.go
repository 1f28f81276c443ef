package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
)

// Config bounds what the children may use.
type Config struct {
	Slots            int           `koanf:"slots"`             // children at a time; 0: one for each CPU
	MaxDocuments     int           `koanf:"max_documents"`     // documents after which a child's successor is started
	MaxPages         int           `koanf:"max_pages"`         // calls after which a child's successor is started, at the end of the lease
	MemoryMark       int64         `koanf:"memory_mark"`       // bytes; likewise for a child above it
	MemoryLimit      int64         `koanf:"memory_limit"`      // bytes; a child above it is killed at once
	MemoryBurst      int64         `koanf:"memory_burst"`      // bytes above that limit which the system itself refuses, where one allocation is faster than the watch; 0: no bound
	PageDeadline     time.Duration `koanf:"page_deadline"`     // of one call
	DocumentDeadline time.Duration `koanf:"document_deadline"` // of one lease
	StartDeadline    time.Duration `koanf:"start_deadline"`    // until a child says that it is ready
	Nice             int           `koanf:"nice"`              // niceness of a child: 0 to 19; where the worker may change it, lighter lanes have up to 4 more
	MaxFrame         int64         `koanf:"max_frame"`         // bytes of one request or answer, at most 1 GiB

	// Weights are the shares of the lanes in the children, as in the slots of the worker. The switchboard fills them in.
	Weights map[string]int `koanf:"-"`
}

// DefaultConfig suits children that hold one page at 300 dpi and the small recognition model.
func DefaultConfig() Config {
	return Config{
		MaxDocuments:     50,
		MaxPages:         1000,
		MemoryMark:       3 << 29,
		MemoryLimit:      3 << 30,
		MemoryBurst:      2 << 30,
		PageDeadline:     2 * time.Minute,
		DocumentDeadline: time.Hour,
		StartDeadline:    time.Minute,
		Nice:             15,
		MaxFrame:         1 << 30,
	}
}

// Validate names every value that cannot work.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, a ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("engine: "+format, a...))
		}
	}
	check(c.Slots >= 0, "slots must not be negative, is %d", c.Slots)
	check(c.MaxDocuments > 0, "max_documents must be positive, is %d", c.MaxDocuments)
	check(c.MaxPages > 0, "max_pages must be positive, is %d", c.MaxPages)
	check(c.MemoryMark > 0, "memory_mark must be positive, is %d", c.MemoryMark)
	check(c.MemoryLimit >= c.MemoryMark, "memory_limit (%d) must not be below memory_mark (%d)", c.MemoryLimit, c.MemoryMark)
	check(c.MemoryBurst >= 0, "memory_burst must not be negative, is %d", c.MemoryBurst)
	check(c.PageDeadline > 0, "page_deadline must be positive, is %s", c.PageDeadline)
	check(c.DocumentDeadline >= c.PageDeadline, "document_deadline (%s) must not be below page_deadline (%s)", c.DocumentDeadline, c.PageDeadline)
	check(c.StartDeadline > 0, "start_deadline must be positive, is %s", c.StartDeadline)
	check(c.Nice >= 0 && c.Nice <= 19, "nice must be 0 to 19, is %d", c.Nice)
	check(c.MaxFrame > 0 && c.MaxFrame <= 1<<30, "max_frame must be 1 to %d, is %d", 1<<30, c.MaxFrame)
	return errors.Join(errs...)
}

// niceness is that of a child at work for a lane: the heaviest has what is configured, a lighter one yields to it. So a page that is in work
// for a light lane, and is not taken back, does not slow an urgent one down.
func (c Config) niceness(lane string) int {
	mine, ok := c.Weights[lane]
	if !ok {
		return c.Nice
	}
	heavier := map[int]bool{}
	for _, w := range c.Weights {
		if w > mine {
			heavier[w] = true
		}
	}
	return min(19, c.Nice+2*len(heavier))
}

func (c Config) slots() int {
	if c.Slots > 0 {
		return c.Slots
	}
	return runtime.NumCPU()
}

// Limits are what a child must know of its parent's configuration. They travel in the child's environment.
type Limits struct {
	MaxFrame    int64 `json:"max_frame"`    // bytes of one request or answer
	MemoryLimit int64 `json:"memory_limit"` // bytes; Go's collector works harder near it
	MemoryBurst int64 `json:"memory_burst"` // bytes above it that the system refuses; 0: no bound
	Nice        int   `json:"nice"`
}

const limitsVariable = "DOCSTREAM_ENGINE_LIMITS"

func (c Config) limits() Limits {
	return Limits{MaxFrame: c.MaxFrame, MemoryLimit: c.MemoryLimit, MemoryBurst: c.MemoryBurst, Nice: c.Nice}
}

func (l Limits) variable() string {
	b, _ := json.Marshal(l) // integers cannot fail
	return limitsVariable + "=" + string(b)
}

// LimitsFromEnv reads what the parent put into the environment; a child started by hand gets the defaults.
func LimitsFromEnv() Limits {
	l := DefaultConfig().limits()
	if s := os.Getenv(limitsVariable); s != "" {
		if err := json.Unmarshal([]byte(s), &l); err != nil {
			return DefaultConfig().limits()
		}
	}
	return l
}
