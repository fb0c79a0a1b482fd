# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
mounts=2

about() {
    echo "rclone $(rclone version | sed -n '1s/^rclone v//p') mount, --vfs-cache-mode full, of rclone serve webdav on" \
        "loopback; its fsync does nothing, and files are uploaded 5 s after they are closed"
}

missing() { lacks rclone fusermount3; }

start() {
    local port
    port=$(free_port)
    echo "$port" >"$state/port"
    : >"$state/rclone.conf"
    daemon server rclone --config "$state/rclone.conf" serve webdav --addr "127.0.0.1:$port" "$data"
    await 20 listens "$port"
}

attach() {
    daemon "mount-$1" rclone --config "$state/rclone.conf" --cache-dir "$data.cache-$1" mount \
        ":webdav,url='http://127.0.0.1:$(cat "$state/port")/':" "$2" --vfs-cache-mode full
    await_mount "mount-$1" "$2"
}
