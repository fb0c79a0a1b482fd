#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# npm: packages made here, and installed without a network, with their commands and their dependencies.
set -eEuo pipefail
# shellcheck source=tests/apps/lib.sh
. "$(dirname "$0")/lib.sh"
needs node npm

export npm_config_cache=$session/cache npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false

# package NAME DEPENDENCIES: packs a package with a command and many small files
package() {
    local i
    mkdir -p "$session/made/$1/lib"
    cat >"$session/made/$1/package.json" <<END
{"name": "$1", "version": "1.2.3", "main": "index.js", "bin": {"$1": "bin.js"}, "dependencies": {$2}}
END
    printf 'module.exports = {name: "%s", sum: %s};\n' "$1" \
        '[...Array(50).keys()].reduce((sum, i) => sum + require("./lib/" + i), 0)' >"$session/made/$1/index.js"
    printf '#!/usr/bin/env node\nconsole.log(require("./index.js").name, require("./index.js").sum);\n' >"$session/made/$1/bin.js"
    for i in $(seq 0 49); do echo "module.exports = $i;" >"$session/made/$1/lib/$i.js"; done
    (cd "$session/made" && npm pack --silent "./$1" >/dev/null)
}

npm_do() {
    npm "$@" >"$scratch/out" 2>&1 || fail "npm $*: $(cat "$scratch/out")"
}

start_mount
mkdir "$session/made" "$session/application"
package left ''
package right "\"left\": \"file:$session/made/left-1.2.3.tgz\""
package top "\"left\": \"file:$session/made/left-1.2.3.tgz\", \"right\": \"file:$session/made/right-1.2.3.tgz\""
cd "$session/application"
echo '{"name": "application", "version": "0.0.1", "private": true}' >package.json
npm_do install --offline "$session/made/top-1.2.3.tgz"
npm_do ls --all
for name in left right top; do
    same "what $name prints" "$name 1225" "$("node_modules/.bin/$name")"
done
same 'what the application sees' 'right' "$(node -p 'require("right").name')"

# From the lock file, anew.
look node_modules | grep -v 'package-lock' >"$scratch/first"
npm_do ci --offline
for name in left right top; do
    same "what $name prints when installed anew" "$name 1225" "$("node_modules/.bin/$name")"
done
npm_do cache verify
npm_do uninstall --offline top
[ ! -e node_modules/top ] || fail 'an uninstalled package is there still'
npm_do install --offline "$session/made/top-1.2.3.tgz"
cd "$scratch"
finish
