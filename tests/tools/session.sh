#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Looking at sessions: list, show, log, cat, stats.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
need_jq

export HOLDFAST_STORE="sqlite:$scratch/store.db"
state=$scratch/session-state

# session NAME REPOSITORY BRANCH CWD
session() {
    mkdir -p "$state/$1/checkpoints"
    printf 'id: %s\ncwd: %s\ngit_root: %s\nrepository: %s\nbranch: %s\nname: Work on %s\n' \
        "$1" "$4" "$4" "$2" "$3" "$1" >"$state/$1/workspace.yaml"
    printf '{"type":"session.start","id":"%s"}\n' "$1" >"$state/$1/events.jsonl"
}
session alpha-one octo/hello main /src/hello
session alpha-two octo/hello topic /src/hello
session bravo octo/other main /src/other
head -c 300000 /dev/urandom >"$state/bravo/files.bin"
printf 'a\0b\377\n' >"$state/bravo/binary"
ln -s ../bravo/binary "$state/bravo/link"
mkdir "$state/.session-operation-locks"
: >"$state/.session-operation-locks/bravo.lock"
run 0 adopt "$state"
aside=$(echo "$state".adopted-*)

# list
names() { awk 'NR > 1 { printf "%s ", $1 }' "$scratch/out"; }
# expect_names NAMES ARGUMENT...
expect_names() {
    wanted=$1
    shift
    run 0 session list "$@"
    [ "$(names)" = "$wanted" ] || fail "session list $*: $(names)instead of $wanted"
}
expect_names 'alpha-one alpha-two bravo '
out '^SESSION .*VERSION'
out '^alpha-one  octo/hello  main .* Work on alpha-one$'
expect_names 'alpha-one alpha-two ' 'alpha-*'
expect_names 'alpha-one alpha-two ' --repository octo/hello
expect_names 'alpha-one bravo ' --branch main
expect_names 'alpha-two ' --repository octo/hello --branch topic
expect_names 'bravo ' --cwd /src/other
expect_names '' --branch nowhere
expect_names 'alpha-one alpha-two bravo ' --since 1h
expect_names '' --since 2199-01-01
expect_names 'bravo alpha-two alpha-one ' --sort size
expect_names 'bravo alpha-one alpha-two ' --sort files
run 0 session list --json
json 'map(.name) == ["alpha-one", "alpha-two", "bravo"]'
json '.[0] | .title == "Work on alpha-one" and .holder == null and .version >= 1 and (.root | length) == 64'
json '.[1] | .branch == "topic" and .cwd == "/src/hello"'
json '.[2] | .bytes > 300000 and .files == 4'
run 0 session list --json 'no-such-*'
[ "$(cat "$scratch/out")" = '[]' ] || fail 'an empty list is no JSON array'

# show
run 0 session show bravo
out '^Session  *bravo$'
out '^Repository  *octo/other$'
out '^Directory  */src/other$'
out '^Size  .* in 4 files$'
run 0 session show brav
run 0 session show --json alpha-t
json '.name == "alpha-two" and .lease == null and .versions_kept == .version'
run 65 session show alpha-
err "'alpha-' is the beginning of several sessions: 'alpha-one', 'alpha-two'"
run 66 session show gamma
err "there is no session 'gamma'"
run 65 session show .

# log
run 0 session log bravo
out '^VERSION .*CHANGES'
head=$(awk 'NR == 2 { print $1 }' "$scratch/out")
run 0 session log -n 1 bravo
[ "$(wc -l <"$scratch/out")" -eq 2 ] || fail 'log -n 1 prints another number of versions'
run 0 session log "bravo@1"
[ "$(awk 'NR == 2 { print $1 }' "$scratch/out")" = 1 ] || fail 'log of a version does not begin there'
run 0 session log --json bravo
json "map(.version) == [range($head; 0; -1)] and .[0].token > 0"
json 'map(select(.version == 1)) | .[0].changes == []'
json '[.[].changes[] | select(.path == "binary")] | length >= 1 and .[-1].change == "added"'
run 0 session log --json --at 2001-01-01 bravo
[ "$(cat "$scratch/out")" = '[]' ] || fail 'log --at before the first version prints one'
run 0 session log --json --since 2199-01-01 bravo
[ "$(cat "$scratch/out")" = '[]' ] || fail 'log --since after the last version prints one'
run 0 session log --json --since 1h bravo
json "length == $head"
run 0 session log .
run 64 session log bravo:events.jsonl

# cat
for file in events.jsonl files.bin binary workspace.yaml; do
    "$holdfast" session cat "bravo:$file" | cmp - "$aside/bravo/$file" || fail "cat of $file differs"
    "$holdfast" session cat "bravo@$head:/$file" | cmp - "$aside/bravo/$file" ||
        fail "cat of $file at the head differs"
done
run 0 session cat bravo:link
[ "$(cat "$scratch/out")" = ../bravo/binary ] || fail 'cat of a link is not its target'
run 0 session cat bravo:
out ' checkpoints/$'
out '^-rw.* 293 KiB .* files.bin$'
run 0 session cat bravo@1:
[ "$(wc -l <"$scratch/out")" -eq 1 ] || fail 'the first version is not empty'
run 0 session cat .:.session-operation-locks
out ' bravo.lock$'
run 66 session cat bravo:nothing
err 'bravo: nothing'
run 66 session cat bravo:events.jsonl/x
run 66 session cat bravo@999:events.jsonl
err "session 'bravo' has no version 999"
run 64 session cat bravo@0:events.jsonl

# Names that mean something to a shell, to fnmatch(3), to a terminal, or to this program.
odd=$scratch/odd
mkdir "$odd"
newline=$(printf 'two\nlines')
bytes=$(printf 'bytes\377\376')
for name in 'we*ird[name]' 'user@host' 'a name' '--help' "$newline" "$bytes" 'back\slash'; do
    mkdir "$odd/$name"
    echo "this is $name" >"$odd/$name/file"
done
run 0 adopt --store "sqlite:$scratch/odd.db" "$odd"
for name in 'we*ird[name]' 'user@host' 'a name' '--help' "$newline" "$bytes" 'back\slash'; do
    run 0 session show --store "sqlite:$scratch/odd.db" -- "$name"
    run 0 session log --store "sqlite:$scratch/odd.db" -- "$name"
    run 0 session cat --store "sqlite:$scratch/odd.db" -- "$name:file"
    [ "$(cat "$scratch/out")" = "this is $name" ] || fail "cat of a file in '$name'"
done
run 0 session list --store "sqlite:$scratch/odd.db"
[ "$(wc -l <"$scratch/out")" -eq 8 ] || fail 'a name breaks the table'
out 'two\\012lines'
out 'bytes\\377\\376'
run 0 session list --json --store "sqlite:$scratch/odd.db"
json 'length == 7 and ([.[] | select(.name_hex) | .name_hex] == ["6279746573fffe"])'

# stats
run 0 stats
out '^Sessions  *3 '
out '^Stored '
run 0 stats --json
json '.sessions == 3 and .trashed == 0 and .objects > 3 and .logical_bytes > 300000'
json '.stored_bytes > 0 and .stored_bytes <= .deduplicated_bytes'

# Completion of names.
run 0 completion sessions
[ "$(tr '\n' ' ' <"$scratch/out")" = 'alpha-one alpha-two bravo ' ] || fail 'completion of sessions'

# --store before and after the command; the latter counts.
run 66 --store "sqlite:$scratch/none.db" stats
run 0 --store "sqlite:$scratch/none.db" stats --store "sqlite:$scratch/store.db"
[ -e "$scratch/none.db" ] && fail 'reading made a store'
finish
