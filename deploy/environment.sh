#!/bin/sh
# Makes .venv from requirements.lock; nothing changed since the last time: nothing is done.
set -eu
stamp=.venv/made-of
# The path is part of it: an environment that was moved does not work.
wanted="$(cat requirements.lock pyproject.toml deploy/environment.sh | sha256sum | cut -d' ' -f1) $(pwd -P)"
is_current() {
    [ -x .venv/bin/python ] && [ "$(cat $stamp 2>/dev/null)" = "$wanted" ]
}
is_current && exit 0

mkdir -p .tools
exec 9>.tools/lock
flock 9
is_current && exit 0 # another make was faster

uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    uv=.tools/uv/bin/uv
    if ! $uv --version >/dev/null 2>&1; then
        echo 'Getting uv into .tools …'
        rm -rf .tools/uv
        python3 -m venv .tools/uv
        .tools/uv/bin/python -m pip install --quiet --disable-pip-version-check \
            --require-hashes -r deploy/uv.txt
    fi
fi

echo 'Making the Python environment in .venv …'
rm -f $stamp
suits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))'
if ! .venv/bin/python -c "$suits" 2>/dev/null; then
    python='>=3.11,<3.15' # one that uv finds, or gets
    python3 -c "$suits" 2>/dev/null && python=$(python3 -c 'import sys; print(sys.executable)')
    "$uv" venv --quiet --clear --python "$python" .venv
fi
export VIRTUAL_ENV="$PWD/.venv"
# Compiled here: where PYTHONDONTWRITEBYTECODE is set, every process would compile it all again.
"$uv" pip sync --quiet --compile-bytecode --require-hashes requirements.lock
"$uv" pip install --quiet --no-deps -e .
echo "$wanted" >$stamp
