#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# git: many commits, a merge, a local clone by hard links, gc and fsck; and the same history as elsewhere.
set -eEuo pipefail
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
needs git

git config --global user.name Somebody
git config --global user.email somebody@example.org
git config --global init.defaultBranch main
git config --global gc.auto 0

commit() {
    local when
    when="$((1700000000 + count++)) +0000"
    git add -A
    GIT_AUTHOR_DATE=$when GIT_COMMITTER_DATE=$when git commit -qm "Change $count"
}

# history DIR: the same repository wherever it is made.
history() {
    local count=0 i
    git init -q "$1"
    cd "$1"
    mkdir -p src/{a,b,c} doc
    for i in $(seq 60); do
        seq "$((i * 37))" >"src/a/file-$((i % 7))"
        seq "$i" "$((i + 500))" >"src/b/file-$i"
        echo "line $i" >>doc/log
        git add -A
        [ $((i % 9)) -ne 0 ] || git mv "src/b/file-$i" "src/c/moved-$i"
        [ $((i % 10)) -ne 0 ] || git rm -qf "src/b/file-$((i - 7))"
        [ $((i % 13)) -ne 0 ] || ln -sf "../doc/log" src/link
        commit
    done
    git checkout -qb side HEAD~20
    for i in $(seq 10); do
        echo "$i" >"side-$i"
        chmod +x "side-$i"
        commit
    done
    git checkout -q main
    GIT_AUTHOR_DATE='1710000000 +0000' GIT_COMMITTER_DATE='1710000000 +0000' git merge -qm Merge side
    git tag -a v1 -m one HEAD~3 2>/dev/null
}

start_mount
(history "$scratch/elsewhere")
(history "$session/repository")
same 'the last commit' "$(git -C "$scratch/elsewhere" rev-parse HEAD)" "$(git -C "$session/repository" rev-parse HEAD)"
cd "$session"
[ -z "$(git -C repository status --porcelain)" ] || fail 'git status sees changes that nobody made'

git clone -q --local repository clone
objects=$(find clone/.git/objects -type f | wc -l)
linked=$(find clone/.git/objects -type f -links 2 | wc -l)
[ "$objects" -gt 300 ] || fail "the clone has only $objects objects"
same 'objects of the clone that are hard links' "$objects" "$linked"
git -C clone fsck --full --strict >"$scratch/out" 2>&1 || fail "fsck of the clone: $(cat "$scratch/out")"

git -C repository gc --quiet --aggressive --prune=now
same 'loose objects after gc' 0 "$(git -C repository count-objects | awk '{ print $1 }')"
git -C repository fsck --full --strict >"$scratch/out" 2>&1 || fail "fsck after gc: $(cat "$scratch/out")"
git -C clone repack -qad
git -C clone worktree add -q ../worktree origin/side~2
echo changed >>worktree/side-3
same 'what git status sees' ' M side-3' "$(git -C worktree status --porcelain)"
git -C worktree stash -q
same 'side-3 after the stash' 3 "$(cat worktree/side-3)"
git -C worktree stash pop -q
git -C worktree checkout -q -- side-3
git -C worktree checkout -q --detach origin/main~30

cd "$scratch"
finish
start_mount
for repository in repository clone; do
    git -C "$session/$repository" fsck --full --strict >"$scratch/out" 2>&1 || fail "fsck after remounts: $(cat "$scratch/out")"
    same 'the archive of all files' "$(git -C "$scratch/elsewhere" archive main | sha256sum)" \
        "$(git -C "$session/$repository" archive HEAD | sha256sum)"
done
[ -z "$(git -C "$session/repository" status --porcelain)" ] || fail 'git status sees changes after remounts'
stop_mount
