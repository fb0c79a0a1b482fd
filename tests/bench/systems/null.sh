# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
lasting=false

about() { echo "tests/bench/nullfs.c: in memory behind FUSE, cached for as long as Holdfast's; nothing is durable"; }
missing() { [ -x "$nullfs" ] || echo "build it first: $nullfs"; }

attach() {
    daemon "mount-$1" "$nullfs" -f "$2"
    await_mount "mount-$1" "$2"
}
