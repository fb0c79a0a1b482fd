# SPDX-License-Identifier: Apache-2.0
# A master, a chunkserver, and mounts; one copy of everything. A chunkserver refuses a master on 127.0.0.1, so the
# loopback device gets an address for documentation (RFC 5737) while this runs.
# shellcheck shell=bash
mounts=2
address=192.0.2.77

about() {
    echo "MooseFS $(dpkg-query -W -f '${Version}' moosefs-master 2>/dev/null), a master and a chunkserver on loopback," \
        "one copy, otherwise as it comes: its metadata reaches the medium later than fsync returns"
}

missing() {
    lacks mfsmaster mfschunkserver mfsmount ip
    [ "$(id -u)" -eq 0 ] || echo "it needs root"
    [ -z "$(ip -o address show to $address)" ] || echo "$address is taken"
}

# port NAME: of a service of this run.
port() {
    cat "$state/port-$1"
}

configure() {
    local service
    for service in metalogger master client chunks; do
        free_port >"$state/port-$service"
    done
    mkdir -p "$state/master" "$state/chunkserver" "$data/chunks"
    printf 'MFSM NEW' >"$state/master/metadata.mfs"
    echo '* / rw,alldirs,admin,maproot=0:0' >"$state/exports.cfg"
    : >"$state/topology.cfg"
    cat >"$state/master.cfg" <<END
WORKING_USER = root
WORKING_GROUP = root
NICE_LEVEL = 0
DISABLE_OOM_KILLER = 0
DATA_PATH = $state/master
EXPORTS_FILENAME = $state/exports.cfg
TOPOLOGY_FILENAME = $state/topology.cfg
MATOML_LISTEN_HOST = $address
MATOML_LISTEN_PORT = $(port metalogger)
MATOCS_LISTEN_HOST = $address
MATOCS_LISTEN_PORT = $(port master)
MATOCL_LISTEN_HOST = $address
MATOCL_LISTEN_PORT = $(port client)
END
    cat >"$state/chunkserver.cfg" <<END
WORKING_USER = root
WORKING_GROUP = root
NICE_LEVEL = 0
DISABLE_OOM_KILLER = 0
DATA_PATH = $state/chunkserver
HDD_CONF_FILENAME = $state/hdd.cfg
MASTER_HOST = $address
MASTER_PORT = $(port master)
CSSERV_LISTEN_HOST = $address
CSSERV_LISTEN_PORT = $(port chunks)
END
    echo "$data/chunks" >"$state/hdd.cfg"
}

# The master's metadata belong on the same medium as everyone's.
start() {
    ip address add $address/32 dev lo || return
    configure
    rm -rf "$data/master"
    mv "$state/master" "$data/master"
    ln -s "$data/master" "$state/master"
    daemon master mfsmaster -f -c "$state/master.cfg" start
    await 20 listens "$(port client)" $address || return
    daemon chunkserver mfschunkserver -f -c "$state/chunkserver.cfg" start
    await 20 listens "$(port chunks)" $address || return
}

attach() {
    daemon "mount-$1" mfsmount -f "$2" -H $address -P "$(port client)"
    await_mount "mount-$1" "$2" || return
    # A chunkserver that is full, or not known yet, takes nothing.
    await 30 takes "$2"
}

takes() {
    timeout 10 dd if=/dev/zero of="$1/.probe" bs=4096 count=1 conv=fsync status=none && rm "$1/.probe"
}

stop() {
    end_all
    ip address del $address/32 dev lo
}
