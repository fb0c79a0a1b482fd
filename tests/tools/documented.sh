#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every command and every option is in its manual page and in the completions of every shell.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"

for shell in bash zsh fish; do
    run 0 completion "$shell"
    cp "$scratch/out" "$scratch/$shell"
    if command -v "$shell" >/dev/null; then
        "$shell" -n "$scratch/$shell" || fail "the completion for $shell does not parse"
    fi
done
run 64 completion tcsh
"$holdfast" completion commands >"$scratch/table"
[ "$(wc -l <"$scratch/table")" -gt 10 ] || fail 'the table of commands is too short'

# Options as the manual page writes them, beyond those that every command has.
documented_options() {
    sed -n 's/^\(\*-[a-z]\*, \)\{0,1\}\*--\([a-z-]*\)\*.*/\2/p' "$1" | grep -v '^help$' | sort -u
}

page_of() {
    echo "$sources/docs/man/holdfast-$(echo "$1" | tr ' ' -).1.scd"
}

tab=$(printf '\t')
while IFS="$tab" read -r command option; do
    page=$(page_of "$command")
    if [ ! -e "$page" ]; then
        [ -z "$option" ] && fail "$command has no manual page"
        continue
    fi
    for word in $command; do
        for shell in bash zsh fish; do
            grep -q -w -e "$word" "$scratch/$shell" || fail "$shell does not complete $command"
        done
    done
    if [ -z "$option" ]; then
        grep -q "^\*holdfast-$(echo "$command" | tr ' ' -)\*(1)$" "$sources/docs/man/holdfast.1.scd" ||
            fail "holdfast(1) does not list $command"
        "$holdfast" completion commands | sed -n "s/^$command$tab--//p" | sort -u >"$scratch/wanted"
        documented_options "$page" >"$scratch/found"
        diff "$scratch/wanted" "$scratch/found" >"$scratch/diff" ||
            fail "$page: options differ: $(cat "$scratch/diff")"
        continue
    fi
    grep -q "'$command' .*$option\b" "$scratch/bash" || fail "bash: $command $option"
    grep -q "'${option}[=[]" "$scratch/zsh" || fail "zsh: $command $option"
    grep -q "__holdfast_in \"$command\"' -l ${option#--}" "$scratch/fish" ||
        fail "fish: $command $option"
done <"$scratch/table"

# bash completes in earnest.
if command -v bash >/dev/null; then
    completes() {
        bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _holdfast
            printf "%s\n" "${COMPREPLY[@]}"' bash "$scratch/bash" "$@" >"$scratch/out"
    }
    completes holdfast ses
    out '^session$'
    completes holdfast session l
    out '^list$'
    out '^log$'
    completes holdfast --store x session list --re
    out '^--repository$'
    completes holdfast session list 'glob*' --j
    out '^--json$'
fi

# And so does fish.
if command -v fish >/dev/null; then
    fishes() {
        # shellcheck disable=SC2016 # these are fish's arguments
        HOME=$scratch fish -c 'source $argv[1]; complete -C $argv[2]' "$scratch/fish" "$1" >"$scratch/out"
    }
    fishes 'holdfast ses'
    out '^session'
    fishes 'holdfast session l'
    out '^list'
    out '^log'
    fishes 'holdfast session list --re'
    out '^--repository'
    fishes 'holdfast stats --re'
    [ -s "$scratch/out" ] && fail 'fish completes options of another command'
fi
finish
