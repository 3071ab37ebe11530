#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds everything with clang and the same warnings: two compilers see more than one.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
cmake -S . -B build/clang -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_COMPILER=clang >/dev/null
cmake --build build/clang -j 2
echo "clang: everything builds without a warning"
