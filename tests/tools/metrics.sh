#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Metrics, health and readiness of a server and a mount; the dashboard and the alerts name metrics that there are.
# Needs FUSE, and curl.
# shellcheck source=tests/tools/lib.sh
. "$(dirname "$0")/lib.sh"
need_jq

if ! { : <>/dev/fuse; } 2>/dev/null || ! command -v fusermount3 >/dev/null; then
    echo '/dev/fuse cannot be opened, or fusermount3 is not installed: skipped'
    exit 77
fi
command -v curl >/dev/null || { echo 'curl is not installed: skipped'; exit 77; }

server=
mount=
clean_up() {
    # Its server is away: it would wait for that.
    [ -n "$mount" ] && kill -KILL "$mount" 2>/dev/null
    fusermount3 -uzq "$scratch/mnt" 2>/dev/null
    [ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server"
    rm -rf "$scratch"
}
trap clean_up EXIT

# until_true WHAT COMMAND...: waits for a condition, at most some seconds.
until_true() {
    what=$1
    shift
    for _ in $(seq 400); do
        "$@" && return
        sleep 0.02
    done
    fail "$what did not come about"
}

# metrics_url LOG: where the process that writes this log tells its metrics
metrics_url() { sed -n 's|.*metrics on \(http://[^ "]*\)/metrics.*|\1|p' "$1"; }
get() { curl -s --noproxy '*' --max-time 20 "$@"; }

pki=$scratch/pki
run 0 cert init --dir "$pki" --name localhost
run 0 cert issue host --role agent --dir "$pki" -o "$scratch/host.pem"
"$holdfast" serve --store "sqlite:$scratch/store.db" --listen 127.0.0.1:0 --pki "$pki" --metrics 127.0.0.1:0 \
    --log-format json 2>"$scratch/serve.log" &
server=$!
until_true 'a server' grep -q '"message":"serving ' "$scratch/serve.log"
port=$(sed -n 's/.* on 127.0.0.1:\([0-9]*\), TTL.*/\1/p' "$scratch/serve.log")
url=$(metrics_url "$scratch/serve.log")

mkdir "$scratch/mnt"
HOLDFAST_CERT="$scratch/host.pem" "$holdfast" mount --foreground --store "holdfast://localhost:$port" \
    -o metrics=127.0.0.1:0 "$scratch/mnt" 2>"$scratch/mount.log" &
mount=$!
until_true 'a mount' grep -q 'metrics on' "$scratch/mount.log"
mount_url=$(metrics_url "$scratch/mount.log")
mounted() { [ "$(get "$mount_url/readyz")" = ready ]; }
until_true 'readiness of the mount' mounted

mkdir "$scratch/mnt/session"
for line in 1 2 3 4 5; do
    echo "$line" >>"$scratch/mnt/session/events.jsonl"
done

[ "$(get "$url/healthz")" = ok ] || fail 'the server is not healthy'
[ "$(get "$url/readyz")" = ready ] || fail 'the server is not ready'
[ "$(get -o /dev/null -w '%{http_code}' "$url/other")" = 404 ] || fail 'there is another page'
[ "$(get -o /dev/null -w '%{http_code}' -X POST "$url/metrics")" = 200 ] && fail 'something can be posted'
counted() { get "$url/metrics" | grep -q '^holdfast_store_bytes'; }
until_true 'a count of the store' counted
get "$url/metrics" >"$scratch/serve.txt"
get "$mount_url/metrics" >"$scratch/mount.txt"

# value FILE SAMPLE: what is told of it
value() { awk -v sample="$2" 'index($0, sample " ") == 1 { print $NF }' "$scratch/$1.txt"; }
[ "$(value serve holdfast_server_connections)" = 1 ] || fail 'the connection is not counted'
[ "$(value serve 'holdfast_hosts{tenant="default"}')" = 1 ] || fail 'the host is not counted'
[ "$(value serve 'holdfast_leases{tenant="default",state="held"}')" = 1 ] || fail 'the lease is not counted'
[ "$(value serve 'holdfast_store_call_duration_seconds_count{tenant="default",call="commit"}')" -ge 5 ] ||
    fail 'the commits are not counted'
[ "$(value mount holdfast_mount_commits_total)" -ge 5 ] || fail 'the commits of the mount are not counted'
[ "$(value mount holdfast_mount_store_away_seconds)" = 0 ] || fail 'the server is away'
grep -q '^holdfast_hosts{' "$scratch/mount.txt" && fail 'a mount tells what is behind its server'

# Each is well formed: a family is declared once, before its samples; no sample comes twice; buckets only grow.
for file in serve mount; do
    awk '
        /^# HELP / { next }
        /^# TYPE / { if (family[$3]++) print "declared twice: " $3; type = $4; name = $3; next }
        {
            sample = $1; sub(/\{.*/, "", sample)
            base = sample
            if (type == "histogram") sub(/_(bucket|sum|count)$/, "", base)
            if (base != name) print "not of the family " name ": " $0
            line = $0; sub(/ [^ ]*$/, "", line)
            if (seen[line]++) print "twice: " line
            if ($NF !~ /^[0-9.e+-]+$/) print "no number: " $0
            if (sample ~ /_bucket$/) {
                key = line; sub(/,le="[^"]*"/, "", key)
                if ($NF + 0 < last[key] + 0) print "buckets shrink: " line
                last[key] = $NF
            }
        }' "$scratch/$file.txt" >"$scratch/malformed"
    [ -s "$scratch/malformed" ] && fail "$file: $(head -n 3 "$scratch/malformed")"
done

# What the dashboard and the alerts ask for is told.
sed -n 's/^# TYPE \([^ ]*\) \(.*\)/\1 \2/p' "$scratch/serve.txt" "$scratch/mount.txt" |
    awk '{ print $1; if ($2 == "histogram") print $1 "_bucket\n" $1 "_sum\n" $1 "_count" }' | sort -u >"$scratch/told"
for file in deploy/grafana/holdfast.json deploy/prometheus/alerts.yaml; do
    grep -oE '\b(holdfast|process)_[a-z_]+' "$sources/$file" | sort -u >"$scratch/asked"
    [ "$(wc -l <"$scratch/asked")" -gt 4 ] || fail "$file asks for nothing"
    missing=$(comm -23 "$scratch/asked" "$scratch/told")
    [ -z "$missing" ] || fail "$file asks for what nobody tells: $missing"
done
jq -e '.panels | length > 10 and ([.[].id] | unique | length) == length' "$sources/deploy/grafana/holdfast.json" \
    >/dev/null || fail 'the dashboard is not whole'

# The log is JSON, and says what becomes of leases.
told() { grep -q '"message":"lease of session: grant' "$scratch/serve.log"; }
until_true 'the lease in the log' told
jq -es 'all(.time and .level and .message) and
    any(.session == "session" and .token == 1 and .version >= 1 and .tenant == "default" and .host != null)' \
    "$scratch/serve.log" >"$scratch/jq" || fail "the log is not as it should be: $(cat "$scratch/serve.log")"

# A mount whose server is away is not ready, and says why.
kill "$server" && wait "$server"
server=
away() { get "$mount_url/readyz" | grep -q 'cannot be reached'; }
until_true 'the absence of the server' away

run 64 serve --store "sqlite:$scratch/store.db" --pki "$pki" --listen 127.0.0.1:0 --log-format xml
err 'text or json'
timeout 20 "$holdfast" serve --store "sqlite:$scratch/store.db" --pki "$pki" --listen 127.0.0.1:0 --metrics nonsense \
    2>"$scratch/err" && fail 'a server was started that cannot tell its metrics'
err 'looks like 192.0.2.1:7420'

finish
