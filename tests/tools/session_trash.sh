#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sessions get other names, go to the trash and come out of it, beside a mount.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/tools/live.sh
. "$(dirname "$0")/live.sh"
need_jq
need_fuse

# session NAME: makes one through the mount.
session() {
    mkdir "$scratch/mnt/$1"
    event "this is $1" >"$scratch/mnt/$1/events.jsonl"
}

says() {
    [ "$(jq -r .data.content "$scratch/mnt/$1/events.jsonl")" = "this is $2" ]
}

rename_them() {
    run 0 session rename -n alpha able
    out 'would be called able'
    says alpha alpha || fail 'a dry run renamed'
    run 0 session rename alpha able
    says able alpha || fail 'the mount does not show the new name'
    [ -e "$scratch/mnt/alpha" ] && fail 'the mount shows the old name'
    run 73 session rename able bravo
    run 73 session rename -n able bravo
    err "there is a session 'bravo' already"
    run 66 session rename nothing some
    run 65 session rename able .hidden
    run 65 session rename . some
    run 0 session rename --json able alpha
    json '.before == "able" and .session == "alpha"'
}

delete_them() {
    run 0 session delete -n alpha bravo
    says alpha alpha || fail 'a dry run deleted'
    run 66 session delete alph
    err "name it in full"
    run 66 session delete alpha nothing
    out '^Session alpha is in the trash, as #'
    [ -e "$scratch/mnt/alpha" ] && fail 'the mount shows a deleted session'
    run 65 session delete .
    run 0 session list --trash
    out '^ *#[0-9]*  *alpha .*now *$'
    run 0 session list --trash --json
    json 'length == 1 and .[0].state == "trashed" and .[0].trashed > .[0].created'
    run 0 session list --json
    json 'map(.name) == ["bravo"] and .[0].trashed == null'
    run 0 session show --trash alpha
    out '^Deleted '
}

undelete_them() {
    run 0 session undelete -n alpha
    run 66 session show alpha
    run 0 session undelete alpha
    says alpha alpha || fail 'the mount does not show what came out of the trash'
    run 66 session undelete alpha

    # Several of one name are told apart by their numbers.
    run 0 session delete --json alpha
    json 'length == 1 and .[0].session == "alpha"'
    one=$(jq '.[0].id' "$scratch/out")
    session alpha
    event 'this is the second' >"$scratch/mnt/alpha/events.jsonl"
    run 73 session undelete alpha
    err "there is a session 'alpha' already"
    run 0 session delete --json alpha
    two=$(jq '.[0].id' "$scratch/out")
    run 65 session undelete alpha
    err "#$one (deleted .*#$two (deleted"
    run 0 session undelete "#$one"
    says alpha alpha || fail 'another session came out of the trash'
    run 0 session undelete "#$two" --as other
    says other 'the second' || fail 'the second one is not there under its new name'
    run 66 session undelete '#999999'
    run 0 session list --trash --json
    json 'length == 0'
}

# What a name holds is shown, and not for the terminal to obey.
odd_names() {
    odd=$(printf 'a\033[31m\nb')
    run 0 session rename alpha "$odd"
    out '^Session alpha is now called a\\033\[31m\\012b\.$'
    run 73 session rename bravo "$odd"
    err "'a\\\\033\[31m\\\\012b' already"
    run 0 session delete "$odd"
    out '^Session a\\033\[31m\\012b is in the trash'
    run 66 session delete "$odd"
    err "no session 'a\\\\033\[31m\\\\012b'\$"
}

# Who may not write may see what writing would do.
look_as_reader() {
    admin=$HOLDFAST_CERT
    run 0 cert issue looker --role reader --dir "$scratch/pki" -o "$scratch/looker.pem"
    export HOLDFAST_CERT="$scratch/looker.pem"
    run 0 session rename -n bravo able
    run 0 session delete -n bravo
    run 0 session restore -n bravo@1
    run 0 session rescue list
    run 77 session delete bravo
    export HOLDFAST_CERT="$admin"
    says bravo bravo || fail 'a reader changed a session'
}

scenario() {
    mount_it
    session alpha
    session bravo
    rename_them
    delete_them
    undelete_them
    odd_names
    [ -z "$server" ] || look_as_reader
    unmount_it
}

on_both trash
finish
