# SPDX-License-Identifier: Apache-2.0
# What the tests with real programs share. Each is run as: bash NAME.sh PROGRAM
#
#   $scratch      a directory of the machine's own filesystem
#   $session      the directory of a session on a mount, when start_mount has been called
#
# Any command that fails ends the script and fails the test. Each ends with `finish`.
# shellcheck shell=bash
set -eEuo pipefail

holdfast=$1
daemon=
scratch=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-apps.XXXXXX")
point=$scratch/mnt
session=$point/s
chmod 755 "$scratch"

clean_up() {
    [ -z "$daemon" ] || kill -KILL "$daemon" 2>/dev/null || true
    umount -l "$point" 2>/dev/null || true
    rm -rf --one-file-system "$scratch"
}
trap clean_up EXIT
trap 'exit 1' INT TERM
trap 'echo "FAILED at ${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND" >&2' ERR

# Nothing of the user's is touched.
export HOME=$scratch/home XDG_DATA_HOME=$scratch/data HOLDFAST_STORE=sqlite:$scratch/store.db
export LC_ALL=C TZ=UTC
unset XDG_CONFIG_HOME COPILOT_HOME
mkdir -p "$HOME"

skip() {
    echo "skipped: $*"
    exit 77
}

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# needs PROGRAM...: skips the test where one is not installed.
needs() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || skip "$program is not installed"
    done
}

[ "$(id -u)" -eq 0 ] || skip 'these tests mount as root, for other users too'
{ : <>/dev/fuse; } 2>/dev/null || skip '/dev/fuse cannot be opened, so nothing can be mounted'
needs getfattr setfattr

start_mount() {
    "$holdfast" mount -o allow_other "$point"
    daemon=$(getfattr --absolute-names --only-values -n user.holdfast.pid "$point")
    [ -d "$session" ] || mkdir -m 755 "$session"
}

stop_mount() {
    "$holdfast" umount "$point"
    daemon=
}

# same WHAT EXPECTED FOUND: fails unless both texts are equal.
same() {
    [ "$2" = "$3" ] || fail "$1: expected '$2', found '$3'"
}

# look DIR: everything that stat, readlink, getfattr and a checksum tell of a tree. Directories' sizes and link
# counts are each filesystem's own business.
look() {
    (
        cd "$1"
        find . -mindepth 1 ! -type d -printf '%p %y %m %U %G %s %n %T@ %l\n' | sort
        find . -mindepth 1 -type d -printf '%p %y %m %U %G %T@\n' | sort
        find . -type f -print0 | sort -z | xargs -0r sha256sum
        find . -type f -links +1 -printf '%i %p\n' | sort -k2 | awk '{ if (!n[$1]) n[$1] = ++c; print n[$1], $2 }'
        find . -mindepth 1 -print0 | sort -z | xargs -0r getfattr -hd -m '^user[.]' --
    )
}

# alike DIR DIR: fails, and tells how, unless both trees look the same.
alike() {
    diff <(look "$1") <(look "$2") >"$scratch/diff" ||
        fail "$1 and $2 differ:"$'\n'"$(head -n 40 "$scratch/diff")"
}

# make_tree DIR: fills a new directory with everything that a copying program should keep.
make_tree() {
    local i
    mkdir -p "$1/deep/er/still" "$1/many"
    seq 50000 >"$1/numbers"
    head -c 3000000 /dev/urandom >"$1/random"
    ln "$1/numbers" "$1/deep/er/again"
    ln "$1/numbers" "$1/deep/er/still/and again"
    ln -s ../../numbers "$1/deep/er/link"
    ln -s "$(printf 'x%.0s' {1..300})" "$1/deep/dangling"
    truncate -s 64M "$1/sparse"
    printf 'island' | dd of="$1/sparse" bs=1 seek=33333333 conv=notrunc status=none
    mkfifo -m 604 "$1/fifo"
    : >"$1/empty"
    : >"$1/$(printf 'bytes \377 and \n line')"
    printf 'x' >"$1/$(printf 'n%.0s' {1..255})"
    for i in $(seq 300); do printf '%s\n' "$i" >"$1/many/file-$i"; done
    setfattr -n user.color -v 'dark blue' "$1/numbers"
    setfattr -n user.empty -v '' "$1/deep"
    setfattr -n user.long -v "$(printf 'v%.0s' {1..3000})" "$1/random"
    chmod 4711 "$1/random"
    chmod 2750 "$1/deep/er"
    chmod 1777 "$1/many"
    chown 12345:54321 "$1/empty"
    find "$1" -exec touch -h -d '2021-03-04 05:06:07.123456789' {} +
    touch -d '1971-12-31 23:59:58.5' "$1/empty"
    touch -d '2020-01-02 03:04:05.987654321' "$1/deep/er" "$1/many" "$1/deep"
}

# remount: the session must look the same afterwards.
remount() {
    look "$session" >"$scratch/before"
    stop_mount
    start_mount
    look "$session" >"$scratch/after"
    diff "$scratch/before" "$scratch/after" >"$scratch/diff" ||
        fail "a remount changed the session:"$'\n'"$(head -n 40 "$scratch/diff")"
}

# finish: nothing changes over a remount, and the store is sound.
finish() {
    remount
    stop_mount
    "$holdfast" fsck >"$scratch/fsck" 2>&1 || fail "fsck: $(cat "$scratch/fsck")"
}
