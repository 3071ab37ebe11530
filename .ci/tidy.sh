#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy over the programs' sources that a build folder compiles, two at once. Tests are left to the compilers and
# sanitizers: the analyzer does not see that a failed assertion of cmocka ends the function.
set -euo pipefail

if [ $# -gt 1 ]; then
    echo "usage: .ci/tidy.sh [BUILD_FOLDER, build/asan]" >&2
    exit 2
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${1:-build/asan}
if [ ! -f "$build/compile_commands.json" ]; then
    echo "tidy: $build has no compile_commands.json: configure it first (cmake --preset asan)" >&2
    exit 2
fi

mapfile -t sources < <(jq -r '.[].file' "$build/compile_commands.json" | grep -E "^$PWD/(common|proto|agent|collector|tools)/" | sort -u)

tidy_one() {
    local help=(--extra-arg=-include "--extra-arg=$PWD/.ci/tidy.h") log rc=0
    case $2 in
    */common/err.c) help=() ;;
    esac
    log=$(clang-tidy -p "$1" --quiet "${help[@]}" "$2" 2>&1) || rc=$?
    printf '%s\n' "$log" | grep -v '^[0-9]* warnings\? generated\|^Suppressed \|^Use -header\|^[0-9]* warnings\? treated\|^$'
    return "$rc"
}
export -f tidy_one

# shellcheck disable=SC2016 # $1 and $2 are for the inner shell
if printf '%s\0' "${sources[@]}" | xargs -0 -P 2 -I SOURCE bash -c 'tidy_one "$1" "$2"' tidy_one "$build" SOURCE; then
    echo "tidy: ${#sources[@]} files: good"
else
    echo "tidy: ${#sources[@]} files: WRONG"
    exit 1
fi
