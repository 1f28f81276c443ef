// Command cluster starts the services of docker-compose.kafka.yml.
package main

import (
	_ "docstream/ops/supervise"
	_ "github.com/compose-spec/compose-go/v2/cli"
	_ "go.yaml.in/yaml/v3"
	_ "golang.org/x/sync/errgroup"
)

func main() {}
