#!/usr/bin/env bash
# A real Apache Kafka on loopback, from pinned jars on Java 17, for the tests that must hold on the real thing.
#
#   kafka.sh resolve        fetch the jars (ops/parts/fetch.py --with kafka)
#   kafka.sh start [1|3]    format new data directories, start the brokers, return when each of them answers
#   kafka.sh revive         start those brokers again that were killed, on what they have on disk
#   kafka.sh stop           TERM, and KILL after 10 seconds for a broker that has lost its quorum; data stays
#   kafka.sh brokers        the bootstrap addresses of what was started
#
# Environment: KAFKA_DATA (default ./kafka-data), KAFKA_PORT (19092; broker n listens on KAFKA_PORT + 10(n-1), its
# controller one above), KAFKA_HEAP (512m), DOCSTREAM_CACHE (where the jars are). A second start on the same data
# keeps topics and offsets; KAFKA_DATA removed is a new cluster. KAFKA_USERS ("admin:secret gateway:secret2 ...") makes
# clients log in by SASL/PLAIN and enforces access control lists; the first user may do everything, the others nothing.
set -euo pipefail

version=4.3.1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${DOCSTREAM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/docstream}
jars=$cache/kafka/libs-$version
data=${KAFKA_DATA:-$PWD/kafka-data}
first_port=${KAFKA_PORT:-19092}
heap=${KAFKA_HEAP:-512m}
users=${KAFKA_USERS:-}
protocol=PLAINTEXT
[ -z "$users" ] || protocol=SASL_PLAINTEXT

die() { echo "kafka.sh: $*" >&2; exit 1; }
port() { echo $((first_port + 10 * ($1 - 1))); }
alive() { [ -f "$data/$1.pid" ] && kill -0 "$(cat "$data/$1.pid")" 2>/dev/null; }

resolve() { python3 "$here/../parts/fetch.py" --only kafka; }

# properties NODE NODES: one broker that is its own controller, sized for a test machine. A killed broker is noticed
# after 3 seconds and not after 9, so that failover tests are short.
properties() {
  local node=$1 nodes=$2 copies=1 in_sync=1 voters="" n
  if [ "$nodes" -ge 3 ]; then copies=3 in_sync=2; fi
  for n in $(seq "$nodes"); do voters+="${voters:+,}$n@127.0.0.1:$(($(port "$n") + 1))"; done
  cat <<P
process.roles=broker,controller
node.id=$node
controller.quorum.voters=$voters
listeners=$protocol://127.0.0.1:$(port "$node"),CONTROLLER://127.0.0.1:$(($(port "$node") + 1))
advertised.listeners=$protocol://127.0.0.1:$(port "$node")
controller.listener.names=CONTROLLER
inter.broker.listener.name=$protocol
listener.security.protocol.map=$protocol:$protocol,CONTROLLER:PLAINTEXT
log.dirs=$data/$node
auto.create.topics.enable=false
num.partitions=1
default.replication.factor=$copies
min.insync.replicas=$in_sync
offsets.topic.num.partitions=4
offsets.topic.replication.factor=$copies
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=$copies
transaction.state.log.min.isr=$in_sync
share.coordinator.state.topic.num.partitions=4
share.coordinator.state.topic.replication.factor=$copies
share.coordinator.state.topic.min.isr=$in_sync
group.initial.rebalance.delay.ms=0
log.cleaner.enable=true
log.cleaner.backoff.ms=1000
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=8388608
message.max.bytes=8388608
num.network.threads=2
num.io.threads=4
background.threads=2
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
P
  [ -z "$users" ] || secured
}

# secured: what nobody was allowed is refused. The controllers talk without logging in, on loopback and among themselves.
secured() {
  local first=${users%% *} user jaas
  jaas="org.apache.kafka.common.security.plain.PlainLoginModule required username=\"${first%%:*}\" password=\"${first#*:}\""
  for user in $users; do jaas+=" user_${user%%:*}=\"${user#*:}\""; done
  cat <<P
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:ANONYMOUS;User:${first%%:*}
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=$jaas;
P
}

start() {
  local nodes=${1:-1} n
  case $nodes in 1 | 3) ;; *) die "start 1 or 3 brokers, not $nodes" ;; esac
  command -v java >/dev/null || die "java is missing: install a Java 17 runtime"
  [ -f "$jars/.verified" ] || die "the jars are missing: run $0 resolve"
  mkdir -p "$data"
  [ -f "$data/cluster.id" ] || head -c16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=' >"$data/cluster.id"
  for n in $(seq "$nodes"); do
    alive "$n" && die "broker $n runs already (pid $(cat "$data/$n.pid"))"
    properties "$n" "$nodes" >"$data/$n.properties"
    if [ ! -f "$data/$n/meta.properties" ]; then
      java -Xmx128m -XX:TieredStopAtLevel=1 -Dlog4j2.statusLoggerLevel=OFF -cp "$jars/*" kafka.tools.StorageTool \
        format -t "$(cat "$data/cluster.id")" -c "$data/$n.properties" >"$data/$n.format.log" 2>&1 ||
        die "formatting broker $n: $(tail -3 "$data/$n.format.log")"
    fi
    launch "$n"
  done
  for n in $(seq "$nodes"); do wait_ready "$n"; done
  brokers
}

revive() {
  local file n dead=()
  for file in "$data"/*.properties; do
    n=$(basename "$file" .properties)
    alive "$n" && continue
    launch "$n"
    dead+=("$n")
  done
  for n in "${dead[@]}"; do wait_ready "$n"; done
}

# launch NODE: in a new session, so that a signal meant for the caller's terminal does not reach the broker.
launch() {
  setsid java -Xms"$heap" -Xmx"$heap" -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -Djava.awt.headless=true \
    -Dlog4j2.configurationFile="$cache/kafka/log4j2.properties" -Dlog4j2.statusLoggerLevel=ERROR \
    -cp "$jars/*" kafka.Kafka "$data/$1.properties" >"$data/$1.log" 2>&1 </dev/null &
  echo $! >"$data/$1.pid"
}

wait_ready() {
  local n=$1 tries
  for tries in $(seq 600); do
    alive "$n" || die "broker $n ended: $(tail -5 "$data/$n.log")"
    if grep -qs "Kafka Server started" "$data/$n.log" && (exec 3<>"/dev/tcp/127.0.0.1/$(port "$n")") 2>/dev/null; then
      return
    fi
    sleep 0.1
  done
  die "broker $n did not answer within a minute: see $data/$n.log"
}

stop() {
  local file pid tries
  for file in "$data"/*.pid; do [ -f "$file" ] && kill -TERM "$(cat "$file")" 2>/dev/null || true; done
  for file in "$data"/*.pid; do
    [ -f "$file" ] || continue
    pid=$(cat "$file")
    for tries in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
    rm -f "$file"
  done
}

brokers() {
  local file n list=""
  for file in "$data"/*.pid; do
    [ -f "$file" ] || continue
    n=$(basename "$file" .pid)
    list+="${list:+,}127.0.0.1:$(port "$n")"
  done
  echo "$list"
}

case ${1:-} in
  resolve) resolve ;;
  start) start "${2:-1}" ;;
  revive) revive ;;
  stop) stop ;;
  brokers) brokers ;;
  *) sed -n '2,15s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 2 ;;
esac
