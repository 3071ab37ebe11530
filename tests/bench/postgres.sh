#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How fast a backup is against the limit (pg_dump to nowhere) and against what it replaces: a release build, a real
# PostgreSQL, a real S3 server, the same data for all. Prints the table that docs/BENCHMARKS.md keeps.
# usage: tests/bench/postgres.sh [--rows N] [--repeat N] [--version 15|16|18]
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/run.sh" postgres.py "$@"
