# SPDX-License-Identifier: Apache-2.0
# One brick. glusterd and the brick have places of their own compiled in, so they run in a mount namespace in which
# those are directories of this run.
# shellcheck shell=bash
mounts=2
address=127.0.0.2 # it refuses the name 127.0.0.1

about() {
    echo "GlusterFS $(glusterfs --version 2>/dev/null | sed -n '1s/^glusterfs //p'), a volume of one brick on loopback," \
        "options as it comes"
}

missing() {
    lacks glusterd gluster glusterfs nsenter unshare
    [ "$(id -u)" -eq 0 ] || echo "it needs root"
}

inside() {
    local pid
    read -r pid _ <"$state/glusterd.pid"
    nsenter --target "$pid" --mount "$@"
}

volume() {
    inside gluster --mode=script "$@" >>"$state/gluster.log" 2>&1
}

start() {
    local port
    port=$(free_port)
    echo "$port" >"$state/port"
    mkdir -p "$data/brick" "$state/lib" "$state/log"
    cat >"$state/glusterd.vol" <<END
volume management
    type mgmt/glusterd
    option working-directory /var/lib/glusterd
    option transport-type socket
    option transport.socket.bind-address $address
    option transport.socket.listen-port $port
    option base-port $((port + 1))
    option max-port $((port + 100))
end-volume
END
    # shellcheck disable=SC2016
    daemon glusterd unshare --mount --propagation slave bash -euc '
        mount -t tmpfs -o mode=755 run /run
        mkdir /run/gluster
        mount --bind "$1/lib" /var/lib/glusterd
        mount --bind "$1/log" /var/log/glusterfs
        exec glusterd --no-daemon --volfile="$1/glusterd.vol"' bash "$state"
    await 30 volume volume list || return
    volume volume create bench "$address:$data/brick" force || return
    volume volume start bench || return
    # The brick is a process that glusterd leaves to itself.
    note brick "$(inside sh -c 'cat /run/gluster/vols/bench/*.pid')"
}

attach() {
    daemon "mount-$1" glusterfs --no-daemon "--volfile-server=$address" "--volfile-server-port=$(cat "$state/port")" \
        --volfile-id=bench --log-file="$state/client-$1.log" "$2"
    await_mount "mount-$1" "$2"
}

stop() {
    volume volume stop bench || true
    end_all
}
