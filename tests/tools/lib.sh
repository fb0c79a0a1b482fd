# SPDX-License-Identifier: Apache-2.0
# What the tests of the program share. Each is run as: sh NAME.sh PROGRAM SOURCES
# shellcheck shell=sh

holdfast=$1
# shellcheck disable=SC2034 # for the scripts that read this file
sources=$2
scratch=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-tools.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM

# Nothing of the user's is touched.
export HOME="$scratch/home"
export XDG_DATA_HOME="$scratch/data"
unset HOLDFAST_STORE COPILOT_HOME
mkdir -p "$HOME"

failures=0

# fail WHAT: notes a failure and goes on.
fail() {
    printf 'FAILED: %s\n' "$*" >&2
    failures=$((failures + 1))
}

# run CODE ARGUMENT...: runs the program, and expects an exit code. Leaves $scratch/out and $scratch/err.
run() {
    expected=$1
    shift
    "$holdfast" "$@" >"$scratch/out" 2>"$scratch/err"
    code=$?
    [ "$code" -eq "$expected" ] && return
    fail "holdfast $*: exit code $code, expected $expected"
    sed 's/^/    /' "$scratch/out" "$scratch/err" >&2
}

# out PATTERN, err PATTERN: a line of the last run's output matches.
out() {
    grep -q -e "$1" "$scratch/out" && return
    fail "standard output has no '$1'"
    sed 's/^/    /' "$scratch/out" >&2
}
err() {
    grep -q -e "$1" "$scratch/err" && return
    fail "standard error has no '$1'"
    sed 's/^/    /' "$scratch/err" >&2
}

# json EXPRESSION: what jq makes of the last run's output is true.
json() {
    jq -e "$1" "$scratch/out" >"$scratch/jq" 2>&1 && return
    fail "the JSON does not fulfil '$1': $(cat "$scratch/jq")"
    sed 's/^/    /' "$scratch/out" >&2
}

# need_jq: for scripts that look into JSON.
need_jq() {
    command -v jq >/dev/null && return
    echo 'jq is not installed: skipped'
    exit 77
}

# finish: the last line of every script.
finish() {
    [ "$failures" -eq 0 ] || exit 1
}
