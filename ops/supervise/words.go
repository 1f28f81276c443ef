package supervise

import (
	"encoding/json"
	"io"
	"os"
	"strings"
)

// LastWords returns the reason in the last line of a log: the error of a JSON line, else the line itself.
func LastWords(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > 16<<10 {
		if _, err := f.Seek(-16<<10, io.SeekEnd); err != nil {
			return ""
		}
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		var line struct{ Level, Msg, Error string }
		if json.Unmarshal([]byte(lines[i]), &line) != nil {
			return strings.TrimPrefix(lines[i], "docstream: ")
		}
		if line.Error != "" {
			return line.Error
		}
		if line.Level == "ERROR" {
			return line.Msg
		}
	}
	return ""
}
