#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Forks: what they hold, what they are called, and what they cost.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
need_jq

export HOLDFAST_STORE="sqlite:$scratch/store.db"
state=$scratch/session-state
old=8fa6934f-3617-4c1d-a219-344517bb173b

mkdir -p "$state/$old/checkpoints" "$state/odd" "$state/bare"
printf 'id: %s\ncwd: /src\nname: Some work\nsummary_count: 0\n' "$old" >"$state/$old/workspace.yaml"
{
    printf '{"type":"session.start","data":{"sessionId":"%s","version":1},"id":"e0"}\n' "$old"
    for i in $(seq 2000); do
        printf '{"type":"user.message","data":{"content":"in %s, number %d"},"id":"e%d"}\n' "$old" "$i" "$i"
    done
} >"$state/$old/events.jsonl"
head -c 3000000 /dev/urandom >"$state/$old/files.bin"
ln "$state/$old/files.bin" "$state/$old/hard"
ln -s files.bin "$state/$old/soft"
echo 9999999 >"$state/$old/inuse.9999999.lock"
: >"$state/$old/inuse.9999999.hold"
: >"$state/$old/.workspace-fork.lock"
printf 'nothing: here\n' >"$state/odd/workspace.yaml"
printf '{"type":"sess' >"$state/odd/events.jsonl"
echo x >"$state/bare/file"
run 0 adopt "$state"
aside=$(echo "$state".adopted-*)

"$holdfast" session cat "$old:" | grep -q inuse || fail 'there are no lock files to leave behind'

# Everything but the id is as it was.
objects() { "$holdfast" stats --json | jq .objects; }
before=$(objects)
run 0 session fork "$old" new-name
out "^new-name is a fork of $old@[0-9]*\.$"
[ "$(wc -l <"$scratch/out")" -eq 1 ] || fail 'a fork says more than there is to say'
[ $(($(objects) - before)) -le 8 ] || fail "a fork took $(($(objects) - before)) objects"
for file in files.bin hard; do
    "$holdfast" session cat "new-name:$file" | cmp - "$aside/$old/$file" || fail "$file differs"
done
"$holdfast" session cat new-name:workspace.yaml >"$scratch/fork"
sed "s/^id: $old/id: new-name/" "$aside/$old/workspace.yaml" | cmp - "$scratch/fork" || fail 'workspace.yaml'
"$holdfast" session cat new-name:events.jsonl >"$scratch/fork"
sed "1s/$old/new-name/" "$aside/$old/events.jsonl" | cmp - "$scratch/fork" || fail 'events.jsonl'
"$holdfast" session cat "$old:events.jsonl" | cmp - "$aside/$old/events.jsonl" || fail 'the old session changed'
"$holdfast" session cat new-name: >"$scratch/out"
out ' \.workspace-fork\.lock$'
out ' soft$'
out ' checkpoints/$'
grep -q inuse "$scratch/out" && fail 'lock files were carried over'
run 0 session list --json new-name
json '.[0] | .title == "Some work" and .cwd == "/src" and .version == 1 and .holder == null'
json ".[0].files == 4"
size=$(cat "$aside/$old/files.bin" "$scratch/fork" | wc -c)
"$holdfast" session cat new-name:workspace.yaml >"$scratch/fork"
json ".[0].bytes == $((size + $(wc -c <"$scratch/fork")))"

# An older version, a fork of a fork, a name that is found.
run 0 session fork --json "$old@1"
json '.created and .version == 1 and (.root | length) == 64 and .from.version == 1'
json '.name | test("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")'
json '.id["workspace.yaml"] == "absent" and .id["events.jsonl"] == "absent"'
run 0 session fork --json new-name 'with "quotes"'
json '.id["workspace.yaml"] == "written" and .id["events.jsonl"] == "written"'
"$holdfast" session cat 'with "quotes":events.jsonl' | head -n 1 >"$scratch/out"
json '.data.sessionId == "with \"quotes\""'

# What does not name itself is forked all the same.
run 0 session fork odd odd-fork
out '^workspace.yaml has no id where it is expected; it was left as it is\.$'
out '^events.jsonl has no session id in its first event where'
run 0 session fork bare bare-fork
out '^There is no workspace.yaml'
out '^There is no events.jsonl'
"$holdfast" session cat bare-fork:file | grep -q '^x$' || fail 'a file of a bare fork'

# Refusals, and a dry run.
run 73 session fork "$old" odd
err "there is a session 'odd' already; choose another name"
run 66 session fork nothing-there x
run 66 session fork "$old@99" x
run 64 session fork . x
run 64 session fork "$old:events.jsonl" x
run 65 session fork "$old" .x
run 0 session fork -n "$old" later
out 'later is to be a fork of'
run 66 session show later
run 0 fsck

# A session that is in use can be forked; the fork is nobody's.
"$holdfast" lease hold --store "$HOLDFAST_STORE" "$old" >"$scratch/held" 2>&1 &
holder=$!
for _ in $(seq 500); do
    [ -s "$scratch/held" ] && break
    sleep 0.02
done
run 0 session show --json "$old"
json '.lease != null'
run 0 session fork "$old" while-held
run 0 session show --json while-held
json '.lease == null'
kill "$holder"
wait "$holder"
finish
