# SPDX-License-Identifier: Apache-2.0
# The example is compiled anew each time, as the package brings it.
# shellcheck shell=bash
example=/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c

about() { echo "libfuse $(pkg-config --modversion fuse3)'s example with its default options: all goes to ext4"; }

missing() {
    lacks gcc pkg-config
    [ -e "$example" ] || echo "there is no $example (libfuse3-dev; the package's documentation may be left out)"
}

start() {
    # shellcheck disable=SC2046
    gcc -O2 -w -o "$state/passthrough_ll" "$example" $(pkg-config fuse3 --cflags --libs)
}

attach() {
    daemon "mount-$1" "$state/passthrough_ll" -f -o "source=$data" "$2"
    await_mount "mount-$1" "$2"
}
