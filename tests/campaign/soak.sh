#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Thousands of jobs of one daemon, outside of CI: all of test_soak.py with so many jobs (default 10000). Prints the table
# that docs/BENCHMARKS.md keeps, and fails when daemon or collector grow. It builds release programs itself; LIFEBOAT_BIN
# (else build/asan/bin) only has to be there.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if [ $# -gt 1 ] || ! [[ ${1:-10000} =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: tests/campaign/soak.sh [JOBS]" >&2
    exit 2
fi
export LIFEBOAT_SOAK_JOBS=${1:-10000}
LIFEBOAT_BIN=$(realpath "${LIFEBOAT_BIN:-build/asan/bin}")
export LIFEBOAT_BIN PYTHONDONTWRITEBYTECODE=1
cd tests
exec /usr/bin/python3 -m pytest -v -p no:cacheprovider e2e/test_soak.py
