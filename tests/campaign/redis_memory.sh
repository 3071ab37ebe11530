#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Memory with a large Redis, outside of CI: all of test_redis_memory.py with so many bytes of data (default 5000000000)
# and values so large (default 536870912, the most that a server takes). Prints the table that docs/BENCHMARKS.md keeps,
# and fails above 64 MiB. It builds release programs itself; LIFEBOAT_BIN (else build/asan/bin) only has to be there. It
# needs memory for three times the data, and disk for four times.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if [ $# -gt 2 ] || ! [[ ${1:-5000000000} =~ ^[1-9][0-9]*$ ]] || ! [[ ${2:-536870912} =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: tests/campaign/redis_memory.sh [BYTES [VALUE_BYTES]]" >&2
    exit 2
fi
export LIFEBOAT_REDIS_BYTES=${1:-5000000000} LIFEBOAT_REDIS_VALUE_BYTES=${2:-536870912}
LIFEBOAT_BIN=$(realpath "${LIFEBOAT_BIN:-build/asan/bin}")
export LIFEBOAT_BIN PYTHONDONTWRITEBYTECODE=1
cd tests
exec /usr/bin/python3 -m pytest -v -p no:cacheprovider e2e/test_redis_memory.py
