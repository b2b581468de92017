#!/usr/bin/env bash
# `make test`: every check in order, the quick ones first, and one line at the end that says how it went.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

took() {
    local seconds=$((SECONDS - ${1:-0}))
    if [ $seconds -lt 60 ]; then echo "${seconds}s"; else echo "$((seconds / 60))m$((seconds % 60))s"; fi
}

step() { # step TARGET: runs a make target, stops the whole at the first that fails
    local began=$SECONDS
    echo "==> make $1"
    if ! env -u MAKEFLAGS make --no-print-directory "$1"; then
        echo "postern: make $1 FAILED after $(took "$began"); that command alone runs it again"
        exit 1
    fi
    echo "==> make $1: ok ($(took "$began"))"
}

# Said here, since cargo's own words for a missing component point at a network that may not be there.
for tool in cargo rustfmt cargo-clippy python3 gcc; do
    if ! command -v "$tool" >/dev/null; then
        echo "postern: '$tool' is missing. Needed are a Rust toolchain with rustfmt and clippy, Python 3.10 or newer, gcc and make"
        exit 1
    fi
done

step fmt-check
step emulator
step chromium
step check-deploy
step deny
step lint

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The summary lines of cargo test are the only place where the number of tests stands.
step unit 2>&1 | tee "$log"
[ "${PIPESTATUS[0]}" = 0 ] || exit 1
tests=$(sed -n 's/^test result: ok\. \([0-9]*\) passed.*/\1/p' "$log" | awk '{sum += $1} END {print sum + 0}')
if [ "$tests" = 0 ]; then
    echo "postern: FAILED: no test ran"
    exit 1
fi
echo "postern: all checks passed ($tests tests, $(took))"
