# SPDX-License-Identifier: Apache-2.0
# A master, a chunkserver, and mounts; one copy of everything.
# shellcheck shell=bash
mounts=2

about() {
    echo "MooseFS $(dpkg-query -W -f '${Version}' moosefs-master 2>/dev/null), a master and a chunkserver on loopback," \
        "one copy, otherwise as it comes: its metadata reaches the medium later than fsync returns"
}

missing() { lacks mfsmaster mfschunkserver mfsmount; }

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
    echo '127.0.0.1 / rw,alldirs,admin,maproot=0:0' >"$state/exports.cfg"
    : >"$state/topology.cfg"
    cat >"$state/master.cfg" <<END
WORKING_USER = root
WORKING_GROUP = root
NICE_LEVEL = 0
DISABLE_OOM_KILLER = 0
DATA_PATH = $state/master
EXPORTS_FILENAME = $state/exports.cfg
TOPOLOGY_FILENAME = $state/topology.cfg
MATOML_LISTEN_HOST = 127.0.0.1
MATOML_LISTEN_PORT = $(port metalogger)
MATOCS_LISTEN_HOST = 127.0.0.1
MATOCS_LISTEN_PORT = $(port master)
MATOCL_LISTEN_HOST = 127.0.0.1
MATOCL_LISTEN_PORT = $(port client)
END
    cat >"$state/chunkserver.cfg" <<END
WORKING_USER = root
WORKING_GROUP = root
NICE_LEVEL = 0
DISABLE_OOM_KILLER = 0
DATA_PATH = $state/chunkserver
HDD_CONF_FILENAME = $state/hdd.cfg
MASTER_HOST = 127.0.0.1
MASTER_PORT = $(port master)
CSSERV_LISTEN_HOST = 127.0.0.1
CSSERV_LISTEN_PORT = $(port chunks)
END
    echo "$data/chunks" >"$state/hdd.cfg"
}

# The master's metadata belong on the same medium as everyone's.
start() {
    configure
    rm -rf "$data/master"
    mv "$state/master" "$data/master"
    ln -s "$data/master" "$state/master"
    daemon master mfsmaster -f -c "$state/master.cfg" start
    await 20 listens "$(port client)" || return
    daemon chunkserver mfschunkserver -f -c "$state/chunkserver.cfg" start
    await 20 listens "$(port chunks)" || return
}

attach() {
    daemon "mount-$1" mfsmount -f "$2" -H 127.0.0.1 -P "$(port client)"
    await_mount "mount-$1" "$2" || return
    # A chunkserver that is full, or not known yet, takes nothing.
    await 30 takes "$2"
}

takes() {
    echo probe >"$1/.probe" && rm "$1/.probe"
}
