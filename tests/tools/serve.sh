# SPDX-License-Identifier: Apache-2.0
# What `holdfast serve` does not start with.
# shellcheck shell=sh
. "$(dirname "$0")/lib.sh"

pki=$scratch/pki
run 0 cert init --dir "$pki" --name localhost
run 0 cert issue host --role agent --dir "$pki" -o "$scratch/host.pem"

# refused CODE PATTERN OPTION...: it ends at once, with a sentence.
refused() {
    code=$1
    pattern=$2
    shift 2
    timeout 20 "$holdfast" serve --store "sqlite:$scratch/store.db" --listen 127.0.0.1:0 --pki "$pki" "$@" \
        >"$scratch/out" 2>"$scratch/err"
    got=$?
    [ "$got" -eq "$code" ] || fail "serve $*: exit code $got, expected $code"
    err "$pattern"
}

refused 78 'looks like 192.0.2.1:7420' --listen nonsense
refused 78 'looks like 192.0.2.1:7420' --listen 127.0.0.1:99999
refused 78 'looks like 192.0.2.1:7420' --listen 127.0.0.1:65536
refused 78 'looks like 192.0.2.1:7420' --listen 127.0.0.1:7x
refused 78 'looks like 192.0.2.1:7420' --listen 127.0.0.1:
refused 78 'between 5 and 600 s' --ttl 4s
refused 78 'between 5 and 600 s' --ttl 11m
refused 78 'no connections' --max-connections 0
refused 78 'no connections' --max-host-connections 0
refused 78 'served already' --store holdfast://localhost
refused 66 'No such file' --store "sqlite:$scratch/nowhere/store.db"
refused 78 'No such file' --pki "$scratch/nowhere"
refused 78 'No such file' --rights "$scratch/nowhere"

# A host's certificate is not a server's: no host would accept it.
timeout 20 "$holdfast" serve --store "sqlite:$scratch/store.db" --listen 127.0.0.1:0 --cert "$scratch/host.pem" \
    2>"$scratch/err"
[ $? -eq 78 ] || fail 'a server was started with the certificate of a host'
err 'not for a server'

finish
