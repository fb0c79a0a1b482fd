#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A session goes through an archive and comes out as it was; what is wrong with an archive is told, and nothing
# of it gets in.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
need_jq
command -v zstd >/dev/null || { echo 'zstd is not installed: skipped'; exit 77; }

export HOLDFAST_STORE="sqlite:$scratch/store.db"
state=$scratch/session-state
id=0e2f4c5a-8f0e-4f58-9f8b-1e7c9f0a1b2c
session=$state/$id
token=ghp_0123456789abcdefghijABCDEFGHIJ012345

mkdir -p "$session/checkpoints/deep/er"
cat >"$session/workspace.yaml" <<END
id: $id
cwd: /src/hello
name: Say hello
END
printf '%s\n' "{\"type\":\"session.start\",\"data\":{\"sessionId\":\"$id\",\"copilotVersion\":\"1.0.99\"},\"id\":\"e1\"}" \
    "{\"type\":\"user.message\",\"data\":{\"content\":\"my token is $token\"},\"id\":\"e2\"}" >"$session/events.jsonl"
head -c 3000000 /dev/urandom >"$session/checkpoints/large"
: >"$session/checkpoints/empty"
printf 'x' >"$session/checkpoints/deep/er/ünïcode name"
ln "$session/checkpoints/deep/er/ünïcode name" "$session/another-name"
ln -s checkpoints/large "$session/link"
chmod 640 "$session/checkpoints/empty"
chmod 750 "$session/checkpoints/deep"
touch -d '2020-02-03 04:05:06.789' "$session/checkpoints/large" "$session/checkpoints/deep"
run 0 adopt "$state"

# What is in a session, with everything that must come back.
listing() { (cd "$1" && find . ! -name . -printf '%P %y %m %s %n %l %T@\n' | sort); }
original=$(echo "$state".adopted-*)/$id

# --- there and back -----------------------------------------------------------------------------------------
cd "$scratch" || exit 1
run 0 session export "$id"
out "^$id.tar.zst: version [0-9]* of $id, .* files"
err 'events.jsonl, byte .*: looks like a GitHub token'
err 'looks like credentials; --redact leaves'
zstd -dc "$id.tar.zst" | tar -t >"$scratch/names" || fail 'tar cannot read the archive'
head -n 1 "$scratch/names" | grep -qx manifest.json || fail 'the manifest does not come first'
run 73 session export "$id"
err 'is there already; --force'
run 0 session export "$id" --force --json
json '.version >= 1 and .credentials == 1 and .redacted == 0'
run 64 session export "$id:events.jsonl"
run 64 session export .

mkdir plain
zstd -dc "$id.tar.zst" | tar -x -C "$scratch/plain" || fail 'tar cannot unpack the archive'
diff -r "$original" "$scratch/plain/session" || fail 'the archive does not hold what the session does'
jq -e '.format == "holdfast-session/1" and .client_version == "1.0.99" and
       (.files | map(select(.path == "link" and .type == "symlink" and .target == "checkpoints/large")) | length == 1) and
       (.files | map(select(.type == "hardlink")) | length == 1)' "$scratch/plain/manifest.json" >/dev/null ||
    fail 'the manifest is not as it should be'

run 73 session import "$id.tar.zst"
err "is a session $id already"
export HOLDFAST_STORE="sqlite:$scratch/other.db"
run 66 session import "$id.tar.zst" --dry-run
run 0 session import "$id.tar.zst"
out "^Imported $id: "
run 0 session show "$id" --json
json '.meta.cwd == "/src/hello" or .cwd == "/src/hello"'
run 0 session export "$id" -o again.tar.zst
for archive in "$id" again; do
    zstd -dc "$archive.tar.zst" | tar -xO manifest.json | jq -c '.files' >"$scratch/$archive.files"
done
cmp "$scratch/$id.files" "$scratch/again.files" || fail 'what was imported is not what was exported'
run 0 fsck

# through a pipe, under another name
"$holdfast" session export "$id" -o - 2>/dev/null | "$holdfast" session import - --rename renamed >"$scratch/out" \
    2>"$scratch/err" || fail "importing from a pipe: $(cat "$scratch/err")"
run 0 session cat renamed:workspace.yaml
out '^id: renamed$'
run 0 session cat renamed:events.jsonl
out '"sessionId":"renamed"'
out 'my token is'
run 0 session cat "$id:workspace.yaml"
out "^id: $id\$"

