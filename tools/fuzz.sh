#!/usr/bin/env bash
# `make fuzz`: builds the fuzz targets with coverage and runs them one after the other on what is kept of each.
# tools/fuzz.sh TARGET SECONDS; all targets when TARGET is empty. `tools/fuzz.sh TARGET minimise` writes the kept
# corpus anew, from it and from what earlier runs found.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

targets=${1:-request_head response_head chunked host path}
seconds=${2:-60}
host=$(rustc -vV | sed -n 's/^host: //p')

# A stable compiler has the pass that libFuzzer reads coverage from; only its short names are unstable. Given with
# --target, the flags go to what is fuzzed and not to build scripts, which have no libFuzzer to be linked with.
flags=(-Cpasses=sancov-module --cfg fuzzing)
for option in level=4 inline-8bit-counters pc-table trace-compares; do
    flags+=("-Cllvm-args=-sanitizer-coverage-$option")
done
bins=()
for target in $targets; do bins+=(--bin "$target"); done
RUSTFLAGS="${flags[*]}" cargo build --manifest-path tests/fuzz/Cargo.toml --locked --release \
    --target "$host" --target-dir target/fuzz "${bins[@]}"

for target in $targets; do
    program=target/fuzz/$host/release/$target
    kept=tests/fuzz/corpus/$target found=target/fuzz/found/$target
    mkdir -p "$kept" "$found"
    if [ "$seconds" = minimise ]; then
        fresh=$(mktemp -d)
        "$program" -merge=1 -use_counters=0 -max_len=4096 "$fresh" "$kept" "$found" 2>&1 | tail -1
        # What once broke a property stays, whatever it covers.
        find "$kept" -type f ! -name 'broke-*' -delete
        for file in "$fresh"/*; do mv "$file" "$kept/$(basename "$file" | cut -c1-16)"; done
        rm -rf "$fresh"
        echo "$target: $(find "$kept" -type f | wc -l) inputs kept"
        continue
    fi
    echo "==> $target for ${seconds}s"
    # The first folder gets what is new. An input that breaks a property is left beside it.
    if ! "$program" "$found" "$kept" -max_total_time="$seconds" -max_len=4096 -timeout=10 -print_final_stats=1 \
        -dict=tests/fuzz/http.dict -artifact_prefix="$found/../$target-" 2>&1 |
        tee "target/fuzz/found/$target.log" | grep -E 'pulse|INITED|DONE|stat::|panicked|ERROR|written to' -A1; then
        echo "postern: $target FAILED; keep the input as tests/fuzz/corpus/$target/broke-WHAT, so that make test runs it"
        exit 1
    fi
done
