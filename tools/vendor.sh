#!/usr/bin/env bash
# Brings the chart library of the page for people anew, at its pinned version, and proves that it is what it was: the
# package by the digest that its registry published, each file by router/assets/admin/vendor/SHA256SUMS.
#
# Nothing else needs npm: the files are in the repository. For a newer version change both lines, run it with
# `--accept`, and look at the difference.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

package=uplot@1.6.32
integrity=KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==

fail() { echo "tools/vendor.sh: $*" >&2; exit 1; }

command -v npm >/dev/null || fail "npm is missing"
vendor=$PWD/router/assets/admin/vendor
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
archive=$(cd "$work" && npm pack --silent "$package" 2>/dev/null) || fail "$package could not be fetched"
found=$(sha512sum "$work/$archive" | cut -d' ' -f1 | python3 -c 'import base64, sys; print(base64.b64encode(bytes.fromhex(sys.stdin.read())).decode())')
[ "$found" = "$integrity" ] || fail "$package is another one: sha512-$found"
tar -xzf "$work/$archive" -C "$work"
cp "$work/package/dist/uPlot.iife.min.js" "$work/package/dist/uPlot.min.css" "$vendor/"
cp "$work/package/LICENSE" "$vendor/uPlot.LICENSE"
cd "$vendor"
if [ "${1:-}" = --accept ]; then sha256sum uPlot.LICENSE uPlot.iife.min.js uPlot.min.css >SHA256SUMS; fi
sha256sum --quiet --check SHA256SUMS || fail "the files are others than those that were pinned"
echo "tools/vendor.sh: $package is as pinned"
