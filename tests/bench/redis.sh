#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How fast a backup of Redis is against the limit (redis-cli --rdb to nowhere), the best pipeline of standard tools, and
# the script that it replaces: a release build, a real server, a real S3 server, the same data for all. Prints the table
# that docs/BENCHMARKS.md keeps.
# usage: tests/bench/redis.sh [--keys N] [--repeat N] [--kind redis|valkey]
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/run.sh" redis.py "$@"
