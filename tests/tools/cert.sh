#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A CA of one's own: what cert makes, what it refuses, and that openssl agrees.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
need_jq
command -v openssl >/dev/null || { echo 'openssl is not installed: skipped'; exit 77; }

export XDG_CONFIG_HOME="$scratch/config"
cd "$scratch" || exit 1
pki=$scratch/pki

# mode FILE: its permissions.
mode() {
    stat -c %a "$1"
}

# --- init
run 66 cert list --dir "$pki"
err "there is no CA in .*; 'holdfast cert init' makes one"
run 0 cert init --dir "$pki" --name store.example --name 192.0.2.7 --name 2001:db8::7
out 'store.example, 192.0.2.7, 2001:db8::7'
for file in ca.key server.pem; do
    [ "$(mode "$pki/$file")" = 600 ] || fail "$file can be read by others"
done
[ "$(mode "$pki")" = 700 ] || fail 'the directory can be read by others'
openssl verify -x509_strict -purpose sslserver -verify_hostname store.example -CAfile "$pki/ca.pem" \
    "$pki/server.pem" >verified 2>&1 || fail "openssl: $(cat verified)"
openssl verify -verify_ip 2001:db8::7 -CAfile "$pki/ca.pem" "$pki/server.pem" >verified 2>&1 ||
    fail "openssl: $(cat verified)"
sha256sum "$pki"/*.pem "$pki/ca.key" >before
run 73 cert init --dir "$pki"
err 'there is a CA already: .*/pki/ca.pem'
sha256sum --quiet -c before || fail 'a second init has changed a file'
run 65 cert init --dir "$scratch/bad" --name 'not a name'
err "'not a name' is neither a DNS name nor an IP address"
[ -z "$(find "$scratch/bad" -mindepth 1)" ] || fail 'an init that failed left something behind'
run 64 cert init --dir "$scratch/bad" --days 40000
run 64 cert init --dir "$scratch/bad" --days 0
run 0 cert init --dir "$scratch/bad"
if [ "$(id -u)" -ne 0 ]; then
    run 0 cert init
    [ -e "$XDG_CONFIG_HOME/holdfast/pki/ca.key" ] || fail 'the default directory is another'
fi

# --- issue
run 0 cert issue host-a --role agent --dir "$pki" --sessions 'dev-*' --sessions 'a&b=%?' --tenant team-1
out '^host-a.pem: agent for host-a, serial [0-9A-F]*, valid until '
[ "$(mode host-a.pem)" = 600 ] || fail 'the key can be read by others'
openssl verify -x509_strict -purpose sslclient -CAfile "$pki/ca.pem" host-a.pem >verified 2>&1 ||
    fail "openssl: $(cat verified)"
openssl verify -purpose sslserver -CAfile "$pki/ca.pem" host-a.pem >verified 2>&1 &&
    fail 'a host can be a server'
[ "$(openssl pkey -in host-a.pem -pubout)" = "$(openssl x509 -in host-a.pem -pubkey -noout)" ] ||
    fail 'the key is not that of the certificate'
[ "$(grep -c 'BEGIN CERTIFICATE' host-a.pem)" = 2 ] || fail 'the CA is not in the bundle'
run 0 cert show host-a.pem --json
json '.name == "host-a" and .role == "agent" and .tenant == "team-1" and .sessions == ["dev-*", "a&b=%?"]'
run 0 cert show host-a.pem
out '^Sessions  *dev-\*, a&b=%?$'

run 73 cert issue host-a --role agent --dir "$pki"
err 'there is a file host-a.pem already; --force replaces it'
run 0 cert issue host-a --role reader --dir "$pki" --force --days 1
run 0 cert issue host-b --role admin --dir "$pki" -o -
grep -q 'BEGIN PRIVATE KEY' out || fail 'no bundle on standard output'
run 64 cert issue host-c --dir "$pki"
err 'which --role'
run 64 cert issue host-c --role root --dir "$pki"
err "'root' is no role"
run 64 cert issue ../host-c --role agent --dir "$pki"
err 'is no name for a host'
run 64 cert issue host-c --role agent --tenant Team --dir "$pki"
err "'Team' is no tenant"
run 64 cert issue host-c --role agent --sessions 'a/b' --dir "$pki"
err "'a/b' is no pattern"
run 64 cert issue host-c --role admin --sessions 'a*' --dir "$pki"
err 'an admin cannot be limited'
run 64 cert issue host-c --role agent --days 0x1 --dir "$pki"
run 64 cert issue host-c --role agent --days 0 --dir "$pki"
[ -e host-c.pem ] && fail 'a refused certificate was written'
run 0 cert issue store --role server --name store.example --dir "$pki" -o "$pki/server.pem" --force
openssl verify -purpose sslserver -verify_hostname store.example -CAfile "$pki/ca.pem" "$pki/server.pem" \
    >verified 2>&1 || fail "openssl: $(cat verified)"
