# SPDX-License-Identifier: Apache-2.0
# An object store by s3rver, which keeps objects as files.
# shellcheck shell=bash
mounts=2
s3rver=$build/bench/node_modules/.bin/s3rver

about() {
    echo "s3fs $(dpkg-query -W -f '${Version}' s3fs 2>/dev/null), default options, on s3rver on loopback;" \
        "an object is uploaded anew when a file that was changed is closed"
}

missing() {
    lacks s3fs node
    [ -x "$s3rver" ] || echo "there is no $s3rver (npm install --prefix $build/bench s3rver; --install does)"
}

start() {
    local port
    port=$(free_port)
    echo "$port" >"$state/port"
    (umask 077 && echo S3RVER:S3RVER >"$state/password")
    daemon server "$s3rver" --directory "$data" --address 127.0.0.1 --port "$port" --silent --configure-bucket bench
    await 30 listens "$port"
}

attach() {
    daemon "mount-$1" s3fs bench "$2" -f -o "url=http://127.0.0.1:$(cat "$state/port"),use_path_request_style" \
        -o "passwd_file=$state/password"
    await_mount "mount-$1" "$2"
}
