package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// book says where on this machine things are that the compose file names by service, port and path.
type book struct {
	dir   string              // of the data
	first map[string]instance // the first instance of each service and alias

	mu    sync.Mutex
	ports map[string]int // instance:container port
}

func newBook(dir string, instances map[string][]instance) *book {
	b := &book{dir: dir, first: map[string]instance{}, ports: map[string]int{}}
	for _, service := range slices.Sorted(maps.Keys(instances)) {
		all := instances[service]
		if len(all) == 0 {
			continue
		}
		b.first[service] = all[0]
		for _, network := range all[0].service.Networks {
			if network == nil {
				continue
			}
			for _, alias := range network.Aliases { // where several services have it, the first stands for all
				if _, ok := b.first[alias]; !ok {
					b.first[alias] = all[0]
				}
			}
		}
	}
	return b
}

// address is where an instance listens that listens at a port of its container.
func (b *book) address(in instance, port string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := in.name + ":" + port
	if b.ports[key] == 0 {
		b.ports[key] = b.free()
	}
	return fmt.Sprintf("127.0.0.1:%d", b.ports[key])
}

// free finds a port below the range from which the system serves outgoing connections.
func (b *book) free() int {
	for {
		port := 20000 + rand.IntN(12000)
		if b.taken(port) {
			continue
		}
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			_ = l.Close() // it was only asked whether it is free
			return port
		}
	}
}

func (b *book) taken(port int) bool {
	for _, p := range b.ports {
		if p == port {
			return true
		}
	}
	return false
}

var (
	named = regexp.MustCompile(`\b([a-z][a-z0-9-]*|0\.0\.0\.0|127\.0\.0\.1):([0-9]{2,5})\b`)
	bare  = regexp.MustCompile(`(^|//):([0-9]{2,5})\b`)
)

// local rewrites a value of the compose file: the addresses of services, those an instance listens at, and the paths of its volumes.
func (b *book) local(in instance, value string) string {
	value = bare.ReplaceAllString(value, "${1}0.0.0.0:$2")
	value = named.ReplaceAllStringFunc(value, func(found string) string {
		host, port, _ := strings.Cut(found, ":")
		switch other, ok := b.first[host]; {
		case host == "localhost" || host == "0.0.0.0" || host == "127.0.0.1":
			return b.address(in, port)
		case ok:
			return b.address(other, port)
		}
		return found
	})
	for _, v := range in.service.Volumes {
		at := b.volume(in, v.Target)
		if v.Type == "bind" {
			at = v.Source
		}
		if value == v.Target || strings.HasPrefix(value, v.Target+"/") {
			value = at + strings.TrimPrefix(value, v.Target)
		}
	}
	return value
}

// volume is where a volume of an instance is kept.
func (b *book) volume(in instance, target string) string {
	return filepath.Join(b.dir, in.name, filepath.Base(target))
}