chmod 640 "$pki/ca.key"
run 78 cert issue host-c --role agent --dir "$pki"
err 'ca.key can be read by others'
chmod 600 "$pki/ca.key"
mv "$pki/ca.key" ca.key
run 78 cert issue host-c --role agent --dir "$pki"
err "without the CA's key nothing can be signed"
run 0 cert list --dir "$pki"
mv ca.key "$pki/ca.key"

# --- list and revoke
run 0 cert list --dir "$pki" --json
json '[.[] | .name] == ["host-a", "host-a", "host-b", "store", "store.example"] and all(.revoked == null)'
serial=$(jq -r '.[] | select(.role == "agent") | .serial' out)
reader=$(jq -r '.[] | select(.role == "reader") | .serial' out)
run 0 cert revoke --serial "$serial" --dir "$pki"
out "^Revoked the certificate $serial.$"
out 'SIGHUP'
run 0 cert list --dir "$pki"
out "host-a .* revoked  $serial"
out "host-a .* valid  *$reader"
openssl verify -crl_check -CRLfile "$pki/crl.pem" -CAfile "$pki/ca.pem" host-a.pem >verified 2>&1 ||
    fail "openssl: $(cat verified)"
run 0 cert revoke host-a --dir "$pki"
out "^Revoked the certificate $reader.$"
openssl verify -crl_check -CRLfile "$pki/crl.pem" -CAfile "$pki/ca.pem" host-a.pem >verified 2>&1 &&
    fail 'openssl accepts a revoked certificate'
grep -q 'certificate revoked' verified || fail "openssl: $(cat verified)"
run 73 cert revoke host-a --dir "$pki"
err 'nothing is left to revoke'
run 66 cert revoke host-z --dir "$pki"
err 'no certificate of host-z was issued here'
run 66 cert revoke store.exampl --dir "$pki"
run 64 cert revoke --dir "$pki"
err 'whose'

# Two at once: the list holds both.
for i in 1 2 3 4 5 6; do
    run 0 cert issue "many-$i" --role reader --dir "$pki"
done
pids=
for i in 1 2 3 4 5 6; do
    "$holdfast" cert revoke "many-$i" --dir "$pki" >/dev/null &
    pids="$pids $!"
done
for pid in $pids; do
    wait "$pid" || fail 'a revocation beside others failed'
done
run 0 cert list --dir "$pki" --json
json '[.[] | select(.name | startswith("many-"))] | length == 6 and all(.revoked != null)'

# A list of another CA is not taken for this one's.
cp "$scratch/bad/crl.pem" "$pki/crl.pem"
run 65 cert list --dir "$pki"
err 'crl.pem is not a list of this CA'

# --- show, of certificates of other makers
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout plain.key -out plain.pem -days 1 \
    -subj '/O=Somebody/CN=plain' -addext basicConstraints=CA:FALSE >req 2>&1 || fail "openssl: $(cat req)"
run 0 cert show plain.pem
out '^Role  *-$'
out "^Note  *its certificate does not say what 'plain' may do"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout plain.key -out plain.pem -days 1 \
    -subj '/CN=plain' -addext basicConstraints=CA:FALSE \
    -addext 'subjectAltName=URI:holdfast:agent?session=a-*,URI:spiffe://example/x' >req 2>&1 ||
    fail "openssl: $(cat req)"
run 0 cert show plain.pem --json
json '.role == "agent" and .sessions == ["a-*"] and .tenant == "default"'
run 66 cert show missing.pem
run 65 cert show verified
err 'holds no certificate'
finish
