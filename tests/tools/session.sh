#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Looking at sessions: list, show, log, cat, stats.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"

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
python3 - "$scratch/out" <<'EOF' || fail 'the JSON of session list is not what it should be'
import json, sys
rows = json.load(open(sys.argv[1]))
assert [r["name"] for r in rows] == ["alpha-one", "alpha-two", "bravo"]
assert rows[1]["branch"] == "topic" and rows[1]["cwd"] == "/src/hello"
assert rows[2]["bytes"] > 300000 and rows[2]["files"] == 4
assert rows[0]["title"] == "Work on alpha-one" and rows[0]["holder"] is None
assert len(rows[0]["root"]) == 64 and rows[0]["version"] >= 1
EOF
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
python3 -c 'import json,sys; s = json.load(open(sys.argv[1])); assert s["name"] == "alpha-two"
assert s["lease"] is None and s["versions_kept"] == s["version"]' "$scratch/out" ||
    fail 'the JSON of session show is not what it should be'
run 65 session show alpha-
err "'alpha-' is the beginning of several sessions: 'alpha-one', 'alpha-two'"
run 66 session show gamma
err "there is no session 'gamma'"
run 65 session show .

# log
run 0 session log bravo
out '^VERSION .*ROOT'
head=$(awk 'NR == 2 { print $1 }' "$scratch/out")
run 0 session log -n 1 bravo
[ "$(wc -l <"$scratch/out")" -eq 2 ] || fail 'log -n 1 prints another number of versions'
run 0 session log "bravo@1"
[ "$(awk 'NR == 2 { print $1 }' "$scratch/out")" = 1 ] || fail 'log of a version does not begin there'
run 0 session log --json bravo
python3 -c 'import json,sys; v = json.load(open(sys.argv[1]))
assert [x["version"] for x in v] == list(range(int(sys.argv[2]), 0, -1)) and v[0]["token"] > 0' \
    "$scratch/out" "$head" || fail 'the JSON of session log is not what it should be'
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
python3 -c 'import json,sys; rows = json.load(open(sys.argv[1]))
assert len(rows) == 7 and [r["name_hex"] for r in rows if "name_hex" in r] == ["6279746573fffe"]' \
    "$scratch/out" || fail 'a name breaks the JSON'

# stats
run 0 stats
out '^Sessions  *3 '
out '^Stored '
run 0 stats --json
python3 -c 'import json,sys; s = json.load(open(sys.argv[1]))
assert s["sessions"] == 3 and s["trashed"] == 0 and s["objects"] > 3
assert s["logical_bytes"] > 300000 and 0 < s["stored_bytes"] <= s["deduplicated_bytes"]' \
    "$scratch/out" || fail 'the JSON of stats is not what it should be'

# Completion of names.
run 0 completion sessions
[ "$(tr '\n' ' ' <"$scratch/out")" = 'alpha-one alpha-two bravo ' ] || fail 'completion of sessions'

# --store before and after the command; the latter counts.
run 66 --store "sqlite:$scratch/none.db" stats
run 0 --store "sqlite:$scratch/none.db" stats --store "sqlite:$scratch/store.db"
[ -e "$scratch/none.db" ] && fail 'reading made a store'
finish
