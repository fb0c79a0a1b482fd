# SPDX-License-Identifier: Apache-2.0
# One brick. glusterd and the brick have places of their own compiled in, so they run in a mount namespace in which
# those are directories of this run. No other mount is left in it: none could be ended before they are.
# shellcheck shell=bash
mounts=2
address=127.0.0.2 # it refuses the name 127.0.0.1
port=24007        # and a brick finds it at no other port

about() {
    echo "GlusterFS $(glusterfs --version 2>/dev/null | sed -n '1s/^glusterfs //p'), a volume of one brick on loopback," \
        "options as it comes"
}

missing() {
    lacks glusterd gluster glusterfs nsenter unshare
    [ "$(id -u)" -eq 0 ] || echo "it needs root"
    ! (: <>/dev/tcp/$address/$port) 2>/dev/null || echo "port $port is taken"
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
    local bricks
    bricks=$(free_port)
    mkdir -p "$data/brick" "$state/lib" "$state/log"
    cat >"$state/glusterd.vol" <<END
volume management
    type mgmt/glusterd
    option working-directory /var/lib/glusterd
    option transport-type socket
    option transport.socket.bind-address $address
    option transport.socket.listen-port $port
    option base-port $bricks
    option max-port $((bricks + 100))
end-volume
END
    # shellcheck disable=SC2016
    daemon glusterd unshare --mount --propagation private bash -euc '
        findmnt -rno TARGET,FSTYPE | while read -r target type; do
            [ "$target" != "$2" ] && [ "$target" != / ] || continue
            case $type in fuse* | ext* | xfs | btrfs) umount --lazy "$target" 2>/dev/null || true ;; esac
        done
        mount -t tmpfs -o mode=755 run /run
        mkdir /run/gluster
        mount --bind "$1/lib" /var/lib/glusterd
        mount --bind "$1/log" /var/log/glusterfs
        exec glusterd --no-daemon --volfile="$1/glusterd.vol"' bash "$state" "$disk"
    await 30 volume volume list || return
    volume volume create bench "$address:$data/brick" force || return
    volume volume start bench || return 1
    # The brick is a process that glusterd leaves to itself.
    note brick "$(inside sh -c 'cat /run/gluster/vols/bench/*.pid')"
}

attach() {
    daemon "mount-$1" glusterfs --no-daemon "--volfile-server=$address" "--volfile-server-port=$port" --volfile-id=bench \
        --log-file="$state/client-$1.log" "$2"
    await_mount "mount-$1" "$2"
}

stop() {
    volume volume stop bench || true
    end_all
}
