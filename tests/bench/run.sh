#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the benchmarks share: parts and a release build, then the Python file that measures.
# usage: tests/bench/run.sh FILE.py [ARGUMENT...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tests/parts/install.sh >&2
if [ -z "${LIFEBOAT_BIN:-}" ]; then
    cmake --preset release >/dev/null
    cmake --build build/release -j 2 --target lifeboat-agent lifeboat-job >&2
    export LIFEBOAT_BIN=$PWD/build/release/bin
fi
export PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 "tests/bench/$1" "${@:2}"
