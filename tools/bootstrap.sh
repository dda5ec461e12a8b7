#!/bin/sh
# Makes .venv from a bare Python 3.11 or newer, with hashed pins, and installs this project into it (editable).
# usage: bootstrap.sh base|test|bench      (each lock includes the one before it)
# PYTHON=... chooses the interpreter. Running it again costs a tenth of a second.
set -eu
cd "$(dirname "$0")/.."

want=${1:-base}
venv=.venv
case $want in
    base) satisfied_by="base test bench" ;;
    test) satisfied_by="test bench" ;;
    bench) satisfied_by="bench" ;;
    *) echo "usage: $0 base|test|bench" >&2; exit 2 ;;
esac

fail() {
    echo "error[setup]: $1" >&2
    echo "hint: $2" >&2
    exit 1
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_new_enough "$PYTHON" || fail "PYTHON=$PYTHON is no Python 3.11 or newer" "name another, or leave PYTHON out"
        echo "$PYTHON"
        return
    fi
    # The plain name first: it is the one that a person means; the others catch systems whose own is older.
    for name in python3 python3.13 python3.12 python3.11 python3.14 python; do
        if command -v "$name" >/dev/null 2>&1 && is_new_enough "$name"; then
            command -v "$name"
            return
        fi
    done
    fail "no Python 3.11 or newer was found" "install one (Debian 12 or newer: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3 setup"
}

# What the environment was made from: the lock, the project's own metadata, and the interpreter.
digest_of() {
    cat "requirements/$1.txt" pyproject.toml | cksum
    "$venv/bin/python" -c 'import sys; print(sys.version, sys.base_prefix, sys.prefix)'
}

# Scripts in an environment name its place, so a moved one is made anew.
if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.made-at" 2>/dev/null || pwd)" = "$(pwd)" ] &&
    is_new_enough "$venv/bin/python"; then
    for lock in $satisfied_by; do
        stamp="$venv/.installed-$lock"
        if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(digest_of "$lock")" ] && [ -x "$venv/bin/stellatune" ]; then
            exit 0
        fi
    done
else
    rm -rf "$venv"
    python=$(find_python)
    echo "making $venv with $("$python" --version 2>&1)" >&2
    # Debian takes ensurepip out of python3 and into python3-venv; virtualenv or the system's own pip do as well.
    "$python" -m venv "$venv" >/dev/null 2>&1 ||
        { rm -rf "$venv"; "$python" -m virtualenv --quiet "$venv" >/dev/null 2>&1; } ||
        { rm -rf "$venv"; "$python" -m pip --version >/dev/null 2>&1 &&
            "$python" -m venv --without-pip "$venv" >/dev/null 2>&1; } ||
        { rm -rf "$venv"; fail "$python can make no virtual environment" "install its venv module (Debian: apt-get install python3-venv), or name another: make PYTHON=/path/to/python3 setup"; }
    pwd >"$venv/.made-at"
fi

outside=$("$venv/bin/python" -c 'import sys; print(sys._base_executable)')
if "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null 2>&1; then
    pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
elif "$outside" -m pip --version >/dev/null 2>&1; then
    pip() { "$outside" -m pip --python "$venv/bin/python" --disable-pip-version-check "$@"; }
else
    fail "$venv has no pip, and neither has $outside" "remove the folder $venv, install pip (Debian: apt-get install python3-venv), and run this again"
fi

# A registry that stumbles once is asked again; what fails three times is said.
try_three_times() {
    for pause in 3 10 0; do
        if "$@"; then return 0; fi
        [ "$pause" = 0 ] || { echo "trying again in $pause seconds" >&2; sleep "$pause"; }
    done
    return 1
}

echo "installing the pinned dependencies ($want)" >&2
rm -f "$venv"/.installed-*
try_three_times pip install --quiet --require-hashes --only-binary :all: -r "requirements/$want.txt" ||
    fail "the dependencies could not be installed" "see pip's message above; a network or a mirror is needed once"
pip install --quiet --no-deps --no-index --no-build-isolation --editable . ||
    fail "the project itself could not be installed" "see pip's message above"

# Written last: an interrupted run starts over.
digest_of "$want" >"$venv/.stamp.new"
mv "$venv/.stamp.new" "$venv/.installed-$want"
echo "ready: $venv/bin/stellatune" >&2
