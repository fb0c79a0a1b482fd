# SPDX-License-Identifier: Apache-2.0
# What tests/bench/compare and the systems that it compares share.
#
# systems/NAME.sh says how to start one of them (NAME up to its first hyphen), with these functions:
#   about           one line: what it is, as it is measured here
#   missing         why it cannot run here; prints nothing when it can
#   start           starts its servers, if it has any
#   attach N POINT  mounts it at POINT, as the Nth mount of the same tree
#   detach N POINT  ends that mount
#   stop            ends its servers
#   store           the URL of the store, where hosts can name one
#   attached_at     where a mount is found, when that is not POINT
# mounts is how many mounts of one tree it may have; lasting, whether what is in it outlives a mount. They find in
#   $name   the system's name       $state  a directory of its own for files of its processes
#   $data   a directory of its own on the medium that all systems share
# shellcheck shell=bash

# --- processes: those that were started are noted, and no others are ever ended ---------------------------

# When a process began, in ticks: with its number, it is that process and no later one. Nothing when it ended.
began() {
    sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" { print $20 }'
}

# daemon WHAT COMMAND...: starts a program that stays in the foreground, and notes it as WHAT.
daemon() {
    local what=$1
    shift
    (
        ulimit -n "$(ulimit -Hn)"
        exec setsid "$@"
    ) >"$state/$what.log" 2>&1 </dev/null 9>&- &
    note "$what" $!
}

# note WHAT PID
note() {
    echo "$2 $(began "$2")" >"$state/$1.pid"
}

alive() {
    local pid start
    read -r pid start 2>/dev/null <"$state/$1.pid" || return 1
    [ -n "$start" ] && [ "$(began "$pid")" = "$start" ]
}

# ended WHAT: waits until it has ended by itself, up to a minute.
ended() {
    await 60 gone "$1"
}

gone() {
    ! alive "$1"
}

# end WHAT: asks it to end, and insists after a while.
end() {
    local pid
    alive "$1" || return 0
    read -r pid _ <"$state/$1.pid"
    kill "$pid" 2>/dev/null || true
    await 20 gone "$1" || kill -KILL "$pid" 2>/dev/null || true
    await 20 gone "$1"
}

end_all() {
    local file
    for file in "$state"/*.pid; do
        [ ! -e "$file" ] || end "$(basename "$file" .pid)"
    done
}

# --- waiting ---------------------------------------------------------------------------------------------------

# await SECONDS COMMAND...: until the command succeeds.
await() {
    local until=$((SECONDS + $1))
    shift
    until "$@" 2>/dev/null; do
        [ $SECONDS -lt "$until" ] || return 1
        sleep 0.05
    done
}

# listens PORT [ADDRESS]
listens() {
    (: <>"/dev/tcp/${2:-127.0.0.1}/$1") 2>/dev/null
}

# free_port: one that nobody listens on, below those that the kernel hands out.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        listens "$port" || { echo "$port"; return; }
    done
}

# await_mount WHAT POINT: the daemon WHAT has mounted there.
await_mount() {
    await 30 settled "$1" "$2" && is_mounted "$2" && return
    echo "$name was not mounted" >&2
    tail -n 5 "$state/$1.log" >&2
    return 1
}

settled() {
    is_mounted "$2" || ! alive "$1"
}

is_mounted() {
    grep -qF " $1 " /proc/self/mounts
}

# unmount POINT: as soon as nobody uses it.
unmount() {
    local command=(umount)
    [ "$(id -u)" -eq 0 ] || command=(fusermount3 -u)
    ! is_mounted "$1" || await 30 quietly "${command[@]}" "$1" || "${command[@]}" "$1"
}

quietly() {
    "$@" 2>/dev/null
}

# --- what a system is unless it says otherwise ---------------------------------------------------------------

mounts=1
lasting=true

lacks() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || echo "$program is not installed"
    done
}

missing() { :; }
start() { :; }
stop() { end_all; }
store() { :; }
attached_at() { echo "$2"; }

detach() {
    unmount "$2"
    ended "mount-$1"
}

# system NAME: the functions and places of a system, for a subshell.
system() {
    name=$1
    state=$work/systems/$name
    data=$disk/$name
    # shellcheck source=/dev/null
    . "$here/systems/${name%%-*}.sh"
}
