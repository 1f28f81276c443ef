package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Folder is a place on this machine's disks that the house fills.
type Folder struct {
	Name string // the key that sets it
	Path string
	Need int64 // bytes it may grow to
}

// least is the room below which a disk is full for practical purposes.
const least = 256 << 20

// disk asks for the room that is left where the house writes.
func (h House) disk(context.Context) []Finding {
	var out []Finding
	for _, f := range h.Folders {
		free, err := room(f.Path)
		what := fmt.Sprintf("%s (%s) has %d MiB free", f.Name, f.Path, free>>20)
		switch {
		case err != nil:
			out = append(out, warn(fmt.Sprintf("%s (%s) cannot be looked at: %v", f.Name, f.Path, err), "nobody knows whether its disk is full", "let the doctor read the folder"))
		case free < least:
			out = append(out, fail(what, "whoever writes there fails, and its stage waits", "make room, or set "+f.Name+" to another disk"))
		case free < f.Need:
			out = append(out, warn(fmt.Sprintf("%s, it may grow to %d MiB", what, f.Need>>20), "the disk may fill before the folder's own bound is reached", "make room, or lower the bound"))
		default:
			out = append(out, ok("%s", what))
		}
	}
	return out
}

// room returns the free bytes of the disk of a folder, or of the nearest folder above it that exists.
func room(path string) (int64, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return 0, err
	}
	for {
		_, err := os.Stat(path)
		if err == nil {
			return free(path)
		}
		up := filepath.Dir(path)
		if !errors.Is(err, fs.ErrNotExist) || up == path {
			return 0, err
		}
		path = up
	}
}
