// Command docstream is the whole house in one binary: the gateway, the processors, the sink, the one-machine service, and the commands
// that talk to them.
//
// Configuration is composed here and nowhere else: config.go lists the sections, wire.go turns them into parts, and each command has a
// file of its own.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is stamped by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	m := Main{Version: version, Env: os.Environ()}
	code := m.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
