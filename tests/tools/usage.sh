#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Help, wrong words and exit codes.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"

run 0 --help
out '^Usage: holdfast'
out '^  session .*: list, show, '
[ "$(wc -l <"$scratch/out")" -le 48 ] || fail 'the help does not fit a screen'
awk 'length > 82 { exit 1 }' "$scratch/out" || fail 'the help is too wide'
[ -s "$scratch/err" ] && fail 'help is no error'
run 0 --version
out '^holdfast [0-9]'

run 64
err 'which command'
run 64 sesion list
err "there is no command 'sesion'; did you mean 'session"
run 64 list
err "did you mean 'session list'"
run 64 session lits
err "did you mean 'session list'"
run 64 frobnicate
err "there is no command 'frobnicate'$"
run 64 session
err "'session' needs a command"
run 0 session --help
out 'session log'
run 0 help session list
out '^Usage: holdfast session list'
run 64 --nonsense stats
err "unknown option '--nonsense'"
run 64 --store
err 'needs the URL'

run 64 session list --jsno
err "unknown option '--jsno'; did you mean '--json'"
run 64 session list --sort
err "needs an argument"
run 64 session list --sort colour
err "'colour' is no order"
run 64 session list --since yesteryear
err "'yesteryear' is no age"
run 64 session log -n many x
err "'many' is no whole number"
run 64 session list a b
err "unexpected operand 'b'"
run 64 session show
err 'an operand is missing: it takes SESSION'
run 64 session log x@0
err 'there is no version 0'

# Every command has a help that begins with its summary.
"$holdfast" completion commands | grep -v '	' >"$scratch/commands"
while read -r command; do
    # shellcheck disable=SC2086 # a command may be two words
    run 0 $command --help
    out "^Usage: holdfast $command"
    out '^  -h, --help'
    awk 'length > 82 { exit 1 }' "$scratch/out" || fail "the help of $command is too wide"
done <"$scratch/commands"

# What cannot be written is not a success.
if [ -e /dev/full ]; then
    "$holdfast" --help >/dev/full 2>"$scratch/err"
    code=$?
    [ "$code" -eq 74 ] || fail "a full disk gives exit code $code"
    err 'cannot write the output'
fi

# No store yet.
run 66 session list
err "there is no store at sqlite:$XDG_DATA_HOME/holdfast/store.db; 'holdfast mount' makes one"
[ -e "$XDG_DATA_HOME/holdfast/store.db" ] && fail 'a list made a store'
finish
