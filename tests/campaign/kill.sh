#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 at many random instants, outside of CI: all of test_kill.py, and N instants more (default 500). Needs the
# programs: LIFEBOAT_BIN, else build/asan/bin. LIFEBOAT_KILL_SEED repeats a campaign that found something.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
if [ $# -gt 1 ] || ! [[ ${1:-500} =~ ^[0-9]+$ ]]; then
    echo "usage: tests/campaign/kill.sh [N]" >&2
    exit 2
fi
export LIFEBOAT_KILL_INSTANTS=${1:-500}
LIFEBOAT_BIN=$(realpath "${LIFEBOAT_BIN:-build/asan/bin}")
export LIFEBOAT_BIN PYTHONDONTWRITEBYTECODE=1
cd tests
exec python3 -m pytest -v -p no:cacheprovider e2e/test_kill.py
