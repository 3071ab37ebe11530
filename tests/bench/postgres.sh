#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How fast a backup is against the limit (pg_dump to nowhere) and against what it replaces: a release build, a real
# PostgreSQL, a real S3 server, the same data for all. Prints the table that docs/BENCHMARKS.md keeps.
# usage: tests/bench/postgres.sh [--rows N] [--repeat N] [--version 15|16|18]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tests/parts/install.sh >&2
if [ -z "${LIFEBOAT_BIN:-}" ]; then
    cmake --preset release >/dev/null
    cmake --build build/release -j 2 --target lifeboat-agent lifeboat-job >&2
    export LIFEBOAT_BIN=$PWD/build/release/bin
fi
export PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 tests/bench/postgres.py "$@"
