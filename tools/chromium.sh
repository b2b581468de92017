#!/usr/bin/env bash
# Sees to a headless Chromium and a font, which the tests of the page for people drive. Debian's own of the day: a
# browser that is not patched is none to pin. Prints nothing and takes no time when both are there.
#
# With root it is an install; without, the packages are unpacked into .tools/chromium with a script `chromium` that runs
# them from there. POSTERN_TEST_CHROMIUM names a browser from elsewhere.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=(chromium-headless-shell fonts-liberation)
home=.tools/chromium

fail() { echo "tools/chromium.sh: $*" >&2; exit 1; }

has_font() { [ -n "$(find /usr/share/fonts -name 'LiberationSans-Regular.ttf' -print -quit 2>/dev/null)" ]; }

[ -n "${POSTERN_TEST_CHROMIUM:-}" ] && exit 0
[ -x "$home/chromium" ] && exit 0
for name in chromium-headless-shell chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null && has_font; then exit 0; fi
done
command -v apt-get >/dev/null && command -v dpkg >/dev/null ||
    fail "there is no Chromium, and this is no Debian: install one and name it in POSTERN_TEST_CHROMIUM"

if [ "$(id -u)" = 0 ]; then
    echo "tools/chromium.sh: installing ${packages[*]}"
    install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends "${packages[@]}"; }
    install >/dev/null 2>&1 || { apt-get update -qq >/dev/null && install >/dev/null; } ||
        fail "they could not be installed; see the lines above"
    exit 0
fi

echo "tools/chromium.sh: unpacking ${packages[*]} into $home"
# What an install would bring; a simulation needs no rights.
mapfile -t wanted < <(apt-get install --simulate --no-install-recommends "${packages[@]}" 2>/dev/null | awk '$1 == "Inst" {print $2}')
[ ${#wanted[@]} -gt 0 ] || fail "apt-get knows no such packages; 'apt-get update' as root may help"
rm -rf "$home"
mkdir -p "$home/deb"
(cd "$home/deb" && apt-get download -qq "${wanted[@]}") || fail "the packages could not be downloaded"
for package in "$home"/deb/*.deb; do dpkg -x "$package" "$home"; done
rm -rf "$home/deb"
# Written last, so an interrupted run is repaired by the next one.
cat >"$home/chromium" <<'RUN'
#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
LD_LIBRARY_PATH=$(echo "$here"/usr/lib/*-linux-gnu | tr ' ' ':')
export LD_LIBRARY_PATH XDG_DATA_HOME="$here/usr/share"
[ -d /etc/fonts ] || export FONTCONFIG_PATH="$here/etc/fonts"
exec "$here/usr/lib/chromium/chromium-headless-shell" "$@"
RUN
chmod +x "$home/chromium"
