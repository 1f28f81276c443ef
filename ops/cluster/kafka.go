package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"docstream/ops/supervise"
)

// notProperties are variables of the image that are no settings of the broker.
var notProperties = []string{"KAFKA_HEAP_OPTS", "KAFKA_OPTS", "KAFKA_JMX_OPTS", "KAFKA_LOG4J_OPTS", "KAFKA_JVM_PERFORMANCE_OPTS", "KAFKA_GC_LOG_OPTS"}

// properties are the broker's settings as Apache's image makes them out of its environment: KAFKA_NODE_ID is node.id, two underscores are
// one, three are a dash.
func properties(env map[string]string) string {
	names := strings.NewReplacer("___", "-", "__", "_", "_", ".")
	var lines []string
	for name, value := range env {
		key, ok := strings.CutPrefix(name, "KAFKA_")
		if ok && !slices.Contains(notProperties, name) {
			lines = append(lines, names.Replace(strings.ToLower(key))+"="+value+"\n")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// kafka runs a broker from the pinned jars, formatted first where its directory is new.
func (c *cluster) kafka(in instance) (supervise.Spec, error) {
	env := c.book.environment(in)
	dir := filepath.Join(c.dir, in.name)
	file, logs := filepath.Join(dir, "server.properties"), env["KAFKA_LOG_DIRS"]
	if err := os.MkdirAll(logs, 0o700); err != nil {
		return supervise.Spec{}, err
	}
	if err := os.WriteFile(file, []byte(properties(env)), 0o600); err != nil {
		return supervise.Spec{}, err
	}
	java := []string{"java", "-Djava.awt.headless=true", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
		"-Dlog4j2.configurationFile=" + filepath.Join(c.cache, "kafka", "log4j2.properties"), "-cp", filepath.Join(c.jars(), "*")}
	if _, err := os.Stat(filepath.Join(logs, "meta.properties")); err != nil {
		args := append(slices.Clone(java[1:]), "kafka.tools.StorageTool", "format", "-t", env["CLUSTER_ID"], "-c", file)
		if out, err := exec.Command(java[0], args...).CombinedOutput(); err != nil {
			return supervise.Spec{}, fmt.Errorf("formatting: %w: %s", err, lastLine(out))
		}
	}
	command := slices.Insert(java, 1, strings.Fields(env["KAFKA_HEAP_OPTS"])...)
	return supervise.Spec{Command: append(command, "kafka.Kafka", file), Env: c.inherited()}, nil
}

// jars is the folder of the pinned broker.
func (c *cluster) jars() string {
	found, _ := filepath.Glob(filepath.Join(c.cache, "kafka", "libs-*", ".verified")) // the pattern is a good one
	if len(found) == 0 {
		return ""
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1])
}

// createTopic does what kafka-topics.sh --create --if-not-exists does, which is not among the jars.
func (c *cluster) createTopic(ctx context.Context, in instance) error {
	flags := map[string]string{}
	words := in.service.Command
	for i := 1; i < len(words); i++ {
		if i+1 < len(words) && !strings.HasPrefix(words[i+1], "--") {
			flags[words[i]] = c.book.local(in, words[i+1])
			i++
		} else {
			flags[words[i]] = ""
		}
	}
	partitions, err := strconv.Atoi(flags["--partitions"])
	replicas, err2 := strconv.Atoi(flags["--replication-factor"])
	key, value, ok := strings.Cut(flags["--config"], "=")
	if _, create := flags["--create"]; err != nil || err2 != nil || !ok || !create || flags["--topic"] == "" {
		return fmt.Errorf("%q creates no topic", words)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(flags["--bootstrap-server"]))
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(ctx, int32(partitions), int16(replicas), map[string]*string{key: &value}, flags["--topic"])
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	return err
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}
