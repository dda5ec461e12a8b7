#!/bin/sh
# Pins every dependency with its hashes, for every Python from 3.11 on and every platform at once.
# Needs uv on the path; only a maintainer who changes dependencies runs it (`make lock`).
set -eu
cd "$(dirname "$0")/.."

# One resolution of everything comes first; the smaller locks are constrained to it, so that a version is never
# different between them and an environment can grow from one lock to the next.
all=$(mktemp)
trap 'rm -f "$all"' EXIT

lock() {
    out=$1
    shift
    # fewest: one version of numpy and av for every Python, so that all of them run what CI tested.
    uv pip compile --quiet --universal --python-version 3.11 --only-binary :all: --generate-hashes --fork-strategy fewest \
        --no-emit-index-url --no-header --no-annotate --output-file "$out" "$@" pyproject.toml requirements/build.in
    echo "$out: $(grep -c '==' "$out") packages"
}

[ "${1:-}" = upgrade ] || cp requirements/bench.txt "$all" 2>/dev/null || :
lock "$all" --all-extras --group test --group bench
plain=$(mktemp)
trap 'rm -f "$all" "$plain"' EXIT
sed -n 's/ *\\$//; /^[a-z].*==/p' "$all" >"$plain"

lock requirements/base.txt --extra all --constraint "$plain"
lock requirements/test.txt --extra all --group test --constraint "$plain"
lock requirements/bench.txt --extra all --group test --group bench --constraint "$plain"