# without what looks like a credential
run 0 session export "$id" --redact -o redacted.tar.zst --json
json '.redacted == 1'
run 0 session import redacted.tar.zst --rename redacted
run 0 session cat redacted:events.jsonl
out 'my token is \[redacted\]'
"$holdfast" session cat redacted:events.jsonl | grep -q "$token" && fail 'the token is still there'

# another client's
sed -i 's/1\.0\.99/2.0.0/' plain/session/events.jsonl
hash=$(sha256sum plain/session/events.jsonl | cut -d' ' -f1)
size=$(stat -c %s plain/session/events.jsonl)
jq --arg hash "$hash" --argjson size "$size" '.client_version = "2.0.0" |
    (.files[] | select(.path == "events.jsonl")) |= (.sha256 = $hash | .size = $size)' plain/manifest.json \
    >manifest.new && mv manifest.new plain/manifest.json

# pack NAME: what is in plain/, in the order of its manifest
pack() {
    { echo manifest.json; jq -r '.files[].path | "session/" + .' plain/manifest.json; } >order
    tar -C plain --no-recursion -T order -cf - | zstd -q >"$1"
}
pack other-client.tar.zst
run 0 session import other-client.tar.zst --rename other-client
err 'client version 2.0.0, and the newest session here one of 1.0.99'

# --- what does not get in --------------------------------------------------------------------------------------
sessions() { "$holdfast" session list | awk '{ print $1 }' | sort; }
sessions >"$scratch/before"
# refuse PATTERN: the archive bad.tar.zst is refused with that sentence, in every way
refuse() {
    for how in --dry-run --json; do
        "$holdfast" session import bad.tar.zst --rename bad "$how" >"$scratch/out" 2>"$scratch/err" &&
            fail "an archive was imported that should not be: $1"
        err "$1"
    done
    sessions | cmp -s - "$scratch/before" || fail "a session was left behind: $1"
}
# change JQ: the manifest with a change
change() {
    cp plain/manifest.json manifest.kept
    jq "$1" manifest.kept >plain/manifest.json
    pack bad.tar.zst 2>/dev/null
    mv manifest.kept plain/manifest.json
}
echo nothing >bad.tar.zst
refuse 'cannot read the archive'
tar -C plain -cf - session/link | zstd -q >bad.tar.zst
refuse 'does not begin with manifest.json'
head -c 100000 other-client.tar.zst >bad.tar.zst
refuse 'cannot read the archive\|the archive is damaged'
change '.format = "holdfast-session/2"'
refuse 'a newer holdfast made it'
change '.format = "tarball"'
refuse 'not one that'
change '(.files[] | select(.path == "events.jsonl")).sha256 = ("0" * 64)'
refuse 'events.jsonl does not have the SHA-256'
change '(.files[] | select(.path == "events.jsonl")).size += 1'
refuse 'events.jsonl does not have the size'
change '(.files[] | select(.path == "events.jsonl")).mode = "9"'
refuse 'events.jsonl: its mode is not'
change '(.files[] | select(.path == "events.jsonl")).mtime = "yesterday"'
refuse 'events.jsonl: its mtime is not'
change 'del(.files[] | select(.path == "link"))'
jq 'del(.files[] | select(.path == "link"))' plain/manifest.json >manifest.short
{ echo manifest.json; jq -r '.files[].path | "session/" + .' plain/manifest.json; } >order
cp plain/manifest.json manifest.kept && cp manifest.short plain/manifest.json
tar -C plain --no-recursion -T order -cf - | zstd -q >bad.tar.zst
mv manifest.kept plain/manifest.json
refuse 'is damaged\|has more in it than'
change '.files += [.files[0]]'
refuse 'it is there twice'
change '(.files[] | select(.type == "hardlink")).target = "nowhere"'
refuse 'it is another name of a file that does not come before it'
change '.files |= map(select(.path != "checkpoints/deep"))'
refuse 'the directory that it is in does not come before it'
for path in ../out /etc/passwd a//b . checkpoints/../x checkpoints/.; do
    change "(.files[] | select(.path == \"link\")).path = \"$path\""
    refuse 'it is not the path of a file in a session'
done
for target in /etc/passwd ../x checkpoints/../../x ''; do
    change "(.files[] | select(.path == \"link\")).target = \"$target\""
    refuse 'it is a link out of the session'
done

finish
