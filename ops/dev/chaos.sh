#!/usr/bin/env bash
# The kill matrix: documents under kill -9 of random processes, once a seed, in turn on the embedded broker, on one broker of Apache Kafka and
# on three, each checked by docstream verify. Prints a table; exits 1 where a promise was broken or a run did not come to its end.
#
# Environment: SEED (one run with this seed, instead of RUNS with random ones), BROKERS (embedded, 1 or 3: only these), DOCUMENTS (500, over
# all runs), RUNS (20), MINUTES (90: no run begins later), LOGS (where the output of each run is kept; default: in the cache).
set -euo pipefail
cd "$(dirname "$0")/../.."

runs=${RUNS:-20}
documents=${DOCUMENTS:-500}
kinds=${BROKERS:-embedded 1 3}
cache=${DOCSTREAM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/docstream}
logs=${LOGS:-$cache/chaos/$(date -u +%Y%m%dT%H%M%SZ)}
for kind in $kinds; do
  case $kind in embedded | 1 | 3) ;; *) echo "BROKERS is embedded, 1 or 3, not $kind" >&2; exit 2 ;; esac
done
each=$((documents / runs))
[ -z "${SEED:-}" ] || runs=1
read -ra kinds <<<"$kinds"
[ -z "${SEED:-}" ] || runs=${#kinds[@]}
mkdir -p "$logs"
tested=$logs/e2e.test
go test -c -o "$tested" ./internal/e2e
end=$((SECONDS + 60 * ${MINUTES:-90}))
printf '%d runs of %d documents; output in %s\n' "$runs" "$each" "$logs"

table=$logs/table.txt
printf '%-20s %-9s %9s %7s %8s  %s\n' seed brokers accepted killed seconds result >"$table"
failed=0 done=0
for n in $(seq 0 $((runs - 1))); do
  if [ $SECONDS -ge $end ]; then
    echo "${MINUTES:-90} minutes are over: $done of $runs runs" | tee -a "$table"
    failed=1
    break
  fi
  kind=${kinds[$((n % ${#kinds[@]}))]}
  seed=${SEED:-$(od -An -N7 -tu8 /dev/urandom | tr -d ' ')}
  log=$logs/$kind-$seed.log
  echo "BROKERS=$kind SEED=$seed"
  began=$SECONDS result=kept
  brokers=${kind/embedded/0}
  (cd internal/e2e && DOCSTREAM_TEST_KAFKA='' DOCSTREAM_TEST_CHAOS=$each DOCSTREAM_TEST_SEED=$seed DOCSTREAM_TEST_BROKERS=$brokers \
    "$tested" -test.run '^TestNoKillBreaksAPromise$' -test.v -test.timeout 15m) >"$log" 2>&1 || result=BROKEN failed=1
  grep -q '^--- PASS' "$log" || result=BROKEN failed=1
  accepted=$(sed -n 's/.*accepted: \([0-9]*\), answers.*/\1/p' "$log")
  killed=$(sed -n 's/.*killed: map\[\([^]]*\)\].*/\1/p' "$log" | tr ' ' '\n' | awk -F: '{ n += $NF } END { print n }')
  printf '%-20s %-9s %9s %7s %8d  %s\n' "$seed" "$kind" "${accepted:--}" "${killed:--}" $((SECONDS - began)) "$result" >>"$table"
  done=$((done + 1))
done
rm -f "$tested"
cat "$table"
exit $failed
