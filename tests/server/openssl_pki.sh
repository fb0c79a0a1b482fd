#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A PKI that holdfast did not make: certificates by plain openssl with an intermediate CA, rights by a list, a list
# of revoked ones by `openssl ca`. The real server and real commands over the network.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/../tools/lib.sh"
need_jq
command -v openssl >/dev/null || { echo 'openssl is not installed: skipped'; exit 77; }
cd "$scratch" || exit 1
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$scratch"' EXIT
umask 077

# ssl ARGUMENT...: openssl, which talks only when it fails.
ssl() {
    openssl "$@" >ssl.out 2>&1 && return
    echo "openssl $*" >&2
    cat ssl.out >&2
    exit 1
}

# sign NAME CA EXTENSION...: NAME.key and NAME.pem, whose subject is NAME, signed by the CA.
sign() {
    name=$1
    ca=$2
    shift 2
    printf '%s\n' "$@" >"$name.ext"
    ssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/O=Example/CN=$name" \
        -keyout "$name.key" -out "$name.csr"
    ssl x509 -req -in "$name.csr" -CA "$ca.pem" -CAkey "$ca.key" -days 2 -extfile "$name.ext" -out "$name.pem"
}

ssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/O=Example/CN=Root' -days 2 \
    -keyout root.key -out root.pem -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
sign hosts root basicConstraints=critical,CA:TRUE,pathlen:0 keyUsage=critical,keyCertSign,cRLSign
sign store root extendedKeyUsage=serverAuth 'subjectAltName=DNS:localhost,IP:127.0.0.1'
sign with-uri hosts extendedKeyUsage=clientAuth 'subjectAltName=URI:holdfast:agent?session=dev-*'
sign in-list hosts extendedKeyUsage=clientAuth 'subjectAltName=DNS:in-list.example'
sign not-in-list hosts extendedKeyUsage=clientAuth
sign revoked hosts extendedKeyUsage=clientAuth subjectAltName=URI:holdfast:admin
sign in-list-too root extendedKeyUsage=clientAuth # of a CA that is above the trusted one
sign boss hosts extendedKeyUsage=clientAuth
cat >rights.yaml <<END
in-list: {role: reader}
in-list-too: {role: admin}
boss: {role: admin}
END

# What `openssl ca` needs for its list.
: >index.txt
: >log
cat >ca.cnf <<END
[ca]
default_ca = hosts
[hosts]
database = $scratch/index.txt
default_md = sha256
default_crl_days = 2
certificate = $scratch/hosts.pem
private_key = $scratch/hosts.key
END
ssl ca -config ca.cnf -gencrl -out crl.pem

"$holdfast" serve --store "sqlite:$scratch/store.db" --listen 127.0.0.1:0 --cert store.pem --key store.key \
    --ca hosts.pem --crl crl.pem --rights rights.yaml 2>log &
server=$!

# logged PATTERN: waits for a line of the server's log.
logged() {
    i=0
    while ! grep -q -e "$1" log; do
        i=$((i + 1))
        if [ $i -gt 200 ] || ! kill -0 "$server"; then
            fail "the log has no '$1'"
            sed 's/^/    /' log >&2
            return
        fi
        sleep 0.1
    done
}
logged 'serving .* on 127.0.0.1:'
port=$(sed -n 's/.* on 127.0.0.1:\([0-9]*\),.*/\1/p' log)

# as NAME: the store as this host sees it.
as() {
    echo "holdfast://localhost:$port?cert=$scratch/$1.pem&key=$scratch/$1.key&ca=$scratch/root.pem"
}

run 0 session list --store "$(as with-uri)"
logged '(default/with-uri) connected: agent'
run 0 session list --store "$(as in-list)"
logged '(default/in-list) connected: reader'
run 77 stats --store "$(as in-list)"
run 0 stats --store "$(as boss)"
run 77 session list --store "$(as not-in-list)"
logged "refused: its certificate does not say what 'not-in-list' may do"
run 77 session list --store "$(as in-list-too)"
logged 'refused: its certificate is from a CA that is not trusted here'

# The list of revoked certificates, published anew.
run 0 session list --store "$(as revoked)"
ssl ca -config ca.cnf -revoke revoked.pem
run 0 session list --store "$(as revoked)"
ssl ca -config ca.cnf -gencrl -out crl.pem
kill -HUP "$server"
logged 'certificates were read again'
run 77 session list --store "$(as revoked)"
logged 'refused: its certificate was revoked'
run 0 session list --store "$(as with-uri)"

# Rights that change; a list that makes no sense changes nothing.
echo 'not-in-list: {role: king}' >>rights.yaml
kill -HUP "$server"
logged 'certificates stay as they were: rights.yaml, line 4: a role is agent, reader or admin'
run 0 session list --store "$(as in-list)"
sed -i -e '/not-in-list/d' -e '/^in-list:/d' rights.yaml
kill -HUP "$server"
i=0
while [ "$(grep -c 'certificates were read again' log)" -lt 2 ] && [ $i -lt 100 ]; do
    i=$((i + 1))
    sleep 0.1
done
run 77 session list --store "$(as in-list)"

# openssl itself gets through with a good certificate and not without.
echo | openssl s_client -connect "127.0.0.1:$port" -alpn holdfast/1 -CAfile root.pem -cert with-uri.pem \
    -key with-uri.key -verify_return_error >client 2>&1
grep -q 'ALPN protocol: holdfast/1' client || fail "openssl s_client: $(cat client)"
grep -q 'Verify return code: 0 (ok)' client || fail "openssl s_client: $(cat client)"
echo | openssl s_client -connect "127.0.0.1:$port" -tls1_2 -cert with-uri.pem -key with-uri.key >client 2>&1 &&
    fail 'openssl s_client spoke TLS 1.2'
logged 'refused: it speaks TLS 1.2'

# A CA of one's own whose key is elsewhere: the server has two files of it.
kill -TERM "$server"
wait "$server" || fail "the server ended with $?"
run 0 cert init --dir pki --name localhost
run 0 cert issue host-a --role agent --dir pki
mkdir served
cp pki/server.pem pki/crl.pem served
: >log
"$holdfast" serve --store "sqlite:$scratch/store.db" --listen 127.0.0.1:0 --pki served 2>log &
server=$!
logged 'serving .* on 127.0.0.1:'
port=$(sed -n 's/.* on 127.0.0.1:\([0-9]*\),.*/\1/p' log)
run 0 session list --store "holdfast://localhost:$port?cert=$scratch/host-a.pem"
logged '(default/host-a) connected: agent'

# The doctor finds nothing to mend where a host may not count.
"$holdfast" doctor --store "holdfast://localhost:$port?cert=$scratch/host-a.pem" nowhere >out 2>&1
grep -q '^ok  *store .* opens; .* role admin only' out || fail "the doctor of an agent host says: $(cat out)"

kill -TERM "$server"
wait "$server" || { fail "the server ended with $?"; tail -n 50 log >&2; }
server=
finish
