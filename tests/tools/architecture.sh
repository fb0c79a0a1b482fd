#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What docs/ARCHITECTURE.md and the decisions name is there: files, functions, types, tables, records.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"

page=$sources/docs/ARCHITECTURE.md
# shellcheck disable=SC2016 # the backquotes are the page's
words() { grep -v '^    ' "$1" | grep -o '`[^`]*`' | tr -d '`' | sort -u; }

words "$page" >"$scratch/words"
[ "$(wc -l <"$scratch/words")" -gt 50 ] || fail 'the page names too little'

# Paths, from the top or (a bare file name) from anywhere.
grep -E '^[a-z]+/[a-z0-9_/.-]+$|^[a-z0-9_]+\.(c|h|sql|md)$' "$scratch/words" >"$scratch/paths"
[ -s "$scratch/paths" ] || fail 'the page names no file'
while read -r path; do
    [ -e "$sources/$path" ] || [ -e "$sources/src/$path" ] ||
        [ -n "$(find "$sources/src" "$sources/tools" "$sources/docs" -path "*/$path" -print -quit)" ] ||
        fail "$page names $path, which is not there"
done <"$scratch/paths"

# Functions, types and members: words with an underscore.
grep -E '^[A-Za-z]+(_[A-Za-z]+)+$' "$scratch/words" >"$scratch/names"
[ -s "$scratch/names" ] || fail 'the page names no function'
while read -r name; do
    grep -rqw --include='*.[ch]' --include='*.sql' --include=CMakeLists.txt -e "$name" \
        "$sources/src" "$sources/tools" "$sources/include" ||
        [ "$name" = default_permissions ] || fail "$page names $name, which is nowhere"
done <"$scratch/names"

# Tables of the schema, in both directions.
schema=$sources/src/engine/sqlite/sql
sed -n 's/^CREATE TABLE \([a-z_]*\).*/\1/p' "$schema"/0*.sql >"$scratch/tables"
while read -r table; do
    grep -q "^|.*\`$table\`.*|" "$page" || fail "$page does not say what the table $table holds"
done <"$scratch/tables"

# Every decision is in the index, under its title.
for record in "$sources"/docs/adr/0*.md; do
    title=$(sed -n '1s/^# [0-9]*\. //p' "$record")
    grep -qF "]($(basename "$record")) | $title |" "$sources/docs/adr/README.md" ||
        fail "docs/adr/README.md does not list '$title' ($(basename "$record"))"
done
finish
