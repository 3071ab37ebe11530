#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the fuzzers with clang and runs each for some time, two at once. A finding is left in
# build/fuzz/findings/; put it into tests/fuzz/corpus/NAME/ together with the fix.
set -euo pipefail

if [ $# -gt 1 ] || [[ ! ${1:-600} =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: .ci/fuzz.sh [SECONDS for each, 600]" >&2
    exit 2
fi
seconds=${1:-600}
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fuzz_one() {
    local program=$1 seconds=$2 name log
    name=$(basename "$program" _fuzz)
    log=build/fuzz/findings/$name.log
    mkdir -p "build/fuzz/grown/$name"
    if "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/findings/$name-" "build/fuzz/grown/$name" \
        "tests/fuzz/corpus/$name" >"$log" 2>&1; then
        echo "fuzz: $name: no finding in $(sed -n 's/.*number_of_executed_units: *//p' "$log") runs"
    else
        tail -n 40 "$log"
        echo "fuzz: $name: FOUND something, see $log"
        return 1
    fi
}
export -f fuzz_one

cmake --preset fuzz >/dev/null
cmake --build build/fuzz --target fuzzers -j 2
mkdir -p build/fuzz/findings
echo "fuzz: $seconds s each, two at once"
# shellcheck disable=SC2016 # $1 is for the inner shell
find build/fuzz/tests/fuzz -maxdepth 1 -name '*_fuzz' -print0 | sort -z |
    xargs -0 -P 2 -I PROGRAM bash -c 'fuzz_one PROGRAM "$1"' fuzz_one "$seconds"
