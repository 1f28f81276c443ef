#!/usr/bin/env bash
# Writes the secrets of docker-compose.kafka.yml into a file, each made by this machine's random source; a file that is there stays.
#
#   secrets.sh [FILE]      FILE is .env where none is given
set -euo pipefail
file=${1:-.env}
[ ! -e "$file" ] || { echo "$file is there already: its secrets stay. Remove it for new ones; data written with the old ones needs them."; exit 0; }
random() { head -c "$1" /dev/urandom | base64 | tr -d '\n' | tr '+/' '-_' | tr -d '='; }
umask 077
cat >"$file.new" <<SECRETS
# Made by make secrets; what each is for says ops/docker/env.example. Not for the repository.
HOUSE_KEY_SECRET=$(random 36)
S3_ACCESS_KEY=docstream$(random 6 | tr -d '_-' | tr '[:lower:]' '[:upper:]')
S3_SECRET_KEY=$(random 30)
CLICKHOUSE_PASSWORD=$(random 24)
GRAFANA_PASSWORD=$(random 18)
KAFKA_CLUSTER_ID=$(random 16 | sed 's/^-/A/')
SECRETS
mv "$file.new" "$file"
echo "$file is written, for its owner only"
