package s3

import (
	"errors"
	"time"
)

// Config says how large the files of the archive are, how long a record may wait in memory for its file, and how much memory that takes.
type Config struct {
	FileBytes   int64         `koanf:"file_bytes"`   // of a file, compressed, before it is stored
	FileAge     time.Duration `koanf:"file_age"`     // after which a file is stored whatever its size
	BufferBytes int64         `koanf:"buffer_bytes"` // of all files that are being filled; above it the largest are stored early
	Uploads     int           `koanf:"uploads"`      // at once
}

// blockBytes is how much of a file is compressed at once, and what a reader holds of it.
const blockBytes = 64 << 10

// DefaultConfig suits one machine; production takes file_bytes 64MiB and buffer_bytes 512MiB.
func DefaultConfig() Config {
	return Config{FileBytes: 16 << 20, FileAge: 5 * time.Minute, BufferBytes: 64 << 20, Uploads: 4}
}

// Validate refuses settings that cannot work.
func (c Config) Validate() error {
	switch {
	case c.FileBytes < 64<<10:
		return errors.New("archive: file_bytes is at least 64KiB")
	case c.FileAge < time.Second:
		return errors.New("archive: file_age is at least 1s")
	case c.BufferBytes < c.FileBytes:
		return errors.New("archive: buffer_bytes is not below file_bytes")
	case c.Uploads < 1:
		return errors.New("archive: uploads is at least 1")
	}
	return nil
}
