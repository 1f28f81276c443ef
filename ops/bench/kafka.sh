#!/usr/bin/env bash
# A measurement on Apache Kafka: starts one broker from its jars, a registry, and the service on them in new folders, runs
# `docstream bench ARGUMENTS` there, and takes everything down again.
#
#   kafka.sh e2e --pages 200 --pairs 3      the broker's CPU time stands beside ours
#   kafka.sh replay --events 100000 --count
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
export KAFKA_DATA=$work/kafka
pids=()

down() {
  for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  "$root/ops/dev/kafka.sh" stop || true
  rm -rf "$work"
}
trap down EXIT

# until_there FILE: what has been started says so by writing it.
until_there() {
  local tries
  for tries in $(seq 900); do
    if [ -s "$1" ]; then return; fi
    sleep 0.1
  done
  echo "kafka.sh: $1 did not come: $(tail -3 "$work"/*.log)" >&2
  exit 1
}

"$root/ops/dev/kafka.sh" start 1 >/dev/null
"$root/bin/docstream-parts" broker --data "$work/registry" --listen 127.0.0.1:0 >"$work/registry.json" 2>"$work/registry.log" &
pids+=($!)
until_there "$work/registry.json"
registry=$(sed -nE 's/.*"registry": *"([^"]+)".*/\1/p' "$work/registry.json" | head -1)

"$root/bin/docstream" dev --data "$work/service" --listen 127.0.0.1:0 --kafka "$("$root/ops/dev/kafka.sh" brokers)" --registry "$registry" >"$work/service.log" 2>&1 &
pids=($! "${pids[@]}")
until_there "$work/service/dev.json"

broker=()
if [ "${1:-}" = e2e ]; then broker=(--broker-pid "$(cat "$KAFKA_DATA/1.pid")"); fi
"$root/bin/docstream" bench "$@" "${broker[@]}" --data "$work/service"
