#!/usr/bin/env bash
# Generates clients of the REST API from gateway/openapi.json for Go, Python and TypeScript, with pinned generators: generate.sh FOLDER.
# The generators are fetched once, by their package clients, into the cache; everything in FOLDER is made anew. Beside each client lies a
# walk, a program that uses it: walk.go, walk.py, walk.ts.
set -euo pipefail
[ $# = 1 ] || { echo "usage: generate.sh FOLDER" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
openapi=$here/../../openapi.json
for tool in go:https://go.dev/dl python3:python3 npm:npm sha256sum:coreutils; do
  command -v "${tool%%:*}" >/dev/null || { echo "${tool%%:*} is missing: install ${tool#*:}" >&2; exit 1; }
done
cache=${DOCSTREAM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/docstream}/clients
rm -rf "$1"/go "$1"/python "$1"/typescript
mkdir -p "$1"/go/api "$1"/python "$1"/typescript "$cache"
out=$(cd "$1" && pwd)

# once FOLDER COMMAND...: runs the command to fill the folder, unless it is filled; whoever comes second at the same time waits.
once() {
  local folder=$1; shift
  exec 9>"$folder.lock"; flock 9
  [ -e "$folder" ] || { rm -rf "$folder.new"; mkdir "$folder.new"; (cd "$folder.new" && "$@") >&2 && mv "$folder.new" "$folder"; }
  exec 9>&-
}
digest() { cat "$@" | sha256sum | cut -c1-16; }

cp "$here"/{go.mod,go.sum,go.yaml,walk.go} "$out/go/"
(cd "$out/go" && go tool oapi-codegen -config go.yaml "$openapi" && go build -o walk .)

python=$cache/python-$(digest "$here/requirements.txt")
once "$python" python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes --target . -r "$here/requirements.txt"
cp "$here/walk.py" "$out/python/"
ln -s "$python" "$out/python/lib"
PYTHONPATH=$python python3 -m openapi_python_client generate --path "$openapi" --config "$here/python.yaml" --meta none --fail-on-warning --output-path "$out/python/docstream_api" >&2

node=$cache/node-$(digest "$here/package-lock.json")
npm_ci() { cp "$here"/package{,-lock}.json . && npm ci --ignore-scripts --no-audit --no-fund; }
once "$node" npm_ci
cp "$here"/{package.json,walk.ts} "$out/typescript/"
ln -s "$node/node_modules" "$out/typescript/node_modules"
(cd "$out/typescript" && node_modules/.bin/openapi-typescript "$openapi" --default-non-nullable false -o api.d.ts >&2 &&
  node_modules/.bin/tsc --strict --noEmitOnError --target es2022 --module nodenext --skipLibCheck walk.ts)
echo "clients for Go, Python and TypeScript are in $1"
