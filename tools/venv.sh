#!/usr/bin/env bash
# Makes .venv hold exactly what tools/requirements.txt pins: the S3 + DynamoDB emulator, the SDK the seed script
# uses, the Compose schema. Prints nothing and takes no time when it already does.
#
# Works on a bare Debian, whose python3 comes without the venv module's pip: see make_venv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=${POSTERN_VENV:-.venv}
python=${PYTHON:-python3}
pins=tools/requirements.txt

fail() { echo "tools/venv.sh: $*" >&2; exit 1; }

make_venv() {
    rm -rf "$venv"
    if "$python" -m venv "$venv" >/dev/null 2>&1; then return; fi
    # Debian splits ensurepip out into python3-venv. With root it is one install; without, a pip that is already
    # there can fill an environment made without one.
    rm -rf "$venv"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "tools/venv.sh: installing python3-venv"
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Use-Pty=0 python3-venv; } >/dev/null ||
            fail "python3-venv could not be installed; see the lines above"
        "$python" -m venv "$venv" && return
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m venv --without-pip "$venv" && return
    fi
    fail "cannot make a virtual environment with '$python'; on Debian: apt-get install python3-venv"
}

# Runs pip for the environment, its own or, in one made without, the system's.
pip_install() {
    if "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        "$venv/bin/python" -m pip install "$@"
    else
        "$python" -m pip --python "$venv/bin/python" install "$@"
    fi
}

command -v "$python" >/dev/null || fail "no '$python' found; Python 3.10 or newer is needed (choose one with PYTHON=…)"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "$("$python" --version 2>&1) is too old; Python 3.10 or newer is needed (choose one with PYTHON=…)"

# The stamp is written last, so an interrupted run is repaired by the next one.
want="$("$python" --version) $(sha256sum "$pins" | cut -d' ' -f1)"
current() { [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.pins" 2>/dev/null)" = "$want" ]; }

current && exit 0
# Two commands of one checkout may want it at once.
if command -v flock >/dev/null; then
    mkdir -p .tools
    exec 9>.tools/venv.lock
    flock 9
    current && exit 0
fi
echo "tools/venv.sh: installing the pins of $pins into $venv"
make_venv
pip_install --quiet --disable-pip-version-check --no-input --require-hashes -r "$pins" ||
    fail "pip could not install the pins of $pins; see the lines above"
echo "$want" >"$venv/.pins"
