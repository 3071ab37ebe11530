#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Formats C files as .clang-format says: those named, or all that git tracks.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ $# -eq 0 ]; then
    mapfile -t files < <(git ls-files '*.c' '*.h')
    set -- "${files[@]}"
fi
clang-format -i "$@"
echo "format: $# files"
