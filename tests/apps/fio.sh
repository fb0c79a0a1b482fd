#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# fio: what it wrote in order, at random, through mappings and from several processes is what it reads.
set -eEuo pipefail
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
needs fio

# The jobs, by name: how each reads and writes, and its options.
jobs() {
    cat <<'END'
sequential  --rw=write --bs=128k --ioengine=psync
small       --rw=write --bsrange=512-9k --bs_unaligned --ioengine=psync
random      --rw=randwrite --bs=4k --ioengine=psync --fsync=512
unaligned   --rw=randwrite --bs=3000 --ioengine=psync
mapped      --rw=write --bs=64k --ioengine=mmap
mapped-random --rw=randwrite --bs=4k --ioengine=mmap
direct      --rw=randwrite --bs=16k --ioengine=libaio --iodepth=8 --direct=1
vectored    --rw=randwrite --bs=8k --ioengine=pvsync2 --fallocate=posix
END
}

fio_job() {
    local name=$1
    shift
    # shellcheck disable=SC2086 # options are words
    fio --verify_state_save=0 --name="$name" --filename="$session/$name" --size=12m --randrepeat=1 --verify=crc32c --verify_fatal=1 \
        --minimal --eta=never $options "$@" >"$scratch/out" 2>&1 || fail "fio $name: $(cat "$scratch/out")"
}

start_mount
while read -r name options; do
    fio_job "$name" --do_verify=1
done < <(jobs)

# Reading and writing at once; each block read back at some time after it was written.
options='--rw=randrw --bs=4k --ioengine=psync --verify_backlog=64 --numjobs=3 --nrfiles=2 --filename_format=mixed.$jobnum.$filenum'
fio --verify_state_save=0 --name=mixed --directory="$session" --size=8m --verify=sha256 --verify_fatal=1 --do_verify=1 \
    $options --minimal --eta=never >"$scratch/out" 2>&1 || fail "fio mixed: $(cat "$scratch/out")"

remount
while read -r name options; do
    case $name in
    unaligned | small) continue ;; # fio does not find the blocks of other sizes again
    esac
    fio_job "$name" --verify_only
done < <(jobs)
finish
