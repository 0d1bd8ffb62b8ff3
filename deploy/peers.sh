#!/bin/sh
# Installs mitmproxy into .tools/mitmproxy, for benchmarks; nothing changed since: nothing is done.
set -eu
from=deploy/mitmproxy.txt
into=.tools/mitmproxy
wanted=$(cat $from deploy/peers.sh .venv/made-of | sha256sum | cut -d' ' -f1)
is_current() {
    [ -x $into/bin/mitmdump ] && [ "$(cat $into/made-of 2>/dev/null)" = "$wanted" ]
}
is_current && exit 0

exec 9>.tools/lock
flock 9
is_current && exit 0 # another make was faster

echo 'Installing mitmproxy, to compare with, into .tools/mitmproxy …'
uv=$(command -v uv || echo .tools/uv/bin/uv)
# Of its own: it wants other versions of what we use too.
"$uv" venv --quiet --clear --python .venv/bin/python $into
VIRTUAL_ENV="$PWD/$into" "$uv" pip sync --quiet --require-hashes $from
echo "$wanted" >$into/made-of
