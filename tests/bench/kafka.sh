#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How fast a backup of Kafka is against a C program that only counts the records through librdkafka (the limit), and the
# ways of standard tools; and how fast a restore is against Kafka's own producer-performance tool, which writes as many of
# the same records into a topic of the same shape. A release build, a real broker, a real S3 server, the same topic for
# all. Prints the tables that docs/BENCHMARKS.md keeps.
# usage: tests/bench/kafka.sh [--records N] [--repeat N] [--only backup|restore]
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/run.sh" kafka.py "$@"
