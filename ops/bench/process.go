package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ticks is the kernel's unit of process time; Linux has reported it as 100 a second to programs for ever.
const ticks = 100

// process is what /proc says of one process.
type process struct {
	parent int
	cpu    time.Duration // its own, and that of children it has waited for
}

// Tree returns the CPU time of a process with all its descendants, dead ones included once they were waited for.
func Tree(pid int) (time.Duration, error) {
	all, err := processes()
	if err != nil {
		return 0, err
	}
	if _, ok := all[pid]; !ok {
		return 0, fmt.Errorf("there is no process %d", pid)
	}
	total := time.Duration(0)
	for id, p := range all {
		if descends(all, id, pid) {
			total += p.cpu
		}
	}
	return total, nil
}

func descends(all map[int]process, id, from int) bool {
	for range len(all) {
		if id == from {
			return true
		}
		p, ok := all[id]
		if !ok {
			return false
		}
		id = p.parent
	}
	return false
}

func processes() (map[int]process, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("process times are read from /proc, which this system does not have")
	}
	out := map[int]process{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended since
		}
		id, p, err := parse(string(b))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		out[id] = p
	}
	return out, nil
}

// parse reads one stat line. The name may hold anything, so fields are counted behind its closing parenthesis.
func parse(line string) (int, process, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 1 || end < open {
		return 0, process{}, fmt.Errorf("no process name in %q", line)
	}
	id, err := strconv.Atoi(strings.TrimSpace(line[:open]))
	if err != nil {
		return 0, process{}, err
	}
	rest := strings.Fields(line[end+1:])
	if len(rest) < 15 {
		return 0, process{}, fmt.Errorf("%d fields in %q", len(rest), line)
	}
	var sum int64
	for _, field := range rest[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, process{}, err
		}
		sum += n
	}
	parent, err := strconv.Atoi(rest[1])
	return id, process{parent, time.Duration(sum) * time.Second / ticks}, err
}

// Peak returns the largest resident size a process has had, in bytes; 0 where the kernel does not say.
func Peak(pid int) int64 { return ofStatus(pid, "VmHWM:") }

// Resident returns the resident size a process has now, in bytes; 0 where the kernel does not say.
func Resident(pid int) int64 { return ofStatus(pid, "VmRSS:") }

func ofStatus(pid int, name string) int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(b), "\n") {
		if text, ok := strings.CutPrefix(line, name); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 10, 64)
			if err != nil {
				return 0
			}
			return n << 10
		}
	}
	return 0
}

// Children lists the live children of a process.
func Children(pid int) []int {
	all, err := processes()
	if err != nil {
		return nil
	}
	var out []int
	for id, p := range all {
		if p.parent == pid {
			out = append(out, id)
		}
	}
	return out
}
