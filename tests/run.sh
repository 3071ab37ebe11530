#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The whole test run, on a fresh Debian 12 as root with nothing prepared: packages and parts, a build with ASan and
# UBSan, every test. ctest's closing lines come last and its status is the status.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: tests/run.sh [-L LABEL] [-R REGEX]
-L LABEL  only tests with this label: unit, contract, e2e, fuzz, harness, lint
-R REGEX  only tests whose name matches
TEXT
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export DEBIAN_FRONTEND=noninteractive

select=()
while getopts L:R:h option; do
    case $option in
    L | R) select+=("-$option" "$OPTARG") ;;
    h)
        usage
        exit 0
        ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
done
shift $((OPTIND - 1))
if [ $# -gt 0 ]; then
    usage >&2
    exit 2
fi

tests/parts/install.sh
set -a
# shellcheck disable=SC1090
. <(tests/parts/install.sh --env)
set +a

cmake --preset asan
cmake --build build/asan -j 2
exec ctest --preset asan -j 2 --no-tests=error --output-on-failure "${select[@]}"
